"""Objects that meet on a plane: every pixel goes to one of them, and none to somebody who was there before."""

from __future__ import annotations

import logging
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.low_res import SURE_LOGIT
from napari_sam.step import is_neighbour
from napari_sam.upscaling import upscaled

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam.crops import Crop
    from napari_sam.step import PlaneState

_NAMED = 5  # objects in a sentence

logger = logging.getLogger(__name__)


def settle(
    states: Sequence[PlaneState],
    labels: NDArray[np.integer[Any]],
    *,
    claims: Sequence[float] | None = None,
    held: Mapping[int, float] = MappingProxyType({}),
) -> list[PlaneState]:
    """Give every pixel of a plane to one object.

    What other objects hold in ``labels`` is theirs, unless their claim is weaker; the rest goes to the highest logit.
    An object that loses pixels loses them in its logits, too, so that it does not come back for them on the next plane.

    Parameters
    ----------
    states : sequence of PlaneState
        Different objects on one plane.
    labels : ndarray of int
        ``(h, w)``, the current labels of the plane; voxels of the objects themselves count as free.
    claims : sequence of float, optional
        How likely each object is at home, at least 0. None: 0.
    held : mapping of int to float
        Object id to the claim of one whose voxels may be taken by those with a higher claim.

    Returns
    -------
    list of PlaneState
        In the same order; masks do not overlap.
    """
    may_be_taken = {**held, 0: -np.inf, **dict.fromkeys((state.object_id for state in states), -np.inf)}
    ids = np.array(sorted(i for i in may_be_taken if not is_neighbour(i)), labels.dtype)  # those that labels can hold
    least = np.array([may_be_taken[int(i)] for i in ids])
    free = []
    for state, claim in zip(states, claims or [0.0] * len(states), strict=True):
        here = labels[state.mask.window]
        nearest = np.searchsorted(ids, here).clip(max=len(ids) - 1)
        free.append(state.mask.masked((ids[nearest] == here) & (least[nearest] < claim)))
    return share([without_lost(state, mask) for state, mask in zip(states, free, strict=True)])


def share(states: Sequence[PlaneState]) -> list[PlaneState]:
    """Give each pixel that several objects of a plane claim to the highest logit; the first of equals wins."""
    return [without_lost(state, mask) for state, mask in zip(states, _won(states), strict=True)]


def warn_of_missing(states: Iterable[PlaneState]) -> None:
    """Log in a sentence of which objects nothing was found, or nothing is left."""
    missing = [(state.object_id, state.plane) for state in states if not state.mask.pixels.any()]
    if len(missing) == 1:
        logger.warning("object %d was not found on plane %s; click it once more, or show it with a box", *missing[0])
    elif missing:
        told = ", ".join(f"{object_id} on plane {plane}" for object_id, plane in missing[:_NAMED])
        rest = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        logger.warning("%d objects were not found: %s%s; show each with a box or more clicks", len(missing), told, rest)


def without_lost(state: PlaneState, mask: Crop) -> PlaneState:
    """Reduce an object to a part of its mask: what it has lost is surely background in its logits, too."""
    if mask is state.mask:
        return state
    rows, columns = (_under_cells(state, axis) for axis in (0, 1))
    if not (rows.size and columns.size):
        return replace(state, mask=mask)
    window = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    lost = (state.mask.within(window) & ~mask.within(window))[np.ix_(rows - rows[0], columns - columns[0])]
    pixels = np.where(lost, -SURE_LOGIT, state.logits.pixels).astype(np.float32)
    return replace(state, mask=mask, logits=replace(state.logits, pixels=pixels))


def _under_cells(state: PlaneState, axis: int) -> NDArray[np.intp]:
    """Row or column of the plane that lies under the centre of each cell of an object's logits."""
    frame, cells = state.frame, state.logits.window[axis]
    middle = (np.arange(cells.start, cells.stop) + 0.5) * state.low_res_stride  # in model pixels
    pixels = (middle / frame.scale[axis]).astype(np.intp)
    return np.asarray(pixels.clip(0, frame.original_size[axis] - 1) + frame.origin[axis])


def _won(states: Sequence[PlaneState]) -> list[Crop]:
    """Return what each object keeps of its mask."""
    masks = [state.mask for state in states]
    if len(masks) < 2:
        return masks
    claims = np.zeros(masks[0].shape, np.uint16)
    for mask in masks:
        claims[mask.window] += mask.pixels
    contested = claims > 1
    if not contested.any():
        return masks
    highest = np.full(claims.shape, -np.inf, np.float32)
    winner = np.full(claims.shape, -1, np.int32)
    for index, (state, mask) in enumerate(zip(states, masks, strict=True)):
        claimed = mask.pixels & contested[mask.window]
        if claimed.any():
            values = np.where(claimed, upscaled(state.logits, state.frame, mask.window), -np.inf)
            better = values > highest[mask.window]
            winner[mask.window][better] = index
            np.maximum(highest[mask.window], values, out=highest[mask.window])
    return [mask.masked(~contested[mask.window] | (winner[mask.window] == i)) for i, mask in enumerate(masks)]
