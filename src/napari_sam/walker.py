"""Walk in one direction: from plane to plane with all objects at once, until a rule ends each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf, isnan, nan
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.blending import blend
from napari_sam.components import believed, largest
from napari_sam.evidence import Evidence
from napari_sam.light import Light
from napari_sam.presence import Course
from napari_sam.sharing import settle, without_lost
from napari_sam.step import PlaneState, Reason, StepPrompt, StopRules, is_neighbour
from napari_sam.vision import contrast_left

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sam.components import Components
    from napari_sam.crops import Crop
    from napari_sam.stack import Plane
    from napari_sam.track import Track
    from napari_sam.vision import Vision

_PERHAPS_MISSING = ("empty", "border", "area", "overlap", "predicted_iou", "presence", "contrast")
# Standard deviations by which an object must stand out to be judged by its brightness. The median was .3 and .6 for
# cells in phase contrast, .9 to 1.4 for neurites, 1 to 4 for nuclei.
_CLEAR = 1.0
_MISSING = 0.5  # of the resemblance that the plane behind has to the last good one


@dataclass(frozen=True, slots=True)
class Step:
    """Where one object has come on one plane.

    Attributes
    ----------
    state : PlaneState
        Without pixels where the object has ended.
    reason : str or None
        Why it goes no further.
    evidence : Evidence
        What speaks for the mask, or against it.
    course : Course
        How the walk has gone up to here.
    """

    state: PlaneState
    reason: Reason | None
    evidence: Evidence
    course: Course = field(default_factory=Course)

    @classmethod
    def given(cls, anchor: PlaneState) -> Step:
        """Return the step that an anchor is; without pixels it says "not here", or has lost all it had to others."""
        why: Reason = "taken" if anchor.logits else "stop"
        return cls(anchor, None if anchor.mask else why, Evidence(predicted_iou=anchor.score))

    def taken_back(self) -> Step:
        """Return what is said of this plane if it turns out that the object had ended: the first one tells why."""
        return replace(self, state=self.state.forgotten(), reason="dip")


Rivals = Mapping[int, Mapping[int, Step]]  # position, object id
NO_RIVALS: Rivals = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Trail:
    """What a walk remembers of an object.

    Attributes
    ----------
    state : PlaneState
        Where it was last.
    course : Course
        How the walk has gone up to there.
    contrast : ndarray of float or None
        ``(c,)``, how much brighter than its surroundings it was on its brightest anchor; None where brightness says
        nothing: on the way to another anchor, or among others as bright as itself.
    light : Light or None
        What it has shown of this since, if it may end in a dip.
    behind : tuple of Step
        What becomes of the planes since the light was dimmest, if they turn out to show another object.
    waiting : tuple of Step
        The ends that it met on planes that may be missing, since it was last found.
    """

    state: PlaneState
    course: Course
    contrast: NDArray[np.float64] | None
    light: Light | None = None
    behind: tuple[Step, ...] = ()
    waiting: tuple[Step, ...] = ()

    def onward(self, step: Step, bridged: Sequence[Step]) -> Trail:
        """Go on to a plane on which no rule has ended the object, past those that had to be bridged."""
        if self.light is None:
            return Trail(step.state, step.course, self.contrast)
        light = self.light.after(step.evidence.contrast)
        has_turned = (light.peak, light.dip) != (self.light.peak, self.light.dip)  # around the last plane
        behind = (*self.behind[-1 if has_turned else 0 :], *(each.taken_back() for each in (*bridged, step)))
        return Trail(step.state, step.course, self.contrast, light, behind)


@dataclass(frozen=True, slots=True)
class Walker:
    """Carries objects along a track.

    Attributes
    ----------
    vision : Vision
        Decodes.
    get_labels : callable
        Plane to its current labels ``(h, w)``.
    rules : StopRules
        When an object has ended.
    prompts : StepPrompt
        What is sent from plane to plane.
    components : {"supported", "largest", "all"}
        Which pieces of a mask are kept.
    outdated : callable
        Plane to the objects whose voxels there anybody may take.
    """

    vision: Vision
    get_labels: Callable[[Plane], NDArray[np.integer[Any]]]
    rules: StopRules
    prompts: StepPrompt
    components: Components = "supported"
    outdated: Callable[[Plane], Iterable[int]] = lambda plane: ()

    def walk(self, track: Track, direction: int, rivals: Rivals = NO_RIVALS) -> Iterator[tuple[int, list[Step]]]:
        """Visit the positions of a track in one direction, 1 or -1, with all objects that have an anchor behind.

        What the walk in the other direction has found may be taken from it by those who are more likely at home.

        Yields
        ------
        position, list of Step
            The objects that came to a position, anchors not among them; there may be none. What becomes known of an
            earlier position, behind a missing plane, comes before that.
        """
        trails: dict[int, Trail] = {}
        for position in track.positions(direction):
            anchored = track.anchors.get(position, {})
            coming = [trail for object_id, trail in trails.items() if object_id not in anchored]
            steps = self._step(track.plane(position), coming, rivals.get(position, {}))
            ahead = position + direction
            steps = [replace(s, reason=s.reason or track.way_out(s.state.object_id, ahead)) for s in steps]
            going_on, now, earlier = self._sort(track, direction, list(zip(coming, steps, strict=True)))
            for object_id in trails.keys() & anchored.keys():
                earlier += self._bridge(track, trails[object_id], anchored[object_id])
            for step in earlier:
                yield step.state.plane[track.axis], [step]
            yield position, now
            trails = going_on | self._set_out(track, anchored, ahead)
            if all(map(is_neighbour, trails)):
                trails = {}  # nobody is left whom neighbours could keep off

    def settle(
        self, plane: Plane, steps: Sequence[Step], rivals: Mapping[int, Step] = MappingProxyType({})
    ) -> list[PlaneState]:
        """Share the pixels of a plane, see `sharing.settle`, and keep one component of what that splits if asked to."""
        settled = settle(
            [step.state for step in steps],
            self.get_labels(plane),
            claims=[step.course.survival for step in steps],
            held=dict.fromkeys(self.outdated(plane), -inf)
            | {object_id: rival.course.survival for object_id, rival in rivals.items()},
        )
        return [without_lost(state, self._pieces(state.mask)) for state in settled]

    def beaten(self, rivals: Mapping[int, Step], winners: Sequence[Step]) -> list[Step]:
        """Return what is left of the rivals on a plane who have lost pixels of theirs there."""
        if not (rivals and winners):
            return []
        taken = np.zeros(winners[0].state.mask.shape, bool)
        for winner in winners:
            taken[winner.state.mask.window] |= winner.state.mask.pixels
        beaten = []
        for rival in rivals.values():
            mask = rival.state.mask.masked(~taken[rival.state.mask.window])
            if mask is not rival.state.mask:
                left = without_lost(rival.state, self._pieces(mask))
                gone = self.rules.reason(rival.state, left) is not None
                beaten.append(
                    replace(rival, state=left.emptied(), reason="taken") if gone else replace(rival, state=left)
                )
        return beaten

    def _pieces(self, mask: Crop) -> Crop:
        return largest(mask) if self.components == "largest" else mask

    def _sort(
        self, track: Track, direction: int, came: Sequence[tuple[Trail, Step]]
    ) -> tuple[dict[int, Trail], list[Step], list[Step]]:
        """Tell who goes on, what is known of this position, and what is known only now of earlier ones."""
        going_on: dict[int, Trail] = {}
        now: list[Step] = []
        earlier: list[Step] = []
        for trail, step in came:
            object_id = step.state.object_id
            if step.reason in _PERHAPS_MISSING and self._may_wait(track, direction, trail, step.state.plane):
                going_on[object_id] = replace(trail, waiting=(*trail.waiting, step))
                continue
            if trail.waiting and not step.state.mask:
                earlier.append(trail.waiting[0])  # it has ended where it was lost
                continue
            bridged = self._bridge(track, trail, step.state)
            onward = trail.onward(step, bridged)
            if step.state.mask and onward.light and onward.light.is_anothers:
                first, *others = trail.behind or (step.taken_back(),)
                earlier += [first, *(replace(other, reason="cleared", evidence=Evidence()) for other in others)]
                continue
            earlier += bridged
            now.append(step)
            if step.reason is None:
                going_on[object_id] = onward
        return going_on, now, earlier

    def _may_wait(self, track: Track, direction: int, trail: Trail, plane: Plane) -> bool:
        """Whether a plane looks less like the last good one than a plane behind it does: as if it was not there."""
        position, left = plane[track.axis], self.rules.max_missing - len(trail.waiting)
        if left < 1 or track.way_out(trail.state.object_id, position + direction) not in (None, "anchor"):
            return False
        last = trail.state.plane
        here = self.vision.resemblance(last, plane)
        for behind in range(position + direction, position + direction * (left + 1), direction):
            if behind not in track.extent:
                return False
            if here < _MISSING * self.vision.resemblance(last, track.plane(behind)):
                return True
        return False

    def _bridge(self, track: Track, trail: Trail, found: PlaneState) -> list[Step]:
        """Fill the planes on which an object was waited for, now that it is found again."""
        if not found.mask:
            return []
        first, last = trail.state.plane[track.axis], found.plane[track.axis]
        steps = []
        for lost in trail.waiting:
            plane = lost.state.plane
            weight = (last - plane[track.axis]) / (last - first)
            step = Step(blend(trail.state, found, weight, plane), None, Evidence(), trail.course)
            (state,) = self.settle(plane, [step])
            steps.append(replace(step, state=state, reason="bridged" if state.mask else "taken"))
        return steps

    def _set_out(self, track: Track, anchored: Mapping[int, PlaneState], ahead: int) -> dict[int, Trail]:
        """Start from the anchors of a position whose objects may go on."""
        trails = {}
        for object_id, state in anchored.items():
            if state.mask and track.way_out(object_id, ahead) is None:
                is_open = track.weight_of_lower(object_id, ahead) is None
                contrast, light = self._light(track, state) if is_open else (None, None)
                trails[object_id] = Trail(state, Course(), contrast, light)
        return trails

    def _light(self, track: Track, state: PlaneState) -> tuple[NDArray[np.float64] | None, Light | None]:
        """Compare an anchor with the one on which its object is brightest: a plane near the end is dim already."""
        own = [here[state.object_id] for here in track.anchors.values() if state.object_id in here]
        shown = [each for each in own if each.mask]
        contrasts = (self.vision.contrast(each.plane, each.mask, least=_CLEAR) for each in shown)
        brightest = max(contrasts, key=lambda contrast: float(contrast @ contrast))
        share = contrast_left(self.vision.contrast(state.plane, state.mask), brightest)
        if isnan(share) or not any(self.vision.stands_apart(each.plane, each.mask) for each in shown):
            return None, None
        return brightest, Light.of_anchor(share) if self.rules.dip else None

    def _step(self, plane: Plane, coming: Sequence[Trail], rivals: Mapping[int, Step]) -> list[Step]:
        """Decode all objects that come to a plane in one batch, end those that the rules end, share the pixels."""
        if not coming:
            return []
        sights = self._look(plane, coming)
        ended = [self.rules.reason(sight.moved, sight.seen, sight.step.evidence) for sight in sights]
        going_on = [sight.step for sight, why in zip(sights, ended, strict=True) if why is None]
        settled = {state.object_id: state for state in self.settle(plane, going_on, rivals)}
        steps = []
        for sight, why in zip(sights, ended, strict=True):
            step = sight.step
            left = settled.get(step.state.object_id, step.state)
            lost = self.rules.reason(sight.moved, left) if why is None else None
            reason = "taken" if lost and left is not step.state else why or lost  # a mean of two masks may be empty
            steps.append(replace(step, state=left.emptied() if reason else left, reason=reason))
        return steps

    def _look(self, plane: Plane, coming: Sequence[Trail]) -> list[_Sight]:
        """Decode all objects that come to a plane in one batch, and collect what speaks for their masks."""
        before = [trail.state for trail in coming]
        moved = self.vision.follow(plane, before) if self.prompts.follow else before
        decoded = self.vision.decode(
            plane,
            [self.prompts.prompt(state) for state in moved],
            [state.mask_input if self.prompts.mask else None for state in moved],
        )
        new = [PlaneState.decoded(old.object_id, plane, *each) for old, each in zip(before, decoded, strict=True)]
        seen = [
            without_lost(after, believed(after.mask, old.mask, self.components))
            for old, after in zip(moved, new, strict=True)
        ]
        return [self._judge(*each) for each in zip(coming, moved, seen, strict=True)]

    def _judge(self, trail: Trail, moved: PlaneState, seen: PlaneState) -> _Sight:
        after = seen
        if self.prompts.drift is not None:
            after = seen.remembering(moved, drift=self.prompts.drift, doubt=trail.course.usual_doubt)
        evidence = Evidence.of_step(moved.mask, seen.mask, predicted_iou=seen.score)
        course = trail.course.after(evidence)
        evidence = replace(evidence, presence=course.presence, contrast=self._left(trail, moved, seen))
        return _Sight(moved, seen, Step(after, None, evidence, course))

    def _left(self, trail: Trail, moved: PlaneState, seen: PlaneState) -> float:
        """Tell how much of its contrast an object has left; NaN where that says nothing."""
        if trail.contrast is None:
            return nan
        now = self.vision.contrast(seen.plane, moved_along(moved.mask, seen.mask))
        return contrast_left(now, trail.contrast)


@dataclass(frozen=True, slots=True)
class _Sight:
    """An object where it is expected to be on a plane, as the model sees it there, and the step that follows."""

    moved: PlaneState
    seen: PlaneState
    step: Step


def moved_along(before: Crop, after: Crop) -> Crop:
    """Move a mask to where the object has gone: the shape it had, so that a mask cannot flee what has changed."""
    if not after:
        return before
    rows, columns = np.round(after.centre - before.centre).astype(int)
    return before.shifted(int(rows), int(columns)).trimmed() or before
