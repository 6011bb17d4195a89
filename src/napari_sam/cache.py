"""Each plane is encoded once: embeddings of a stack, on disk or in memory."""

import threading
from collections.abc import Iterable, Iterator
from typing import Self

import numpy as np
import torch

from napari_sam.cache_key import describe, plane_hash
from napari_sam.cache_store import EmbeddingStore, Location, Values, open_store
from napari_sam.contrast import Contrast
from napari_sam.embeddings import ImageEmbedding, encode
from napari_sam.image import Frame
from napari_sam.model.sam import Sam
from napari_sam.stack import Pixels, Plane, Stack

_RECENT = 8  # planes kept as tensors, 2 to 16 MiB each: clicks and propagation stay near one plane


class EmbeddingCache:
    """The image embeddings of a stack, encoded on first use and never again.

    A plane is recognised by its pixels: one that has changed is encoded anew, alone. Pixels are compared when this
    object first meets a plane; what changes in memory later is noticed after `forget`. An embedding always has been
    through float16, so that it is the same whether it was just made or comes from the cache.

    Several processes, and several threads of one, may share a cache.

    Parameters
    ----------
    store : EmbeddingStore
        Where embeddings are kept.
    sam : Sam
        The model.
    stack : Stack
        The image.
    batch_size : int
        Planes that `embed` takes through the encoder at once.
    """

    def __init__(self, store: EmbeddingStore, *, sam: Sam, stack: Stack, batch_size: int = 1) -> None:
        self.store = store
        self.sam = sam
        self.stack = stack
        self.batch_size = batch_size
        contrast = store.attributes["contrast"]
        self.contrast = Contrast(contrast["kind"], tuple(contrast["low"]), tuple(contrast["high"]))
        self.frame = Frame.for_plane(stack.plane_shape, sam.config.grid)
        self._recent = _Recent()
        self._hashes: dict[Plane, int] = {}

    @classmethod
    def open(
        cls,
        folder: Location | None,
        *,
        sam: Sam,
        stack: Stack,
        contrast: Contrast,
        source: str | None = None,
        batch_size: int = 1,
    ) -> Self:
        """Open the cache in `folder`, or start it; one folder serves any number of images and models.

        Parameters
        ----------
        folder : Path, str or None
            A directory, made if missing, or a URL that fsspec understands. None: in memory.
        sam, stack, contrast
            What is encoded, and how. If the folder knows this image with a percentile contrast that differs by less
            than a tenth, it is that one which is used: see `self.contrast`.
        source : str, optional
            Where the image came from, as a note in the cache.
        batch_size : int
            Planes that `embed` takes through the encoder at once.

        Raises
        ------
        OSError
            If the folder cannot be used.
        ValueError
            If the folder is something else, is damaged or was written by a newer version.
        """
        height, width = (side // sam.config.grid.stride for side in sam.config.grid.padded_size(stack.plane_shape))
        shape = (*stack.stack_shape, 1, sam.config.image_encoder.out_chans, height, width)
        store = open_store(folder, describe(sam, stack, contrast, source=source), shape=shape)
        return cls(store, sam=sam, stack=stack, batch_size=batch_size)

    def get_or_encode(self, plane: Plane) -> ImageEmbedding:
        """Return the embedding of a plane: a recent one, a stored one, or one made and stored now.

        Raises
        ------
        ValueError
            If there is no such plane.
        OSError
            If it had to be encoded and cannot be stored.
        """
        plane = self.stack.check_plane(plane)
        if (recent := self._recent.get(plane)) is not None:
            return recent
        if plane in self._hashes and (stored := self.get(plane, self._hashes[plane])) is not None:
            return stored
        pixels, digest = self._read(plane)
        stored = self.get(plane, digest)
        return stored if stored is not None else self._encode([(plane, pixels, digest)])[0]

    def embed(self, planes: Iterable[Plane] | None = None) -> Iterator[Plane]:
        """Encode what is missing, and yield each plane that was encoded once it is safely stored.

        Planes whose stored embedding is good, which is checked against their pixels, are not yielded. Closing the
        iterator between two planes loses nothing.

        Parameters
        ----------
        planes : iterable of tuple of int, optional
            In this order. None: every plane.

        Raises
        ------
        ValueError
            At once, if there is no such plane.
        OSError
            If a plane cannot be stored; those before it are.
        """
        return self._embed([self.stack.check_plane(p) for p in (self.stack.planes() if planes is None else planes)])

    def get(self, plane: Plane, plane_hash: int) -> ImageEmbedding | None:
        """Return the stored embedding of a plane if it was made from pixels of this hash, else None."""
        values = self.store.read(plane, plane_hash)
        return None if values is None else self._keep(plane, values)

    def put(self, plane: Plane, plane_hash: int, embedding: ImageEmbedding) -> ImageEmbedding:
        """Store an embedding and return it as it will be read.

        Raises
        ------
        ValueError
            If it does not fit into float16.
        OSError
            If it cannot be stored.
        """
        values = embedding.image_embedding.to("cpu", torch.float16).numpy()[None]  # (tile, C, H, W)
        if not np.isfinite(values).all():
            msg = f"the embedding of plane {plane} does not fit into float16; load the model with dtype=torch.float32"
            raise ValueError(msg)
        self.store.write(plane, plane_hash, values)
        return self._keep(plane, values)

    def cached_planes(self) -> tuple[Plane, ...]:
        """Return the planes that have been encoded; whether their pixels are still the same is not checked."""
        return self.store.planes()

    def forget(self) -> None:
        """Compare the pixels of each plane again when it is next asked for; needed after editing them in place."""
        self._recent.clear()
        self._hashes.clear()

    def _embed(self, planes: list[Plane]) -> Iterator[Plane]:
        missing: list[tuple[Plane, Pixels, int]] = []
        for plane in planes:
            pixels, digest = self._read(plane)
            if self.store.read(plane, digest) is not None:
                continue
            missing.append((plane, pixels, digest))
            if len(missing) == self.batch_size:
                self._encode(missing)
                yield from (done for done, _, _ in missing)
                missing = []
        if missing:
            self._encode(missing)
            yield from (done for done, _, _ in missing)

    def _read(self, plane: Plane) -> tuple[Pixels, int]:
        pixels = self.stack.read(plane)
        self._hashes[plane] = plane_hash(pixels)
        return pixels, self._hashes[plane]

    def _encode(self, missing: list[tuple[Plane, Pixels, int]]) -> list[ImageEmbedding]:
        embeddings = encode(self.sam, [pixels for _, pixels, _ in missing], contrast=self.contrast)
        return [
            self.put(plane, digest, embedding)
            for (plane, _, digest), embedding in zip(missing, embeddings, strict=True)
        ]

    def _keep(self, plane: Plane, values: Values) -> ImageEmbedding:
        tensor = torch.from_numpy(values[0]).to(self.sam.device, self.sam.dtype, copy=True)
        return self._recent.put(plane, ImageEmbedding(tensor, self.frame))


class _Recent:
    """The embeddings used last, by plane."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._embeddings: dict[Plane, ImageEmbedding] = {}  # the oldest first

    def get(self, plane: Plane) -> ImageEmbedding | None:
        with self._lock:
            if plane not in self._embeddings:
                return None
            self._embeddings[plane] = self._embeddings.pop(plane)
            return self._embeddings[plane]

    def put(self, plane: Plane, embedding: ImageEmbedding) -> ImageEmbedding:
        with self._lock:
            self._embeddings.pop(plane, None)
            self._embeddings[plane] = embedding
            if len(self._embeddings) > _RECENT:
                del self._embeddings[next(iter(self._embeddings))]
            return embedding

    def clear(self) -> None:
        with self._lock:
            self._embeddings.clear()
