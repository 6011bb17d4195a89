"""Masks become a label image: ids never merge, and what is already there stays unless told otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_sam.crops import Crop
from napari_sam.stack import chunk_shape

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from napari_sam.crops import Window
    from napari_sam.stack import Plane


Overlap = Literal["keep", "replace"]

LABELS_DTYPE = np.uint32
_WINDOW = 2048  # pixels; 16 MiB of labels


def new_labels(shape: tuple[int, ...]) -> NDArray[np.uint32]:
    """Empty labels; pages that are never written cost no memory where the system allocates lazily (Linux, macOS)."""
    return np.zeros(shape, dtype=LABELS_DTYPE)


def check_labels(labels: Any, shape: tuple[int, ...]) -> None:
    """Refuse an array that labels cannot be written into.

    Parameters
    ----------
    labels : array-like
        numpy, zarr or anything that takes ``labels[plane] = array``.
    shape : tuple of int
        The spatial shape of the image.

    Raises
    ------
    ValueError
        If it is no array, not of integers, read-only, or of another shape.
    """
    dtype = getattr(labels, "dtype", None)
    if dtype is None or not hasattr(labels, "__setitem__"):
        msg = f"labels must be a numpy or zarr array of integers, got {type(labels).__name__}"
        raise ValueError(msg)
    if not np.issubdtype(dtype, np.integer):
        msg = f"labels must be of an integer dtype, got {dtype}; convert with labels.astype('uint32')"
        raise ValueError(msg)
    if tuple(labels.shape) != shape:
        msg = f"labels must have the image's spatial shape {shape}, got {tuple(labels.shape)}"
        raise ValueError(msg)
    flags = getattr(labels, "flags", None)
    if (flags is not None and not flags.writeable) or getattr(labels, "read_only", False):
        msg = "labels are read-only and are written in place; give a copy or open them for writing"
        raise ValueError(msg)


def check_ids(labels: Any, object_ids: Iterable[int]) -> None:
    """Refuse object ids that the dtype of ``labels`` cannot hold."""
    largest = np.iinfo(labels.dtype).max
    for object_id in object_ids:
        if object_id > largest:
            msg = (
                f"object_id {object_id} does not fit into labels of {labels.dtype} (at most {largest}); "
                "give labels of a larger integer dtype"
            )
            raise ValueError(msg)


def read_plane(labels: Any, plane: Plane) -> NDArray[np.integer[Any]]:
    """One plane of the labels as an ``(h, w)`` array, a view of numpy labels: look at it before the next writing."""
    return np.asarray(labels[plane])


def write_masks(
    labels: Any,
    plane: Plane,
    masks: Mapping[int, Crop],
    *,
    overlap: Overlap = "keep",
    outdated: Collection[int] = (),
) -> None:
    """Write the masks of one plane into ``labels``, in place.

    A plane is looked at window by window, and only what changes is written: of a zarr array the chunks under the masks
    and under older voxels of the same objects.

    Parameters
    ----------
    labels : array-like
        Changed in place, only on ``plane`` and only where anything differs.
    plane : tuple of int
        Index of the plane.
    masks : mapping of int to Crop of bool
        Object id to its mask on the plane.
    overlap, outdated
        As in `merge_masks`.
    """
    for rows, columns in _windows(labels):
        current = np.asarray(labels[(*plane, rows, columns)])
        here = {object_id: mask.cut((rows, columns)) for object_id, mask in masks.items()}
        if not current.any() and not any(here.values()):
            continue
        merged = merge_masks(current, here, overlap=overlap, outdated=outdated)
        changed = Crop.of(merged != current)
        if changed:
            top, left = rows.start + changed.top, columns.start + changed.left
            height, width = changed.pixels.shape
            labels[(*plane, slice(top, top + height), slice(left, left + width))] = merged[changed.window]


def _windows(labels: Any) -> Iterator[Window]:
    """Cut planes into windows that are read at once: small ones not at all, others along the borders of chunks."""
    height, width = labels.shape[-2:]
    if height * width <= _WINDOW**2:
        yield slice(0, height), slice(0, width)
        return
    down, across = (chunk * max(1, _WINDOW // chunk) for chunk in chunk_shape(labels)[-2:])
    for top in range(0, height, down):
        for left in range(0, width, across):
            yield slice(top, min(top + down, height)), slice(left, min(left + across, width))


def merge_masks(
    current: NDArray[np.integer[Any]],
    masks: Mapping[int, Crop],
    *,
    overlap: Overlap = "keep",
    outdated: Collection[int] = (),
) -> NDArray[np.integer[Any]]:
    """Merge masks into a label plane; the earlier of two masks that claim a voxel gets it.

    Each object's old voxels on the plane are replaced by its mask. No other voxel changes, except that ``"replace"``
    lets a mask take voxels of objects that are not among ``masks``, and those of outdated ones may always be taken.

    Parameters
    ----------
    current : ndarray of int
        ``(h, w)``; not changed.
    masks : mapping of int to Crop of bool
        Object id to its mask on the plane.
    overlap : {"keep", "replace"}
        What happens to voxels of other objects under a mask.
    outdated : collection of int
        Objects whose voxels are about to be replaced anyway.

    Returns
    -------
    ndarray of int
        A new plane.
    """
    own = np.array(list(masks), current.dtype)  # of one type: numpy would compare uint64 and int64 as float64
    merged = np.where(np.isin(current, own), 0, current)
    may_be_taken = np.array([0, *outdated], current.dtype)
    free = np.ones(current.shape, dtype=bool)
    for object_id, mask in masks.items():
        here = merged[mask.window]
        won = mask.pixels & free[mask.window]
        here[won if overlap == "replace" else won & np.isin(here, may_be_taken)] = object_id
        free[mask.window] &= ~mask.pixels
    return merged
