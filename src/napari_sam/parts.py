"""The part of a view in which an object is looked for: near to where it was on the plane before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.cleanup import largest_piece
from napari_sam.crops import Crop, stretch_around
from napari_sam.extents import NOTHING, mask_extent
from napari_sam.low_res import SURE_LOGIT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.crops import Window

# Cells of the embedding: between an object and the edge of its part at least; and sides are multiples of `_STEP`, so
# that parts are of few sizes and many can be decoded together.
_MARGIN, _STEP = 4, 8


def part_near(logits: NDArray[np.float32], cell: int) -> Window | None:
    """Choose the part of a view around what is above 0 in low-res logits.

    Parameters
    ----------
    logits : ndarray of float32
        ``(cell * H, cell * W)`` of the view.
    cell : int
        Low-res pixels per cell of the embedding.

    Returns
    -------
    tuple of slice or None
        Rows and columns of the embedding's cells; None for all of them, also if nothing is above 0.
    """
    extent = mask_extent(logits > 0)
    if extent == NOTHING:
        return None
    rows, columns = (_near(extent[axis], extent[axis + 2], logits.shape[axis], cell) for axis in (0, 1))
    whole = rows.stop * cell == logits.shape[0] and columns.stop * cell == logits.shape[1]
    return None if whole and rows.start == columns.start == 0 else (rows, columns)


def _near(first: float, last: float, length: int, cell: int) -> slice:
    return stretch_around(int(first) // cell, int(last) // cell + 1, length // cell, margin=_MARGIN, multiple=_STEP)


def in_view(logits: NDArray[np.float32], part: Window, cells: tuple[int, int]) -> Crop:
    """Take logits of a part for those of a view of so many cells; beside the part is surely background."""
    rows, columns = part
    cell = logits.shape[0] // (rows.stop - rows.start)
    return Crop((cells[0] * cell, cells[1] * cell), rows.start * cell, columns.start * cell, logits, -SURE_LOGIT)


def comes_to_edge(logits: Crop, cell: int) -> bool:
    """Whether the object in the logits of a part comes within a cell of an edge behind which the view goes on."""
    seen, (rows, columns), (height, width) = logits.pixels > 0, logits.window, logits.shape
    margin = np.zeros_like(seen)
    if rows.start > 0:
        margin[:cell] = True
    if rows.stop < height:
        margin[-cell:] = True
    if columns.start > 0:
        margin[:, :cell] = True
    if columns.stop < width:
        margin[:, -cell:] = True
    return bool((seen & margin).any() and (largest_piece(seen) & margin).any())
