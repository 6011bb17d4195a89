"""From low-res logits to the pixels of a plane, in a window around one object only."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.crops import Crop

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.crops import Window
    from napari_sam.image import Frame


def upscaled(logits: Crop, frame: Frame, window: Window) -> NDArray[np.float32]:
    """Upscale low-res logits in a window of the plane, as `Sam.postprocess` does for the whole plane.

    Parameters
    ----------
    logits : Crop of float32
        Of the low-res logits ``(H/low_res_stride, W/low_res_stride)``.
    frame : Frame
        Geometry of the plane, or of a window of it.
    window : tuple of slice
        Rows and columns of the plane, inside the frame.

    Returns
    -------
    ndarray of float32
        As large as the window, above 0 is object.
    """
    rows, columns = (
        matrix[part.start - first : part.stop - first]
        for matrix, part, first in zip(_matrices_of(frame, logits), window, frame.origin, strict=True)
    )
    height, width = (_used(part) for part in (rows, columns))
    values: NDArray[np.float32] = rows[:, height] @ logits.within((height, width)) @ columns[:, width].T
    return values


def upscaled_mask(logits: Crop, frame: Frame) -> Crop:
    """Return the mask that low-res logits stand for, on the plane and cropped."""
    found = Crop(logits.shape, logits.top, logits.left, logits.pixels > 0).trimmed()
    if not found:
        return Crop.empty(frame.whole)
    matrices = zip(_matrices_of(frame, logits), found.window, strict=True)
    used = [_used(matrix[:, cells].T) for matrix, cells in matrices]
    if any(part.start == part.stop for part in used):
        return Crop.empty(frame.whole)  # all of it lies in the padding
    window = [slice(part.start + first, part.stop + first) for part, first in zip(used, frame.origin, strict=True)]
    inside = upscaled(logits, frame, (window[0], window[1])) > 0
    return Crop(frame.whole, window[0].start, window[1].start, inside).trimmed()


def _used(matrix: NDArray[np.float32]) -> slice:
    """Columns of a matrix from the first that is not all zero to the last."""
    used = np.flatnonzero(matrix.any(axis=0))
    return slice(int(used[0]), int(used[-1]) + 1) if used.size else slice(0, 0)


def _matrices_of(frame: Frame, logits: Crop) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return _matrices(replace(frame, origin=(0, 0), plane_shape=None), logits.shape)  # the same wherever a window is


@lru_cache(maxsize=8)
def _matrices(frame: Frame, cells: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """For rows and columns: the weight of each cell ``(pixels, cells)``; bilinear upscaling is linear in each axis."""
    import torch
    import torch.nn.functional as F

    matrices = []
    for count, padded, size, original in zip(
        cells, frame.padded_size, frame.input_size, frame.original_size, strict=True
    ):
        weights = F.interpolate(torch.eye(count)[None], padded, mode="linear", align_corners=False)[..., :size]
        weights = F.interpolate(weights, original, mode="linear", align_corners=False)  # (1, cells, pixels)
        matrices.append(np.ascontiguousarray(weights[0].T.numpy()))
    return matrices[0], matrices[1]
