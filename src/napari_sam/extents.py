"""How far something on a plane reaches: ``(top, left, bottom, right)``, the centres of its outermost pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.cleanup import largest_piece
from napari_sam.crops import Crop

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.image import Frame
    from napari_sam.model.config import Size

Extent = tuple[float, float, float, float]
NOTHING: Extent = (math.inf, math.inf, -math.inf, -math.inf)


def height(extent: Extent) -> float:
    """Pixels from the first row to the last, 0 of nothing."""
    return max(0.0, extent[2] - extent[0] + 1)


def width(extent: Extent) -> float:
    """Pixels from the first column to the last, 0 of nothing."""
    return max(0.0, extent[3] - extent[1] + 1)


def longest(extent: Extent) -> float:
    """Pixels along the longer side, 0 of nothing."""
    return max(height(extent), width(extent))


def is_inside(extent: Extent, frame: Frame, plane_shape: Size, margin: float) -> bool:
    """Whether an extent is in a frame, with a margin as a share of its side; the border of the plane needs none."""
    for axis in (0, 1):
        start, size, end = frame.origin[axis], frame.original_size[axis], plane_shape[axis]
        least = start + (margin * size if start > 0 else -math.inf)
        most = start + size - 1 - (margin * size if start + size < end else -math.inf)
        if not (least <= extent[axis] and extent[axis + 2] <= most):
            return False
    return True


def union(*extents: Extent) -> Extent:
    """Smallest extent around others."""
    top, left, bottom, right = zip(*extents, strict=True)
    return min(top), min(left), max(bottom), max(right)


def mask_extent(mask: NDArray[np.bool_]) -> Extent:
    """Extent of a mask ``(h, w)``."""
    return crop_extent(Crop.of(mask))


def crop_extent(mask: Crop) -> Extent:
    """Extent of a mask, which must be cropped tightly."""
    if not mask:
        return NOTHING
    rows, columns = mask.window
    return float(rows.start), float(columns.start), float(rows.stop - 1), float(columns.stop - 1)


def logits_extent(logits: NDArray[np.float32], frame: Frame) -> Extent:
    """Extent in data pixels of the largest piece of low-res logits above 0: specks far from it say nothing."""
    top, left, bottom, right = mask_extent(largest_piece(logits > 0))
    if top > bottom:
        return NOTHING
    pixels = np.divide(frame.padded_size, logits.shape) / frame.scale  # per cell
    edges = np.array([[top, left], [bottom + 1, right + 1]]) * pixels
    (top, left), (bottom, right) = (edges.clip(0, frame.original_size) + frame.origin).tolist()
    return top, left, bottom - 1, right - 1
