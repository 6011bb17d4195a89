"""Where a walk goes: the planes of the objects, the range that changed, the curve of scores, the weakest plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from napari_sam.confidence import confidences, weakest
from napari_sam.plugin.session import anchors

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from napari_sam.components import Components
    from napari_sam.crops import Crop
    from napari_sam.evidence import Evidence
    from napari_sam.plane_mask import PlaneMask
    from napari_sam.plugin.session import Key, Session
    from napari_sam.prompts import Prompt
    from napari_sam.stack import Plane

DOUBTFUL = 0.6  # expected IoU below which a plane wants to be looked at
_CHANNELS = 4  # as many dyes as are often seen together

Direction = Literal["both", "forward", "back"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What a walk is asked to do.

    Attributes
    ----------
    object_ids : tuple of int
        Who walks.
    axis : int
        Along which leading axis.
    start, stop : int
        Planes along the axis, half-open.
    components : {"supported", "largest", "all"}
        Which pieces of an object are kept on a plane; see `napari_sam.Segmenter.propagate`.
    neighbours : bool
        Whether what lies around the objects walks along; see there.
    """

    object_ids: tuple[int, ...]
    axis: int
    start: int
    stop: int
    components: Components = "supported"
    neighbours: bool = False

    def holds(self, plane: Plane) -> bool:
        """Whether the walk may come to a plane."""
        return self.start <= plane[self.axis] < self.stop


@dataclass(frozen=True, slots=True)
class PlaneScore:
    """One point of the curve under the buttons: the IoU that the mask is expected to have with the object."""

    position: int
    score: float
    is_anchor: bool


def plan(
    session: Session,
    object_ids: Collection[int],
    *,
    axis: int,
    stack_shape: tuple[int, ...],
    limits: tuple[int, int] | None = None,
    direction: Direction = "both",
    plane: Plane = (),
) -> tuple[Route, tuple[Prompt, ...]]:
    """Plan a walk: from the anchors that changed to the nearest ones that did not, else to the limits.

    Parameters
    ----------
    session : Session
        Its anchors count.
    object_ids : collection of int
        Who walks.
    axis : int
        Along which leading axis.
    stack_shape : tuple of int
        Lengths of the leading axes.
    limits : (int, int), optional
        Planes that may be reached, half-open. None: all.
    direction : {"both", "forward", "back"}
        ``"forward"`` starts at `plane`, ``"back"`` ends there.
    plane : tuple of int
        The plane that is shown.

    Returns
    -------
    Route, tuple of Prompt
        Where to, and the anchors to start from.

    Raises
    ------
    ValueError
        If there is nowhere to go, or nothing to start from.
    """
    if not stack_shape:
        msg = "the image is a single plane: there is nowhere to propagate to; commit the mask"
        raise ValueError(msg)
    start, stop = limits or (0, stack_shape[axis])
    start = max(start, plane[axis]) if direction == "forward" else start
    stop = min(stop, plane[axis] + 1) if direction == "back" else stop
    ids = tuple(sorted(object_ids))
    start, stop = _what_changed(session, ids, axis, (start, stop))
    way = Route(object_ids=ids, axis=axis, start=start, stop=stop)
    seeds = tuple(prompt for prompt in anchors(session, ids) if way.holds(prompt.plane))
    if all(seed.mask is not None and not seed.mask for seed in seeds):
        which = f"object {ids[0]} is" if len(ids) == 1 else f"objects {', '.join(map(str, ids))} are"
        msg = f"{which} not marked on planes {start} to {stop - 1}: click there first, or let more planes be reached"
        raise ValueError(msg)
    return way, seeds


def expected(session: Session, way: Route, seeds: Collection[Plane]) -> set[Key]:
    """Drafts of earlier walks that this one goes over: it may find them again, or not."""
    fixed = {_others(plane, way.axis) for plane in seeds}
    return {
        key
        for key, draft in session.drafts.items()
        if key[0] in way.object_ids and not draft.is_anchor and way.holds(key[1]) and _others(key[1], way.axis) in fixed
    }


def scores(session: Session, object_id: int, *, axis: int, like: Plane) -> tuple[PlaneScore, ...]:
    """Tell how sure each mask of an object is along an axis, through the plane ``like``."""
    own = _found(session, object_id, axis, like)
    trust = confidences(cast("Sequence[PlaneMask]", own), axis=axis)
    points = [
        PlaneScore(one.plane[axis], score if one.crop else 0.0, one.is_anchor)
        for one, score in zip(own, trust, strict=True)
        if one.crop or one.is_anchor
    ]
    return tuple(sorted(points, key=lambda one: one.position))


def worst(session: Session, object_id: int, *, axis: int, like: Plane) -> int | None:
    """Find the position where a correction would mend most; None where the user has vouched for everything."""
    own = _found(session, object_id, axis, like)
    urgent = weakest(cast("Sequence[PlaneMask]", own), 1, axis=axis)
    return urgent[0].plane[axis] if urgent else None


@dataclass(frozen=True, slots=True)
class _Found:
    """What a confidence is told from: the part of a `PlaneMask` that it looks at."""

    object_id: int
    plane: Plane
    crop: Crop
    evidence: Evidence
    is_anchor: bool


def _found(session: Session, object_id: int, axis: int, like: Plane) -> list[_Found]:
    if axis >= len(like):
        return []
    return [
        _Found(one, plane, draft.mask, draft.evidence, draft.is_anchor)
        for (one, plane), draft in session.drafts.items()
        if one == object_id and _others(plane, axis) == _others(like, axis)
    ]


def likely_axis(stack_shape: tuple[int, ...]) -> int:
    """Choose the axis to walk along at first: the last one that is too long to hold channels, else that has planes."""
    axes = range(len(stack_shape))
    return max(axes, key=lambda axis: (stack_shape[axis] > _CHANNELS, stack_shape[axis] > 1, axis), default=0)


def outward(plane: Plane, shape: tuple[int, ...], *, axis: int) -> list[Plane]:
    """All planes along an axis through one, the nearest first: the order in which a user will want them."""
    if not shape:
        return [()]
    positions = sorted(range(shape[axis]), key=lambda position: abs(position - plane[axis]))
    return [(*plane[:axis], position, *plane[axis + 1 :]) for position in positions]


def _what_changed(session: Session, object_ids: tuple[int, ...], axis: int, limits: tuple[int, int]) -> tuple[int, int]:
    """Narrow a walk that was done before to the planes between the anchors that did not change."""
    start, stop = limits
    anchored, changed = _anchored(session, object_ids, axis), _changed(session, object_ids, axis)
    have_walked = {key[0] for key, draft in session.drafts.items() if not draft.is_anchor}
    if not changed or not have_walked.issuperset(object_ids):
        return limits
    kept = anchored - changed
    below, above = (p for p in kept if p < min(changed)), (p + 1 for p in kept if p > max(changed))
    return max([start, *below]), min([stop, *above])


def _others(plane: Plane, axis: int) -> Plane:
    return (*plane[:axis], *plane[axis + 1 :])


def _anchored(session: Session, object_ids: Collection[int], axis: int) -> set[int]:
    keys = {key for key, draft in session.drafts.items() if draft.is_anchor} | session.prompts.keys()
    return {plane[axis] for one, plane in keys if one in object_ids}


def _changed(session: Session, object_ids: Collection[int], axis: int) -> set[int]:
    return {plane[axis] for one, plane in session.changed if one in object_ids}
