"""Each plane is encoded once: embeddings of a stack, on disk or in memory."""

import itertools
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Self

import numpy as np
import torch

from napari_sam.batches import fitting, peak_memory
from napari_sam.cache_key import describe, plane_hash
from napari_sam.cache_store import EmbeddingStore, Location, Values, open_store
from napari_sam.contrast import Contrast
from napari_sam.crops import Crop
from napari_sam.embeddings import ImageEmbedding, encode
from napari_sam.extents import crop_extent
from napari_sam.image import Frame
from napari_sam.model.sam import Sam
from napari_sam.plane_embedding import PlaneEmbedding
from napari_sam.recent import Recent
from napari_sam.stack import WHOLE, Pixels, Plane, Stack, reduce_pixels
from napari_sam.tiles import TileChoice, TileGrid
from napari_sam.views import Embedding
from napari_sam.windows import Windows

_RECENT = 8  # planes kept as tensors, 2 to 16 MiB each: clicks and propagation stay near one plane
_RECENT_TILES = 24  # 4 MiB each; one view is joined from up to 9
_BLOCK_BYTES = 64 * 2**20  # pixels that are read once and kept while they are needed: no chunk is read again and again

Place = Plane  # the index of a plane, followed by the number of a tile if planes are tiled
_Missing = tuple[Place, Pixels, int]  # what is to be encoded, with the hash of its pixels

logger = logging.getLogger(__name__)


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
    grid : TileGrid or None
        Where the tiles of a plane are. None: planes are encoded whole.
    batch_size : int or None
        Planes or tiles that `embed` takes through the encoder at once. None: what fits into the memory of a GPU, and
        one on a processor, which gains nothing from more.
    """

    def __init__(
        self,
        store: EmbeddingStore,
        *,
        sam: Sam,
        stack: Stack,
        grid: TileGrid | None = None,
        batch_size: int | None = None,
    ) -> None:
        self.store = store
        self.sam = sam
        self.stack = stack
        self.grid = grid
        self.batch_size = batch_size
        contrast = store.attributes["contrast"]
        self.contrast = Contrast(contrast["kind"], tuple(contrast["low"]), tuple(contrast["high"]))
        self._views = Windows.choose(stack.plane_shape, sam.config, grid) or grid
        self._whole = Frame.for_plane(stack.plane_shape, sam.config.grid)
        self._recent: Recent[Place, ImageEmbedding] = Recent(_RECENT_TILES if grid else _RECENT)
        self._seen: Recent[Plane, PlaneEmbedding] = Recent(_RECENT)
        self._block: dict[Plane, Pixels] = {}  # what was read last
        self._hashes: dict[Place, int] = {}
        self._cost = 0  # bytes of the device that encoding a plane takes, once that is known
        self._most: int | None = None  # planes at once, once more have turned out to be too many

    @classmethod
    def open(
        cls,
        folder: Location | None,
        *,
        sam: Sam,
        stack: Stack,
        contrast: Contrast,
        source: str | None = None,
        tile: TileChoice = None,
        overlap: int | None = None,
        batch_size: int | None = None,
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
        tile, overlap
            How large planes are tiled, as in `TileGrid.choose`.
        batch_size : int or None
            Planes or tiles that `embed` takes through the encoder at once. None: what fits.

        Raises
        ------
        OSError
            If the folder cannot be used.
        ValueError
            If the folder is something else, is damaged or was written by a newer version.
        """
        grid = TileGrid.choose(stack.plane_shape, sam.config, tile, overlap)
        frames = grid.tiles if grid else (Frame.for_plane(stack.plane_shape, sam.config.grid),)
        cells = (max(frame.padded_size[axis] for frame in frames) // sam.config.grid.stride for axis in (0, 1))
        shape = (*stack.stack_shape, len(frames), sam.config.image_encoder.out_chans, *cells)
        store = open_store(folder, describe(sam, stack, contrast, grid=grid, source=source), shape=shape)
        return cls(store, sam=sam, stack=stack, grid=grid, batch_size=batch_size)

    def embedding(self, plane: Plane) -> Embedding:
        """Return the embedding of a plane; one that has views finds or makes what they need when they are asked for.

        Raises
        ------
        ValueError
            If there is no such plane.
        OSError
            If it had to be encoded and cannot be stored.
        """
        if self._views is None:
            return self.get_or_encode(plane)
        plane = self.stack.check_plane(plane)
        if (recent := self._seen.get(plane)) is not None:
            return recent
        tiled = self.grid is not None
        return self._seen.put(
            plane,
            PlaneEmbedding(
                self._views,
                lambda number: self.get_or_encode((*plane, number) if tiled else plane),
                lambda frame: self._encode_window(plane, frame),
            ),
        )

    def get_or_encode(self, place: Place) -> ImageEmbedding:
        """Return the embedding of a whole plane or of a tile: a recent one, a stored one, or one made and stored now.

        Raises
        ------
        ValueError, OSError
            As `embedding`.
        """
        place = self._check(place)
        if (recent := self._recent.get(place)) is not None:
            return recent
        if place in self._hashes and (stored := self.get(place, self._hashes[place])) is not None:
            return stored
        pixels, digest = self._read(place)
        stored = self.get(place, digest)
        return stored if stored is not None else self._encode([(place, pixels, digest)])[0]

    def pixels(self, plane: Plane, window: tuple[slice, slice] = WHOLE) -> Pixels:
        """Return the pixels of a plane or of a window of it, as `Stack.read` does.

        A plane is read once for all its windows, and with it others of the same chunks of an array; of a very large one
        only the window is read.

        Raises
        ------
        ValueError
            If there is no such plane.
        """
        if self.stack.plane_bytes > _BLOCK_BYTES:
            return self.stack.read(plane, window)
        block = self._block
        if plane not in block:
            block = self._block = self.stack.read_block(plane, _BLOCK_BYTES)
        return block[plane][window]

    def find_frame(self, mask: Crop) -> Frame:
        """Choose the frame in which a mask becomes logits: the whole plane, or a view."""
        if self._views is None or not mask:
            return self._whole
        return self._views.first_view(crop_extent(mask), sized=True)

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

    def get(self, place: Place, digest: int) -> ImageEmbedding | None:
        """Return the stored embedding of a plane or tile if it was made from pixels of this hash, else None."""
        values = self.store.read(place, digest)
        return None if values is None else self._keep(place, values)

    def put(self, place: Place, digest: int, embedding: ImageEmbedding) -> ImageEmbedding:
        """Store an embedding, made from pixels of this hash, and return it as it will be read.

        Raises
        ------
        ValueError
            If it does not fit into float16.
        OSError
            If it cannot be stored.
        """
        values = embedding.image_embedding.to("cpu", torch.float16).numpy()  # (C, H, W)
        if not np.isfinite(values).all():
            msg = f"the embedding of plane {place} does not fit into float16; load the model with dtype=torch.float32"
            raise ValueError(msg)
        self.store.write(place, digest, values)
        return self._keep(place, values)

    def cached_planes(self) -> tuple[Plane, ...]:
        """Return the planes that have been encoded; whether their pixels are still the same is not checked."""
        if self.grid is None:
            return self.store.planes()
        tiles = Counter(place[:-1] for place in self.store.planes())
        return tuple(plane for plane, count in tiles.items() if count == len(self.grid.tiles))

    def forget(self) -> None:
        """Compare the pixels of each plane again when it is next asked for; needed after editing them in place."""
        for kept in (self._recent, self._seen, self._hashes):
            kept.clear()
        self._block = {}

    def _embed(self, planes: list[Plane]) -> Iterator[Plane]:
        self._block = {}  # pixels may have changed since
        missing: list[_Missing] = []
        waiting: list[Plane] = []  # planes of which something is, or was, missing
        for plane in planes:
            for place in self._places(plane):
                pixels, digest = self._read(place)
                if self.store.read(place, digest) is not None:
                    continue
                missing.append((place, pixels, digest))
                if waiting[-1:] != [plane]:
                    waiting.append(plane)
                if len(missing) >= self._at_once():
                    self._encode(missing)
                    missing = []
                    yield from waiting[:-1]  # the last one may have more tiles
                    waiting = waiting[-1:]
            if not missing:
                yield from waiting
                waiting = []
        if missing:
            self._encode(missing)
        yield from waiting

    def _check(self, place: Place) -> Place:
        return self.stack.check_plane(place) if self.grid is None else (*self.stack.check_plane(place[:-1]), place[-1])

    def _places(self, plane: Plane) -> Iterator[Place]:
        return iter([plane]) if self.grid is None else ((*plane, tile) for tile in range(len(self.grid.tiles)))

    def _frame(self, place: Place) -> Frame:
        return self._whole if self.grid is None else self.grid.tiles[place[-1]]

    def _read(self, place: Place) -> tuple[Pixels, int]:
        pixels = self.pixels(place) if self.grid is None else self._read_tile(place[:-1], self.grid, place[-1])
        self._hashes[place] = plane_hash(pixels)
        return pixels, self._hashes[place]

    def _read_tile(self, plane: Plane, grid: TileGrid, tile: int) -> Pixels:
        if self.stack.plane_bytes > _BLOCK_BYTES:
            return grid.read(self.stack, plane, tile)
        frame = grid.tiles[tile]
        return reduce_pixels(self.pixels(plane, frame.window), grid.reduction(frame))

    def _encode_window(self, plane: Plane, frame: Frame) -> ImageEmbedding:
        """Encode a window that shows more detail than is stored."""
        pixels = self.pixels(plane, frame.window)
        return encode(self.sam, [pixels], contrast=self.contrast, frames=[frame])[0]

    def _at_once(self) -> int:
        wanted = self.batch_size or fitting(self.sam.device, self._cost)
        return wanted if self._most is None else min(wanted, self._most)

    def _encode(self, missing: list[_Missing]) -> list[ImageEmbedding]:
        """Encode planes or tiles; those of one size together."""
        by_size = itertools.groupby(missing, key=lambda one: self._frame(one[0]).input_size)
        return [embedding for _, same_size in by_size for embedding in self._encode_within_memory(list(same_size))]

    def _encode_within_memory(self, missing: list[_Missing]) -> list[ImageEmbedding]:
        """Encode planes of one size at once, or fewer and fewer where the memory of the GPU does not hold that."""
        made: list[ImageEmbedding] = []
        while len(made) < len(missing):
            batch = missing[len(made) :][: self._most]
            try:
                made += self._encode_at_once(batch)
                continue
            except torch.cuda.OutOfMemoryError:
                if len(batch) == 1:
                    raise
            self._most = len(batch) // 2
            logger.warning("GPU memory does not hold %d planes at once, from now on %d are", len(batch), self._most)
            torch.cuda.empty_cache()  # here, where the failed attempt holds nothing any more
        return made

    def _encode_at_once(self, missing: list[_Missing]) -> list[ImageEmbedding]:
        frames = [self._frame(place) for place, _, _ in missing]
        pixels = [pixels for _, pixels, _ in missing]
        with peak_memory(self.sam.device) as taken:
            embeddings = encode(self.sam, pixels, contrast=self.contrast, frames=frames)
        self._cost = max(self._cost, taken[0] // len(frames))
        return [
            self.put(place, digest, embedding)
            for (place, _, digest), embedding in zip(missing, embeddings, strict=True)
        ]

    def _keep(self, place: Place, values: Values) -> ImageEmbedding:
        frame, stride = self._frame(place), self.sam.config.grid.stride
        height, width = (side // stride for side in frame.padded_size)
        batch = torch.from_numpy(values[None, :, :height, :width])  # (1, C, H, W)
        # In the order that the decoder wants: each prompt would have to reorder it again.
        batch = batch.to(self.sam.device, self.sam.dtype, copy=True, memory_format=torch.channels_last)
        return self._recent.put(place, ImageEmbedding(batch[0], frame))
