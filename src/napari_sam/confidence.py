"""How much to trust each plane of a walk, as a number that means what it says; and where to look first."""

from __future__ import annotations

from collections import defaultdict
from math import isnan
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.plane_mask import latest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam.plane_mask import PlaneMask
    from napari_sam.stack import Plane

# Coefficients of two logistic regressions on `features`, which tools/calibrate_confidence.py fits to training volumes
# and made-up stacks: for planes with a mask, and for the empty ones on which a walk has ended.
FOUND: Mapping[str, float] = MappingProxyType(
    {
        "constant": -1.26,
        "worst_so_far": 1.83,
        "overlap": 2.38,
        "area_change": -2.31,
        "steps": -0.49,
        "between_anchors": -0.21,
        "agreement": 0.91,
    }
)
ENDED: Mapping[str, float] = MappingProxyType(
    {"constant": 0.55, "predicted_iou": -1.36, "overlap": -2.26, "between_anchors": -0.47}
)

_FURTHEST = 20  # steps from an anchor; more do not make a mask less likely
_MOST_CHANGE = 2.0  # of the logarithm of the area
_REACH = {"onward": 8.0, "back": 4.0}  # planes over which a correction's help falls to a third


def confidences(plane_masks: Sequence[PlaneMask], *, axis: int = 0) -> list[float]:
    """Tell how good each mask of a walk is expected to be.

    Planes are seen in the light of their walk: a mask far from an anchor, or behind a weak one, is trusted less.

    Parameters
    ----------
    plane_masks : sequence of PlaneMask
        What `Segmenter.propagate` gave, of one or several objects, in any order. Without its anchors a walk counts as
        having just begun everywhere.
    axis : int
        The axis that was walked along.

    Returns
    -------
    list of float
        0 to 1, in the same order: the IoU that the mask is expected to have with the object; where the mask is empty,
        the probability that the object is not there. A plane that the user showed has what the model expects of it, 1
        if it was painted; one that was bridged the lower of those around it. Where only an older mask was cleared away
        it is 1. What came a second time has what was said of it then.
    """
    expected: dict[tuple[int, Plane], float] = {}
    walks = _walks(plane_masks, axis)
    for walk in walks.values():
        values = _expected(walk, features(walk, axis=axis)).tolist()
        expected |= {(each.object_id, each.plane): value for each, value in zip(walk, values, strict=True)}
    for bridged in [each for each in latest(plane_masks) if each.crop and not _was_seen(each)]:
        around = _around(bridged.plane[axis], walks.get(_line(bridged, axis), []), axis)
        lowest = min((expected[each.object_id, each.plane] for each in around), default=0.0)
        expected[bridged.object_id, bridged.plane] = lowest
    return [expected.get((each.object_id, each.plane), 1.0) for each in plane_masks]


def weakest(plane_masks: Sequence[PlaneMask], n: int, *, axis: int = 0) -> list[PlaneMask]:
    """Choose the planes to look at first: where a correction is expected to mend most.

    A correction helps the planes around it, above all those that the walk comes to later, and a plane that is close to
    one already chosen has little left to mend. So these are not simply the planes of the lowest confidence, which are
    often neighbours of each other, but places where a doubtful stretch begins.

    Parameters
    ----------
    plane_masks : sequence of PlaneMask
        As for `confidences`, with the anchors; these are never chosen.
    n : int
        At most this many.
    axis : int
        The axis that was walked along.

    Returns
    -------
    list of PlaneMask
        The most urgent first.
    """
    urgent = [pair for walk in _walks(plane_masks, axis).values() for pair in _most_urgent(walk, n, axis)]
    return [each for _, each in sorted(urgent, key=lambda pair: -pair[0])[:n]]


def is_anchor(plane_mask: PlaneMask) -> bool:
    """Whether the user showed the object on this plane, so that no walk had to come to it."""
    evidence = plane_mask.evidence
    return isnan(evidence.overlap) and not isnan(evidence.predicted_iou)


def features(walk: Sequence[PlaneMask], *, axis: int = 0) -> dict[str, NDArray[np.float64]]:
    """Turn the evidence of one object's walk into numbers for a linear model.

    Parameters
    ----------
    walk : sequence of PlaneMask
        Of one object, in any order.
    axis : int
        The axis that was walked along.

    Returns
    -------
    dict
        Each value ``(len(walk),)``, finite; what is not known is 0.
    """
    evidence = [each.evidence for each in walk]
    agreement = np.array([each.agreement for each in evidence])
    predicted = _known([each.predicted_iou for each in evidence])
    steps, worst = _since_anchor(walk, predicted, axis)
    area = np.log(np.clip(_known([each.area_ratio for each in evidence], unknown=1), np.exp(-_MOST_CHANGE), None))
    return {
        "constant": np.ones(len(walk)),
        "predicted_iou": predicted,
        "worst_so_far": worst,
        "overlap": _known([each.overlap for each in evidence]),
        "area_change": np.minimum(abs(area), _MOST_CHANGE),
        "steps": np.log1p(np.minimum(steps, _FURTHEST)),
        "between_anchors": (~np.isnan(agreement)).astype(float),
        "agreement": np.nan_to_num(agreement),
    }


def linear(table: Mapping[str, float], values: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Weigh features by a table of coefficients; the sigmoid of the sum is the confidence."""
    total: NDArray[np.float64] = np.sum([weight * values[name] for name, weight in table.items()], axis=0)
    return total


def _expected(walk: Sequence[PlaneMask], values: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    is_found = np.array([bool(each.crop) for each in walk])
    anchored = np.array([is_anchor(each) for each in walk])
    logits = np.where(is_found, linear(FOUND, values), linear(ENDED, values))
    return np.where(anchored, values["predicted_iou"], 1 / (1 + np.exp(-logits)))


def _most_urgent(walk: Sequence[PlaneMask], n: int, axis: int) -> list[tuple[float, PlaneMask]]:
    """Choose planes of one object, the best first, with the doubt that correcting each would mend."""
    doubt = 1 - _expected(walk, features(walk, axis=axis))
    is_open = np.array([not is_anchor(each) for each in walk])
    doubt[~is_open] = 0
    positions = np.array([each.plane[axis] for each in walk])
    helped = _help(positions, positions[~is_open])
    urgent = []
    for _ in range(min(n, int(is_open.sum()))):
        mended = np.where(is_open, helped @ doubt, -1)
        best = int(mended.argmax())
        urgent.append((float(mended[best]), walk[best]))
        is_open[best] = False
        doubt = doubt * (1 - helped[best])
    return urgent


def _help(positions: NDArray[np.intp], anchors: NDArray[np.intp]) -> NDArray[np.float64]:
    """Share of the doubt at each position (columns) that a correction at each position (rows) takes away, 0 to 1."""
    shift = positions[None] - positions[:, None]
    onward = np.sign(positions - _nearest(positions, anchors))[:, None] * shift >= 0
    reach = np.where(onward, _REACH["onward"], _REACH["back"])
    segment = np.searchsorted(np.sort(anchors), positions)
    share: NDArray[np.float64] = np.exp(-abs(shift) / reach) * (segment[None] == segment[:, None])
    return share


def _since_anchor(
    walk: Sequence[PlaneMask], predicted: NDArray[np.float64], axis: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Count the steps from the nearest anchor, and find the lowest predicted IoU on the way from it."""
    positions = np.array([each.plane[axis] for each in walk])
    nearest = _nearest(positions, positions[[is_anchor(each) for each in walk]])
    low, high = np.minimum(positions, nearest), np.maximum(positions, nearest)
    on_the_way = (low[:, None] <= positions) & (positions <= high[:, None]) & (positions != nearest[:, None])
    worst = np.where(on_the_way, predicted, predicted[:, None]).min(axis=1)
    return abs(positions - nearest).astype(float), worst


def _nearest(positions: NDArray[np.intp], anchors: NDArray[np.intp]) -> NDArray[np.intp]:
    """Nearest anchor to each position; the position itself if there is none."""
    if not len(anchors):
        return positions
    nearest: NDArray[np.intp] = anchors[abs(positions[:, None] - anchors).argmin(axis=1)]
    return nearest


def _known(values: Sequence[float], *, unknown: float = 0.0) -> NDArray[np.float64]:
    return np.nan_to_num(np.array(values, dtype=np.float64), nan=unknown)


def _walks(plane_masks: Sequence[PlaneMask], axis: int) -> dict[tuple[int, ...], list[PlaneMask]]:
    """Group what was last seen of objects by their lines."""
    walks: dict[tuple[int, ...], list[PlaneMask]] = defaultdict(list)
    for each in latest(plane_masks):
        if _was_seen(each):
            walks[_line(each, axis)].append(each)
    return walks


def _line(plane_mask: PlaneMask, axis: int) -> tuple[int, ...]:
    """Object id, and the indices of the plane that stay fixed."""
    return plane_mask.object_id, *plane_mask.plane[:axis], *plane_mask.plane[axis + 1 :]


def _was_seen(plane_mask: PlaneMask) -> bool:
    """Whether the model has looked at it: not if a missing plane was bridged, or an older mask cleared away."""
    return not isnan(plane_mask.evidence.predicted_iou)


def _around(position: int, walk: Sequence[PlaneMask], axis: int) -> list[PlaneMask]:
    """Return the next planes of a walk on both sides of a position, as far as there are any."""
    below = max((each for each in walk if each.plane[axis] < position), key=lambda one: one.plane[axis], default=None)
    above = min((each for each in walk if each.plane[axis] > position), key=lambda one: one.plane[axis], default=None)
    return [each for each in (below, above) if each is not None]
