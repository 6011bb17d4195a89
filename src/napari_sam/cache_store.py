"""The embedding cache as a file format: a folder of zarr v3 groups, one per image and way of encoding it."""

from __future__ import annotations

import json
import logging
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.errors import ContainsArrayError, ContainsGroupError
from zarr.storage import FsspecStore, LocalStore, MemoryStore

from napari_sam.cache_key import (
    FORMAT_VERSION,
    Attributes,
    choose_image,
    descriptions,
    encoding_name,
    image_name,
    is_same_image,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zarr.abc.codec import BytesBytesCodec
    from zarr.abc.store import Store

    from napari_sam.stack import Plane

# Measured on features of nano, 2 MiB a plane, on one thread, of made nuclei and made EM: 22 and 11 % smaller than raw,
# 14 and 15 ms to write a plane, 4 ms to read. clevel=5: 27 and 19 %, 34 and 29 ms, 3 ms. lz4 with bitshuffle: 15 and
# 8 %, 11 and 13 ms, 3 ms. Each array says itself how it is compressed: this is about new ones.
_COMPRESSOR = BloscCodec(cname="zstd", clevel=2, shuffle="shuffle", typesize=2)

Values = NDArray[np.float16]
Location = Path | str  # a folder, or a URL that fsspec understands

logger = logging.getLogger(__name__)


class NewerFormatError(ValueError):
    """A cache that was written by a newer version of this package."""


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingStore:
    """One zarr group: embeddings of the planes of a stack, each sealed with the hash of the pixels it came from.

    Where planes are tiled, each tile is sealed on its own; a place is the index of a plane and the number of the tile.

    Killing the writer at any moment, or several writers at once, cannot make `read` return anything but an embedding
    of the very pixels asked for: the seal is checked against the values that were read.

    Attributes
    ----------
    image_embedding : zarr.Array
        ``(*stack, tile, C, H, W)`` float16, one chunk per plane and tile.
    seal : zarr.Array
        ``(*stack,)``, or ``(*stack, tile)``, uint64: xxh3 of the values, seeded with the `plane_hash`; written second.
    plane_hash : zarr.Array
        Of the same shape, uint64: hash of the pixels, written last; 0 where nothing is stored.
    attributes : dict
        What the group was made for.
    """

    image_embedding: zarr.Array[Any]
    seal: zarr.Array[Any]
    plane_hash: zarr.Array[Any]
    attributes: Attributes

    def read(self, plane: Plane, plane_hash: int) -> Values | None:
        """Return ``(C, H, W)`` of a plane or tile if stored, whole, and from pixels of this hash; otherwise None.

        That the pixels have changed or that what is stored is damaged is logged as a warning.
        """
        try:
            stored = self.hash_of(plane)
            if stored in (0, plane_hash):
                return self.load(plane, plane_hash) if stored else None
        except ValueError:
            logger.warning("the stored embedding of plane %s is damaged and will not be used", plane)
        else:
            logger.warning("the pixels of plane %s have changed since it was encoded", plane)
        return None

    def hash_of(self, plane: Plane) -> int:
        """Return the hash of the pixels that a plane was encoded from; 0 if it is not stored.

        Raises
        ------
        ValueError
            If the entry is damaged.
        """
        return _integer(self.plane_hash, plane)

    def load(self, plane: Plane, plane_hash: int) -> Values:
        """Return ``(C, H, W)`` of a plane or tile that was stored with this hash.

        Raises
        ------
        ValueError
            If what is stored is damaged: a checksum or the seal does not fit.
        """
        values = np.asarray(self.image_embedding[plane]).reshape(self.image_embedding.shape[-3:])
        if _integer(self.seal, plane) != _seal(values, plane_hash):
            msg = f"the seal of plane {plane} does not fit its embedding"
            raise ValueError(msg)
        return values

    def write(self, plane: Plane, plane_hash: int, values: Values) -> None:
        """Store ``(C, H, W)``; when this returns, it survives the death of the process.

        What is smaller than other tiles is filled up with 0.

        Raises
        ------
        OSError
            If the store cannot be written; the other planes are intact.
        """
        with explained(f"plane {plane} cannot be written to the embedding cache {self.plane_hash.store_path}"):
            missing = [(0, most - n) for most, n in zip(self.image_embedding.shape[-3:], values.shape, strict=True)]
            values = np.pad(values, missing) if any(after for _, after in missing) else values
            self.image_embedding[plane] = values if len(plane) == self.image_embedding.ndim - 3 else values[None]
            self.seal[plane] = np.uint64(_seal(values, plane_hash))
            self.plane_hash[plane] = np.uint64(plane_hash)

    def planes(self) -> tuple[Plane, ...]:
        """Return the planes, or tiles, that have an entry; only `read` tells whether it is good."""
        try:
            stored = np.asarray(self.plane_hash[...])
        except ValueError:  # one damaged entry does not hide the others
            shape = self.plane_hash.shape
            stored = np.reshape([self._has(plane) for plane in np.ndindex(shape)], shape)
        return tuple(tuple(int(i) for i in plane) for plane in np.argwhere(stored))

    def _has(self, plane: Plane) -> bool:
        try:
            return self.hash_of(plane) != 0
        except ValueError:
            return False


def as_location(folder: str | Path) -> Location:
    """Return a URL as it is, and anything else as a path."""
    text = str(folder)
    return text if "://" in text and not text.startswith("file://") else Path(text.removeprefix("file://"))


def open_store(folder: Location | None, attributes: Attributes, *, shape: tuple[int, ...]) -> EmbeddingStore:
    """Open the group of a cache that is for this image and this way of encoding it, or make it.

    Parameters
    ----------
    folder : Path, str or None
        The cache: a folder, or a URL that fsspec understands; None keeps it in memory.
    attributes : dict
        What the group is for, from `cache_key.describe`. Written before anything else.
    shape : tuple of int
        ``(*stack, tile, C, H, W)``.

    Raises
    ------
    OSError
        If `folder` cannot be read, or lacks the group and cannot be written.
    ValueError
        If `folder` holds something else, was written by a newer version or is damaged, or if the URL needs a package
        that is not installed.
    """
    try:
        with explained(f"the embedding cache {folder} cannot be opened"):
            group = _open_group(_open_location(folder), folder, attributes)
            return _open_arrays(group, shape, in_memory=folder is None)
    except json.JSONDecodeError as error:
        msg = f"the embedding cache {folder} is damaged ({error}); delete it, it is made again"
        raise ValueError(msg) from error


def existing_stores(folder: Location) -> Iterator[tuple[str, EmbeddingStore | None]]:
    """Iterate over the groups of a cache, by name; nothing is written.

    Yields
    ------
    tuple of (str, EmbeddingStore or None)
        ``<way of encoding>/<image>``, and None for a group that was killed at birth.

    Raises
    ------
    OSError
        If there is nothing to read.
    ValueError
        If `folder` is something else, was written by a newer version or is damaged.
    """
    try:
        root = zarr.open_group(_open_location(folder), mode="r", zarr_format=3)
    except (ContainsArrayError, FileNotFoundError):
        raise _foreign(folder) from None
    _check_version(root.attrs.asdict(), folder)
    for way, images in _groups(root):
        for name, group in _groups(images):
            attributes = group.attrs.asdict()
            _check_version(attributes, folder)
            yield f"{way}/{name}", _existing_arrays(group, attributes)


def _existing_arrays(group: zarr.Group, attributes: Attributes) -> EmbeddingStore | None:
    image_embedding, seal, plane_hash = (group.get(name) for name in ("image_embedding", "seal", "plane_hash"))
    if not isinstance(image_embedding, zarr.Array) or not isinstance(seal, zarr.Array):
        return None
    return EmbeddingStore(image_embedding, seal, plane_hash, attributes) if isinstance(plane_hash, zarr.Array) else None


def _open_location(folder: Location | None) -> Store:
    """Return the zarr store for a folder, a URL, or memory.

    Raises
    ------
    ValueError
        If the URL needs a package that is not installed, or cannot be understood.
    """
    if folder is None:
        return MemoryStore()
    if isinstance(folder, Path):
        return LocalStore(folder)
    try:
        return FsspecStore.from_url(folder)
    except (ImportError, ValueError) as error:
        msg = f"the embedding cache {folder} cannot be reached ({error}); install what its protocol needs, e.g. s3fs"
        raise ValueError(msg) from error


def _open_group(store: Store, folder: Location | None, attributes: Attributes) -> zarr.Group:
    """Return ``<folder>/<way of encoding>/<image>``."""
    _open_root(store, folder)
    for described in descriptions(attributes):
        group = _find_group(store, encoding_name(described), described)
        if group is not None:
            _check_version(group.attrs.asdict(), folder)
            return group
    _warn_of_other_precisions(store, folder, attributes)
    way = encoding_name(attributes)
    _require_group(store, way, {})
    return _require_group(store, f"{way}/{image_name(attributes)}", attributes)


def _find_group(store: Store, way: str, described: Attributes) -> zarr.Group | None:
    try:
        return zarr.open_group(store, path=f"{way}/{image_name(described)}", mode="r+", zarr_format=3)
    except FileNotFoundError:  # a new image, or one that was edited
        pass
    try:
        siblings = dict(_groups(zarr.open_group(store, path=way, mode="r+", zarr_format=3)))
    except FileNotFoundError:
        return None
    return siblings.get(choose_image({name: group.attrs.asdict() for name, group in siblings.items()}, described))


def _open_root(store: Store, folder: Location | None) -> None:
    try:
        root = zarr.open_group(store, mode="r", zarr_format=3)
    except ContainsArrayError:
        raise _foreign(folder) from None
    except FileNotFoundError:
        if _holds_zarr_2(store):
            raise _foreign(folder) from None
        root = _require_group(store, "", {"format_version": FORMAT_VERSION})
    _check_version(root.attrs.asdict(), folder)


def _holds_zarr_2(store: Store) -> bool:
    try:
        zarr.open(store, mode="r", zarr_format=2)
    except FileNotFoundError:
        return False
    return True


def _warn_of_other_precisions(store: Store, folder: Location | None, wanted: Attributes) -> None:
    """Tell someone who is about to encode a stack for a week that it is all there, in another precision."""
    own_way = encoding_name(wanted)
    for name, way in _groups(zarr.open_group(store, mode="r", zarr_format=3)):
        if not name.startswith(f"{wanted['model']}-") or name == own_way:
            continue
        for _, group in _groups(way):
            stored = group.attrs.asdict()
            if stored["precision"] != wanted["precision"] and is_same_image(stored, wanted):
                logger.warning(
                    "the embedding cache %s has this image encoded in %s, but this model encodes in %s: planes are "
                    "encoded anew, unless you choose --precision %s, or in Python sam.image_encoder.to(torch.%s)",
                    *(folder, stored["precision"], wanted["precision"], stored["precision"], stored["precision"]),
                )
                return


def _groups(group: zarr.Group) -> list[tuple[str, zarr.Group]]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Object at .* is not recognized")  # a stray file does no harm
        return list(group.groups())


def _require_group(store: Store, path: str, attributes: Attributes) -> zarr.Group:
    """Open a group; a new one has its attributes from the first moment."""
    try:
        return zarr.open_group(store, path=path, mode="a", zarr_format=3, attributes=attributes)
    except ContainsGroupError:  # another process was faster
        return zarr.open_group(store, path=path, mode="r+", zarr_format=3)


def _check_version(attributes: Attributes, folder: Location | None) -> None:
    """Raise ValueError for attributes of a newer format, or of something that is no embedding cache."""
    version = attributes.get("format_version")
    if not isinstance(version, int):
        raise _foreign(folder)
    if version > FORMAT_VERSION:
        msg = (
            f"the embedding cache {folder} has format {version}, this version of napari-sam-stacks reads up to "
            f"{FORMAT_VERSION}; upgrade it or give another folder"
        )
        raise NewerFormatError(msg)


def _foreign(folder: Location | None) -> ValueError:
    return ValueError(f"{folder} holds zarr data that is not an embedding cache; give another folder")


def _open_arrays(group: zarr.Group, shape: tuple[int, ...], *, in_memory: bool) -> EmbeddingStore:
    checked: tuple[BytesBytesCodec, ...] = () if in_memory else (Crc32cCodec(),)
    packed = checked if in_memory else (_COMPRESSOR, *checked)
    places = shape[:-4] if shape[-4] == 1 else shape[:-3]
    return EmbeddingStore(
        _require_array(group, "image_embedding", shape, "float16", (1,) * (len(shape) - 3) + shape[-3:], packed),
        _require_array(group, "seal", places, "uint64", (1,) * len(places), checked),
        _require_array(group, "plane_hash", places, "uint64", (1,) * len(places), checked),
        group.attrs.asdict(),
    )


def _require_array(
    group: zarr.Group,
    name: str,
    shape: tuple[int, ...],
    dtype: str,
    chunks: tuple[int, ...],
    codecs: tuple[BytesBytesCodec, ...],
) -> zarr.Array[Any]:
    try:
        return group.create_array(name, shape=shape, dtype=dtype, chunks=chunks, compressors=codecs, fill_value=0)
    except ContainsArrayError:
        return zarr.open_array(group.store, path=f"{group.path}/{name}", mode="r+", zarr_format=3)


def _seal(values: Values, plane_hash: int) -> int:
    return xxhash.xxh3_64_intdigest(np.ascontiguousarray(values).data, seed=plane_hash)


def _integer(array: zarr.Array[Any], index: Plane) -> int:
    return int(np.asarray(array[index]))


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Say what failed and what to do in an OSError, which keeps its kind."""
    try:
        yield
    except OSError as error:
        advice = "what it holds is intact; make room there or give another folder"
        msg = f"{what}: {error.strerror or error}; {advice}"
        raise (OSError(error.errno, msg) if error.errno else OSError(msg)) from error
