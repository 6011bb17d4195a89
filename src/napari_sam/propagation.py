"""Carry objects from plane to plane: every mask prompts the next one, and every end has a reason."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.crops import Crop
from napari_sam.evidence import Evidence
from napari_sam.meeting import meet
from napari_sam.neighbours import find_neighbours
from napari_sam.plane_mask import PlaneMask
from napari_sam.step import StepPrompt, StopRules, is_neighbour
from napari_sam.track import Track, lay_tracks
from napari_sam.walker import Step, Walker

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam.components import Components
    from napari_sam.stack import Plane
    from napari_sam.step import PlaneState
    from napari_sam.vision import Vision


_TAKEN_BACK = ("dip", "cleared")  # reasons of steps that replace what was found before


def propagate(
    anchors: Sequence[PlaneState],
    vision: Vision,
    *,
    axis: int,
    positions: range,
    get_labels: Callable[[Plane], NDArray[np.integer[Any]]],
    rules: StopRules | None = None,
    step: StepPrompt | None = None,
    components: Components = "supported",
    neighbours: bool = False,
    changed: Collection[Plane] | None = None,
) -> Iterator[tuple[PlaneMask, ...]]:
    """Walk from each anchor to both sides along one axis of the stack.

    The anchors come first. Then all objects walk up together, then down together, and what is found on a plane
    comes at once: the objects are decoded in one batch and no two of their masks overlap. Between two anchors of
    one object the walks from both are blended by distance, and come on the way down. Where an object comes down to
    another that has come up, the pixels go to the one that is more likely still at home; the other comes a second
    time with what it has left, and if that is nothing, so do the planes above, with the reason "cleared". So do
    those from a "dip" on: only what follows tells that it was one. An object that a stop rule ends on a plane comes
    once more with an empty mask and the reason. At the end come planes on which the labels hold an older mask of an
    object that did not come there this time: empty, with the reason "cleared".

    Nothing is written: the caller does so before it asks for the next plane, so that ``get_labels`` knows about it.

    Parameters
    ----------
    anchors : sequence of PlaneState
        Objects on the planes where the user showed them; at most one per object and plane. They share their pixels,
        and leave those of others, as on any plane of a walk. One without pixels says that the object is not there:
        walks end before it.
    vision : Vision
        The stack as the model sees it.
    axis : int
        The axis of the plane index to walk along; the other axes stay fixed for each anchor.
    positions : range
        Range of the walk along the axis; holds all anchors.
    get_labels : callable
        Plane to its current labels ``(h, w)``. Voxels of objects that do not walk here are never claimed; those that an
        earlier walk has left of objects that do are, until these come.
    rules : StopRules, optional
        When a walk ends.
    step : StepPrompt, optional
        What is sent from plane to plane.
    components : {"supported", "largest", "all"}
        Which pieces of a mask are kept: those that overlap with the mask of the plane before, the largest of these, or
        whatever the model gives. Anchors stay whole.
    neighbours : bool
        Let what lies around the objects walk along, unseen, so that it keeps its pixels; see `find_neighbours`.
    changed : collection of tuple of int, optional
        Planes whose anchors are new or different: only what lies between their neighbours is walked. None: all.

    Yields
    ------
    tuple of PlaneMask
        The objects of one plane, at least one.
    """
    walker = Walker(vision, get_labels, rules or StopRules(), step or StepPrompt(), components)
    anchors = [each for track in lay_tracks(anchors, axis, positions, changed) for each in _settled(walker, track)]
    around = find_neighbours(anchors, vision, get_labels, changed=changed) if neighbours else []
    tracks = lay_tracks([*anchors, *around], axis, positions, changed)
    for track in tracks:
        for here in track.anchors.values():
            yield from _report([Step.given(state) for state in here.values()])
    for track in tracks:
        reached: set[tuple[int, Plane]] = set()
        walker = replace(walker, outdated=partial(_outdated, track, reached))
        for found in _up_and_down(walker, track):
            reached |= {(each.object_id, each.plane) for each in found}
            yield found
        yield from _clear(walker, track, reached)


def _settled(walker: Walker, track: Track) -> Iterator[PlaneState]:
    """Share the pixels of the planes where objects were shown; what earlier walks have left there stops nobody."""
    walker = replace(walker, outdated=partial(_outdated, track, ()), components="all")  # of what was shown, all stays
    for position, here in track.anchors.items():
        yield from walker.settle(track.plane(position), [Step.given(state) for state in here.values()])


def _up_and_down(walker: Walker, track: Track) -> Iterator[tuple[PlaneMask, ...]]:
    """Report open ends at once; keep what the walk up finds in a gap until the walk down comes by."""
    gaps: dict[int, dict[int, Step]] = defaultdict(dict)
    rivals: dict[int, dict[int, Step]] = defaultdict(dict)  # what the walk down may contest
    for position, steps in walker.walk(track, 1):
        open_ended: dict[int, Step] = {}
        for step in steps:
            is_open = track.weight_of_lower(step.state.object_id, position) is None
            (open_ended if is_open else gaps[position])[step.state.object_id] = step
        rivals[position] |= open_ended
        rivals[position] = {object_id: step for object_id, step in rivals[position].items() if step.state.mask}
        yield from _report(list(open_ended.values()))
    came: set[tuple[int, int]] = set()  # what a bridge must not replace
    for position, steps in walker.walk(track, -1, rivals):
        new = [s for s in steps if (s.state.object_id, position) not in came or s.reason in _TAKEN_BACK]
        met = _meet(walker, track, position, new, gaps.pop(position, {}), rivals[position])
        came |= {(step.state.object_id, position) for step in met}
        beaten = walker.beaten(rivals[position], met)
        yield from _report([*met, *beaten])
        yield from _driven_out(position, beaten, rivals)


def _driven_out(
    position: int, beaten: Sequence[Step], rivals: dict[int, dict[int, Step]]
) -> Iterator[tuple[PlaneMask, ...]]:
    """Take back what lies above the plane where an object was lost to another one."""
    rivals[position] |= {step.state.object_id: step for step in beaten}
    gone = {step.state.object_id for step in beaten if not step.state.mask}
    for above in sorted(p for p in rivals if p > position) if gone else ():
        left = [rivals[above].pop(object_id) for object_id in gone & rivals[above].keys()]
        found = [step.state for step in left if step.state.mask]
        yield from _report([Step(state.emptied(), "cleared", Evidence()) for state in found])


def _meet(
    walker: Walker,
    track: Track,
    position: int,
    steps: list[Step],
    gap: Mapping[int, Step],
    rivals: Mapping[int, Step],
) -> list[Step]:
    """Join what both walks have found on a plane, and share its pixels again."""
    met = {step.state.object_id: step for step in steps}
    for object_id in dict.fromkeys((*met, *gap)):
        weight = track.weight_of_lower(object_id, position)
        if weight is not None:
            step = meet(gap.get(object_id), met.get(object_id), weight)
            out = track.way_out(object_id, position - 1) if step.state.mask else None
            met[object_id] = replace(step, reason=step.reason or out)
    if not gap:
        return list(met.values())
    settled = walker.settle(track.plane(position), list(met.values()), rivals)
    joined = [replace(met[state.object_id], state=state) for state in settled]
    return [step if step.state.mask else replace(step, reason=step.reason or "taken") for step in joined]


def _clear(walker: Walker, track: Track, reached: Collection[tuple[int, Plane]]) -> Iterator[tuple[PlaneMask, ...]]:
    """Take back what an earlier walk has left of the objects where this one has not come, but might have."""
    for position in sorted(set().union(*track.spans.values())):
        plane = track.plane(position)
        if not (missed := _outdated(track, reached, plane)):
            continue
        labels = walker.get_labels(plane)
        left = np.unique(labels[np.isin(labels, np.array(missed, labels.dtype))]).tolist()
        if left:
            height, width = labels.shape
            yield tuple(PlaneMask(i, plane, Crop.empty((height, width)), 0.0, "cleared") for i in left)


def _outdated(track: Track, reached: Collection[tuple[int, Plane]], plane: Plane) -> list[int]:
    """Objects of which a plane may hold what an earlier walk has left, because this one has not come there yet."""
    return [object_id for object_id in track.due(plane[track.axis]) if (object_id, plane) not in reached]


def _report(steps: Sequence[Step]) -> Iterator[tuple[PlaneMask, ...]]:
    """Tell of the objects; what only walks along is nobody's business."""
    found = tuple(
        PlaneMask(s.state.object_id, s.state.plane, s.state.mask, s.state.score, s.reason, s.evidence)
        for s in steps
        if not is_neighbour(s.state.object_id)
    )
    if found:
        yield found
