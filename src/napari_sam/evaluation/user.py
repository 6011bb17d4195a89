"""A user who sees the truth and clicks deterministically, as in Kirillov et al. 2023, sec. D.1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam.cleanup import largest_piece
from napari_sam.crops import Crop

Mask = NDArray[np.bool_]  # (h, w)
Click = tuple[int, int]  # (row, column)


def interior_point(mask: Mask) -> Click:
    """Pixel of the mask that is farthest from its outside; what lies beyond the image counts as outside.

    Of several such pixels it is the one nearest to the centroid, then the first in row-major order.

    Raises
    ------
    ValueError
        If the mask is empty.
    """
    (top, left), (bottom, right) = tight_box(mask)
    inside = np.pad(mask[top : bottom + 1, left : right + 1], 1)
    depth = ndimage.distance_transform_edt(inside)
    deepest = np.argwhere(depth == depth.max())
    centroid = np.argwhere(inside).mean(axis=0)
    row, column = deepest[((deepest - centroid) ** 2).sum(axis=1).argmin()] - 1
    return int(row) + top, int(column) + left


def correction_click(truth: Mask, mask: Mask) -> tuple[Click, int] | None:
    """Click into the middle of the largest error: connected pixels that are all missing, or all too many.

    Returns
    -------
    ((int, int), int) or None
        The click and its label: 1 where object is missing, 0 where there is too much. None: the mask is right.
    """
    error = max(largest_piece(truth & ~mask), largest_piece(mask & ~truth), key=np.count_nonzero)
    if not error.any():
        return None
    click = interior_point(error)
    return click, int(truth[click])


def tight_box(mask: Mask) -> tuple[Click, Click]:
    """Give the corner pixels ((r0, c0), (r1, c1)) of the smallest box around a mask, both inclusive.

    Raises
    ------
    ValueError
        If the mask is empty.
    """
    crop = Crop.of(mask)
    if not crop:
        msg = "mask is empty: a box and a click need at least one pixel of the object"
        raise ValueError(msg)
    rows, columns = crop.window
    return (rows.start, columns.start), (rows.stop - 1, columns.stop - 1)
