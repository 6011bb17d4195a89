"""Labels to disk, as TIFF or zarr, and from there."""

from __future__ import annotations

import math
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import tifffile

from napari_sam.image_files import ImageFile, default_axes, read_image
from napari_sam.outputs import appears_when_complete, check_output

if TYPE_CHECKING:
    from collections.abc import Iterator

    import zarr

_TIFF = (".tif", ".tiff")
_ZARR = ".zarr"
_LARGEST = 2**64 - 1
_LARGEST_IN_TIFF = 2**32 - 1  # OME-TIFF knows no integers of 64 bits
_CHUNK = 1024  # pixels; a mask touches few chunks of a large plane, and small planes are one


def read_labels(path: Path | str) -> Any:
    """Open a label image, read when it is indexed.

    Raises
    ------
    OSError, ValueError
        As `read_image`; ValueError also if it is not of integers.
    """
    labels = read_image(path).array
    if not np.issubdtype(labels.dtype, np.integer):
        msg = f"{path} must hold integer labels, got {labels.dtype}"
        raise ValueError(msg)
    return labels


def write_labels(
    path: Path | str, labels: npt.ArrayLike, *, like: ImageFile | None = None, overwrite: bool = False
) -> None:
    """Write a label image as a TIFF (OME, zlib) or a zarr array, in the smallest dtype that holds its ids.

    The file appears under its name only when it is complete.

    Parameters
    ----------
    path : Path or str
        Ends with .tif, .tiff or .zarr.
    labels : array-like of int
        The spatial shape of the image.
    like : ImageFile, optional
        The image that was labelled: its axes and spacing are written with the labels.
    overwrite : bool
        Whether an existing file or zarr folder may be replaced.

    Raises
    ------
    OSError, ValueError
        As in `check_labels_output`, or if `labels` does not have the axes of `like` or an id does not fit into a TIFF.
    """
    path = Path(path)
    check_labels_output(path, overwrite=overwrite)
    pixels = np.asarray(labels)
    pixels = pixels.astype(_dtype(path, pixels.max(initial=0)), copy=False)
    described = ImageFile(pixels, default_axes(pixels.ndim)) if like is None else _described_like(pixels, like)
    with appears_when_complete(path) as temporary:
        if path.suffix.lower() == _ZARR:
            _write_zarr(temporary, described)
        else:
            _write_tiff(temporary, described)


@contextmanager
def open_labels(path: Path | str, like: ImageFile, *, largest: int, overwrite: bool = False) -> Iterator[Any]:
    """Hand out empty labels of an image, to be filled; at the end they appear as `write_labels` would write them.

    Those of a zarr are on disk from the first moment, so that they may be larger than the memory. After an error
    nothing is left behind.

    Parameters
    ----------
    path : Path or str
        Ends with .tif, .tiff or .zarr.
    like : ImageFile
        The image that is labelled.
    largest : int
        The largest id that will be written.
    overwrite : bool
        Whether an existing file or zarr folder may be replaced.

    Raises
    ------
    OSError, ValueError
        As in `check_labels_output`, or if the largest id does not fit into a TIFF.
    """
    path = Path(path)
    check_labels_output(path, overwrite=overwrite)
    dtype = _dtype(path, largest)
    with appears_when_complete(path) as temporary:
        if path.suffix.lower() == _ZARR:
            yield _new_zarr(temporary, like.spatial_shape, dtype, like)
        else:
            labels = np.zeros(like.spatial_shape, dtype)
            yield labels
            _write_tiff(temporary, _described_like(labels, like))


def check_labels_output(path: Path | str, *, overwrite: bool = False) -> None:
    """Refuse a path that `write_labels` could not write to: ask before the long work.

    Raises
    ------
    OSError
        If something is there that may not be overwritten, or the folder is missing.
    ValueError
        If the ending is none of .tif, .tiff, .zarr.
    """
    path = Path(path)
    check_output(path, (*_TIFF, _ZARR), what="labels are written as TIFF or zarr", overwrite=overwrite)
    if path.is_dir() and not any((path / name).exists() for name in ("zarr.json", ".zarray", ".zgroup")):
        msg = f"{path} is a folder but not a zarr one, so it is not replaced; choose another name"
        raise FileExistsError(msg)


def _dtype(path: Path, largest: int) -> np.dtype[Any]:
    """Choose the smallest integers that hold the ids and fit into the file."""
    if largest > _LARGEST:
        msg = f"ids go up to {_LARGEST}, got {largest}; renumber the objects"
        raise ValueError(msg)
    if largest > _LARGEST_IN_TIFF and path.suffix.lower() in _TIFF:
        msg = f"a TIFF holds ids up to {_LARGEST_IN_TIFF}, got {largest}; write {path.with_suffix(_ZARR)}, or renumber"
        raise ValueError(msg)
    return np.dtype(np.min_scalar_type(largest).name)  # by name: zarr does not know C's `unsigned long long`


def _described_like(pixels: npt.NDArray[Any], like: ImageFile) -> ImageFile:
    if len(like.spatial_axes) != pixels.ndim:
        msg = f"labels must have the axes {like.spatial_axes} of the image, got an array of shape {pixels.shape}"
        raise ValueError(msg)
    return ImageFile(pixels, like.spatial_axes, like.spacing, like.unit)


def _write_tiff(path: Path, image: ImageFile) -> None:
    metadata: dict[str, Any] = {"axes": image.axes}
    for axis in set("ZYX") & set(image.spacing):
        metadata |= {f"PhysicalSize{axis}": image.spacing[axis], f"PhysicalSize{axis}Unit": image.unit}
    per_um = image.unit == "µm"  # what readers without OME see
    x, y = ((10_000.0 if per_um else 1.0) / image.spacing.get(axis, math.inf) for axis in "XY")
    tifffile.imwrite(
        path,
        image.array,
        ome=_fits_into_ome(image),
        photometric="minisblack",
        compression="zlib",
        resolution=(x, y) if x and y else None,
        resolutionunit="CENTIMETER" if per_um else "NONE",
        metadata=metadata,
    )


def _fits_into_ome(image: ImageFile) -> bool:
    """Tell whether OME has names for the axes, and none is of one element, which readers drop; tifffile keeps those."""
    *stack, _, _ = image.array.shape
    named = image.axes.endswith("YX") and set(image.axes) <= set("TZYX") and len(set(image.axes)) == len(image.axes)
    return named and 1 not in stack


def _write_zarr(path: Path, image: ImageFile) -> None:
    _new_zarr(path, image.array.shape, image.array.dtype, image)[...] = image.array


def _new_zarr(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], like: ImageFile) -> zarr.Array[Any]:
    import zarr

    stack, plane = shape[:-2], shape[-2:]
    axes = like.spatial_axes
    return zarr.create_array(
        store=path,
        shape=shape,
        chunks=(1,) * len(stack) + tuple(min(side, _CHUNK) for side in plane),
        dtype=dtype,
        dimension_names=[axis.lower() for axis in axes],
        attributes={"spacing": [like.spacing.get(axis, 1.0) for axis in axes], "unit": like.unit},
    )
