"""Low-res logits, as the decoder gives and takes them: from a mask, from one frame to another, without their margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_sam.crops import Crop, hull

if TYPE_CHECKING:
    from napari_sam.crops import Window
    from napari_sam.image import Frame

LowRes = NDArray[np.float32]  # (H/low_res_stride, W/low_res_stride) logits of one mask

SURE_LOGIT = 8.0  # a given mask is as sure as this: sigmoid(8) = 0.9997


@dataclass(frozen=True, slots=True, eq=False)
class MaskInput:
    """What an earlier call knows about an object.

    Attributes
    ----------
    low_res_logits : ndarray of float32
        ``(H/low_res_stride, W/low_res_stride)``.
    frame : Frame
        Their geometry.
    """

    low_res_logits: LowRes
    frame: Frame


def mask_to_logits(mask: Crop, frame: Frame, *, low_res_stride: int) -> LowRes:
    """Turn a mask into the low-res logits that a very sure decoder would have given for it.

    Parameters
    ----------
    mask : Crop of bool
        Of the plane.
    frame : Frame
        Geometry of the plane, or of a window of it.
    low_res_stride : int
        Model pixels per cell of the low-res logits.

    Returns
    -------
    ndarray of float32
        ``(H/low_res_stride, W/low_res_stride)``: ``(2 * coverage - 1) * 8``, where coverage is the share of the cell
        that the mask fills; -8 in the padding.
    """
    seen = mask.cut(frame.window)
    rows, columns = (
        _overlap(size, padded // low_res_stride, low_res_stride / scale, -first)
        for size, padded, scale, first in zip(
            seen.pixels.shape, frame.padded_size, frame.scale, (seen.top, seen.left), strict=True
        )
    )
    coverage = rows @ seen.pixels.astype(np.float32) @ columns.T
    return ((2 * coverage - 1) * SURE_LOGIT).astype(np.float32)


def move_logits(logits: LowRes, before: Frame, after: Frame, *, low_res_stride: int) -> LowRes:
    """Take low-res logits ``(h, w)`` from one frame of a plane to another; what was out of sight is surely background.

    A cell of the new frame gets the mean of what it covers, which is exact where the cells of both coincide.
    """
    if before == after:
        return logits
    window = _cells_of(after, before, low_res_stride)
    if window is not None:
        return Crop((logits.shape[0], logits.shape[1]), 0, 0, logits, -SURE_LOGIT).within(window)
    matrices = []
    for axis in (0, 1):
        cell = low_res_stride / before.scale[axis]  # data pixels
        matrices.append(
            _overlap(
                logits.shape[axis],
                after.padded_size[axis] // low_res_stride,
                low_res_stride / after.scale[axis] / cell,
                (after.origin[axis] - before.origin[axis]) / cell,
            )
        )
    rows, columns = matrices
    return (rows @ (logits + SURE_LOGIT) @ columns.T - SURE_LOGIT).astype(np.float32)


def mean_logits(one: Crop, other: Crop, weight: float) -> Crop:
    """Average logits of one frame, ``weight`` for the first; around both it stays as it is around the first."""
    rows, columns = hull([one.window, other.window])
    mean = weight * one.within((rows, columns)) + (1 - weight) * other.within((rows, columns))
    return Crop(one.shape, rows.start, columns.start, mean.astype(np.float32), one.outside)


def crop_logits(logits: LowRes, *, least: float = -SURE_LOGIT) -> Crop:
    """Crop logits to those that are above ``least``; the others become surely background."""
    return Crop.around(logits, logits > least, outside=-SURE_LOGIT)


def _cells_of(frame: Frame, other: Frame, low_res_stride: int) -> Window | None:
    """Rows and columns of low-res cells of another frame that are those of this one; None if cells do not coincide."""
    if frame.scale != other.scale:
        return None
    window = []
    for axis in (0, 1):
        first = (frame.origin[axis] - other.origin[axis]) * frame.scale[axis] / low_res_stride
        if not first.is_integer():
            return None
        window.append(slice(int(first), int(first) + frame.padded_size[axis] // low_res_stride))
    return window[0], window[1]


def _overlap(pixels: int, cells: int, width: float, first: float = 0.0) -> NDArray[np.float32]:
    """Share of each cell, ``width`` pixels wide from ``first`` on, that lies in each pixel: ``(cells, pixels)``."""
    start = np.arange(cells)[:, None] * width + first
    pixel = np.arange(pixels)
    shared = np.minimum(start + width, pixel + 1) - np.maximum(start, pixel)
    share: NDArray[np.float64] = shared.clip(min=0) / width
    return share.astype(np.float32)
