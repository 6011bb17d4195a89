"""What lies around an object where it was shown: it walks along unseen, and keeps what is its own."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_sam.crops import widened
from napari_sam.prompts import Prompt
from napari_sam.sharing import without_lost
from napari_sam.step import PlaneState

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.crops import Crop
    from napari_sam.prompts import Point
    from napari_sam.stack import Plane
    from napari_sam.vision import Vision

    GetLabels = Callable[[Plane], NDArray[np.integer[Any]]]

_REACH, _LEAST_REACH = 1.0, 12  # how far around an object is looked: times its size, and pixels at least
_CLICKS, _LEAST_APART = 3, 4  # clicks along the size of an object, and pixels between them at least
_LEAST_SCORE = 0.3  # predicted IoU below which an answer shows nothing
_SHARED = 0.3  # share of an answer that may belong to others
_LARGEST = 20  # times the area of the object: a larger answer is what lies behind everything
_MOST = 12  # for each object


def find_neighbours(
    anchors: Sequence[PlaneState],
    vision: Vision,
    get_labels: GetLabels,
    *,
    changed: Collection[Plane] | None = None,
) -> list[PlaneState]:
    """Find what lies around objects by clicks on a grid, the likeliest masks first and none in place of another.

    Parameters
    ----------
    anchors : sequence of PlaneState
        Objects where the user showed them. Around each is looked on the plane where it is largest, unless it stands
        apart there: a nucleus in the dark has nothing around it to run over into.
    vision : Vision
        Answers the clicks.
    get_labels : callable
        Plane to its current labels ``(h, w)``; what they hold is no neighbour, for nobody may take it anyway.
    changed : collection of tuple of int, optional
        The planes that count. None: all.

    Returns
    -------
    list of PlaneState
        With ids below 0, which no object of a user has.
    """
    found: list[PlaneState] = []
    taken: dict[Plane, NDArray[np.bool_]] = {}
    for anchor in _largest_of_each(a for a in anchors if changed is None or a.plane in changed):
        plane = anchor.plane
        if vision.stands_apart(plane, anchor.mask):
            continue
        if plane not in taken:
            taken[plane] = get_labels(plane) != 0
            for other in (each for each in anchors if each.plane == plane):
                taken[plane][other.mask.window] |= other.mask.pixels
        found += _around(anchor, vision, taken[plane], first_id=-1 - len(found))
    return found


def _largest_of_each(anchors: Iterable[PlaneState]) -> list[PlaneState]:
    """Choose one anchor of each object that has pixels."""
    largest: dict[int, PlaneState] = {}
    for anchor in anchors:
        if anchor.mask and anchor.mask.area > largest.get(anchor.object_id, anchor.emptied()).mask.area:
            largest[anchor.object_id] = anchor
    return list(largest.values())


def _around(anchor: PlaneState, vision: Vision, taken: NDArray[np.bool_], *, first_id: int) -> list[PlaneState]:
    """Find the neighbours of one object; in ``taken`` their pixels become true, too."""
    prompts = [Prompt(anchor.plane, [click]) for click in _clicks_around(anchor.mask, taken)]
    answers = [PlaneState.decoded(0, anchor.plane, *each) for each in vision.click(anchor.plane, prompts)]
    found: list[PlaneState] = []
    for answer in sorted(answers, key=lambda each: -each.score):
        if len(found) == _MOST or answer.score < _LEAST_SCORE:
            break
        free = answer.mask.masked(~taken[answer.mask.window])
        own = answer.mask.area
        if own and own <= _LARGEST * anchor.mask.area and free.area >= (1 - _SHARED) * own:
            taken[free.window] |= free.pixels
            found.append(replace(without_lost(answer, free), object_id=first_id - len(found)))
    return found


def _clicks_around(mask: Crop, taken: NDArray[np.bool_]) -> list[Point]:
    """Spread clicks over what is free around a mask."""
    size = math.sqrt(mask.area)
    apart = max(_LEAST_APART, round(size / _CLICKS))
    rows, columns = widened(mask.window, mask.shape, max(_LEAST_REACH, round(_REACH * size)))
    grid = [(row, column) for row in _spread(rows, apart) for column in _spread(columns, apart)]
    return [place for place in grid if not taken[place]]


def _spread(side: slice, apart: int) -> range:
    """Place points along a side, as far from both of its ends."""
    return range(side.start + (side.stop - 1 - side.start) % apart // 2, side.stop, apart)
