"""What a cache folder holds: which image was encoded how, whether all of it is whole, and what can go."""

import logging
import math
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np

from napari_sam.cache_key import Attributes, describe_image, is_same_image, jsonable, plane_hash
from napari_sam.cache_store import EmbeddingStore, Location, NewerFormatError, existing_stores
from napari_sam.model.config import CONFIGS
from napari_sam.stack import Pixels, Plane, Stack
from napari_sam.tiles import TileGrid

_ARRAYS = ("plane_hash", "seal", "image_embedding")  # in this order they are deleted

Finding = Literal["good", "damaged", "not finite", "changed"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class CachedImage:
    """One group of a cache: one image, encoded in one way.

    Attributes
    ----------
    cache : Path or str
        The cache that it is in.
    name : str
        Of the group: ``<way of encoding>/<image>``.
    store : EmbeddingStore or None
        Its embeddings; None if it was killed before it had any.
    size : int
        Bytes on disk; 0 where that is not known, behind a URL.
    written : datetime or None
        When it was last written, in local time; None where that is not known.
    """

    cache: Location
    name: str
    store: EmbeddingStore | None
    size: int
    written: datetime | None

    @property
    def attributes(self) -> Attributes:
        """What the embeddings were made from, and how."""
        return {} if self.store is None else self.store.attributes

    @property
    def done(self) -> int:
        """Planes that are encoded whole, or of which every tile is."""
        if self.store is None:
            return 0
        depth = _depth(self.store)
        tiles = Counter(place[:depth] for place in self.store.planes())
        return sum(count == self.tiles for count in tiles.values())

    @property
    def total(self) -> int:
        """Planes of the image."""
        return 0 if self.store is None else math.prod(self.store.plane_hash.shape[: _depth(self.store)])

    @property
    def tiles(self) -> int:
        """Tiles of a plane; 1 where planes are encoded whole."""
        return 1 if self.store is None else math.prod(self.store.plane_hash.shape[_depth(self.store) :])


def find_caches(folder: Location) -> tuple[Location, ...]:
    """Return `folder` if it is an embedding cache, else the caches somewhere inside it.

    A cache of a newer format inside it is left out, which is logged as a warning.

    Raises
    ------
    OSError
        If there is nothing to read.
    ValueError
        If there is no cache, or `folder` was written by a newer version.
    """
    if not isinstance(folder, Path) or (folder / "zarr.json").exists():
        next(existing_stores(folder), None)  # raises if this is something else
        return (folder,)
    if not folder.is_dir():
        msg = f"there is no folder {folder}"
        raise FileNotFoundError(msg)
    found = tuple(path for path in _zarr_groups(folder) if _is_cache(path))
    if not found:
        msg = f"{folder} is not an embedding cache and has none inside; give the folder that --cache was given"
        raise ValueError(msg)
    return found


def cached_images(cache: Location) -> Iterator[CachedImage]:
    """Iterate over what is in one cache.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is no cache, or was written by a newer version.
    """
    for name, store in existing_stores(cache):
        size, written = _size_and_time(cache / name) if isinstance(cache, Path) else (0, None)
        yield CachedImage(cache, name, store, size, written)


def verify(cached: CachedImage, stack: Stack | None = None) -> Iterator[tuple[Plane, Finding]]:
    """Read every embedding that is stored, and tell what it is worth.

    Parameters
    ----------
    cached : CachedImage
        What to read.
    stack : Stack, optional
        The image. If it is given, the pixels of each plane are compared, too.

    Yields
    ------
    tuple of (place, finding)
        The index of a plane, followed by the number of a tile if planes are tiled. ``"good"``; ``"damaged"``: a
        checksum or the seal does not fit; ``"not finite"``: whole, but made of NaN or infinity; ``"changed"``: whole,
        but from other pixels than those of `stack`. What is not stored is left out.

    Raises
    ------
    ValueError
        If planes are tiled in a way that is not known here, so that pixels cannot be compared.
    """
    if cached.store is not None:
        for plane in np.ndindex(cached.store.plane_hash.shape):
            finding = _judge(cached.store, plane, stack)
            if finding is not None:
                yield plane, finding


def is_of(cached: CachedImage, stack: Stack) -> bool:
    """Tell whether a group holds embeddings of this image, perhaps before an edit of some planes."""
    return cached.store is not None and is_same_image(cached.attributes, describe_image(stack))


def choose(
    images: Iterable[CachedImage],
    *,
    now: datetime,
    older_than: timedelta | None = None,
    model: str | None = None,
    incomplete: bool = False,
    max_size: int | None = None,
) -> tuple[CachedImage, ...]:
    """Choose what to prune: what meets every condition that is given.

    Parameters
    ----------
    images : iterable of CachedImage
        What there is.
    now : datetime
        From when age counts.
    older_than : timedelta, optional
        Not written for so long.
    model : str, optional
        Encoded by this model.
    incomplete : bool
        Lacks planes.
    max_size : int, optional
        Bytes that everything in `images` may have together afterwards: of what meets the other conditions, that goes
        which was not written for longest, and no more than needed.

    Raises
    ------
    ValueError
        If no condition is given, or an age or a size is negative.
    """
    if older_than is None and model is None and not incomplete and max_size is None:
        msg = "expected a condition on what may go, got none; give an age, a model, incomplete or a size"
        raise ValueError(msg)
    if (older_than is not None and older_than < timedelta(0)) or (max_size is not None and max_size < 0):
        msg = f"an age and a size to keep must be at least 0, got {older_than} and {max_size} bytes"
        raise ValueError(msg)
    images = tuple(images)
    chosen = [
        cached
        for cached in sorted(images, key=lambda cached: cached.written or now)
        if (older_than is None or (cached.written is not None and now - cached.written > older_than))
        and (model is None or cached.attributes.get("model") == model)
        and (not incomplete or cached.done == 0 or cached.done < cached.total)
    ]
    return tuple(chosen) if max_size is None else _oldest(chosen, sum(cached.size for cached in images) - max_size)


def prune(cached: CachedImage) -> None:
    """Delete one group of a cache, and nothing else.

    A process that is killed here leaves a group without planes, which can be pruned again. One that is just filling
    the group encodes those planes anew the next time.

    Raises
    ------
    OSError
        If it cannot be deleted.
    ValueError
        If the cache is no folder, or the group does not lie in it but behind a link.
    """
    if not isinstance(cached.cache, Path):
        msg = f"only a folder can be pruned, got {cached.cache}; delete {cached.name} with the tools of that storage"
        raise ValueError(msg)
    group = cached.cache / cached.name
    if group.resolve() != cached.cache.resolve() / cached.name:
        msg = f"{group} is a link that leads out of the cache {cached.cache}; nothing in it was deleted"
        raise ValueError(msg)
    for name in _ARRAYS:
        if (group / name).exists():
            shutil.rmtree(group / name)  # follows no link
    (group / "zarr.json").unlink()
    if not any(group.iterdir()):
        group.rmdir()


def _depth(store: EmbeddingStore) -> int:
    """Leading axes of the image; what else an entry is found by is the number of a tile."""
    return store.image_embedding.ndim - 4  # (*stack, tile, C, H, W)


def _zarr_groups(folder: Path) -> Iterator[Path]:
    for path, inside, files in os.walk(folder):
        inside.sort()
        if {"zarr.json", ".zgroup", ".zarray"} & set(files):
            inside.clear()  # what lies in it are its arrays
            yield Path(path)


def _is_cache(path: Path) -> bool:
    try:
        next(existing_stores(path), None)
    except NewerFormatError as error:
        logger.warning("%s", error)
        return False
    except ValueError:
        return False
    return True


def _size_and_time(group: Path) -> tuple[int, datetime]:
    """Bytes of all files, and when the newest was written."""
    status = [(Path(path) / name).stat() for path, _, files in os.walk(group) for name in files]
    newest = max((each.st_mtime for each in status), default=0.0)
    return sum(each.st_size for each in status), datetime.fromtimestamp(newest)


def _judge(store: EmbeddingStore, plane: Plane, stack: Stack | None) -> Finding | None:
    try:
        stored = store.hash_of(plane)
        if stored == 0:
            return None
        values = store.load(plane, stored)
    except ValueError:
        return "damaged"
    if not np.isfinite(values).all():
        return "not finite"
    return "good" if stack is None or plane_hash(_read(store, plane, stack)) == stored else "changed"


def _read(store: EmbeddingStore, place: Plane, stack: Stack) -> Pixels:
    """Read what was encoded: a plane, or the tile that the last index names."""
    depth = len(stack.stack_shape)
    if len(place) == depth:
        return stack.read(place)
    return _find_grid(store, stack).read(stack, place[:depth], place[-1])


def _find_grid(store: EmbeddingStore, stack: Stack) -> TileGrid:
    """Find the tiles that a group was made for: those of whichever model has its encoder, under any name."""
    tiling, encoder = store.attributes["tiling"], store.attributes["image_encoder"]
    for config in CONFIGS.values():
        if jsonable(asdict(config.image_encoder)) == encoder:
            grid = TileGrid.choose(stack.plane_shape, config, tiling["tile"], tiling["overlap"])
            if grid is not None and len(grid.tiles) == store.plane_hash.shape[-1]:
                return grid
    msg = (
        f"how the model {store.attributes['model']!r} tiles planes is not known here; verify its cache without an image"
    )
    raise ValueError(msg)


def _oldest(chosen: Sequence[CachedImage], excess: int) -> tuple[CachedImage, ...]:
    taken = []
    for cached in chosen:
        if excess <= 0:
            break
        taken.append(cached)
        excess -= cached.size
    return tuple(taken)
