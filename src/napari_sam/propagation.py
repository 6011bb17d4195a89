"""Carry objects from plane to plane: every mask prompts the next one, and every end has a reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_sam.appearance import Appearance
from napari_sam.evidence import Evidence, iou
from napari_sam.labels import share_pixels
from napari_sam.prompts import SURE_LOGIT, Prompt, mask_to_logits
from napari_sam.step import PlaneState, Reason, StepPrompt, StopRules

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from napari_sam.embeddings import ImageEmbedding
    from napari_sam.image import Frame
    from napari_sam.predictor import LowRes, MaskPrediction
    from napari_sam.stack import Plane

Upscale = Callable[["LowRes", "Frame"], NDArray[np.float32]]
Look = Callable[["LowRes", "ImageEmbedding"], Appearance]


class Predict(Protocol):
    """`napari_sam.predictor.predict` with its model filled in."""

    def __call__(  # noqa: D102
        self,
        embedding: ImageEmbedding,
        prompts: Sequence[Prompt],
        *,
        multimask_output: bool | None,
        mask_input: Sequence[LowRes | None] | None,
    ) -> tuple[MaskPrediction, ...]: ...


@dataclass(frozen=True, slots=True, eq=False)
class PlaneMask:
    """One object on one plane, as a walk found it.

    Attributes
    ----------
    object_id : int
        Its label.
    plane : tuple of int
        Index of the plane.
    mask : ndarray of bool
        ``(h, w)``; empty where a stop rule ended the walk.
    score : float
        Predicted IoU; 1 for a mask that the user gave.
    reason : str or None
        None while walking, else why the walk ended here: ``"range"`` (last plane asked for), ``"anchor"`` (the next
        plane was prompted), ``"taken"`` (other objects hold its pixels), or the rule of `StopRules`.
    evidence : Evidence
        What speaks for the mask.
    """

    object_id: int
    plane: Plane
    mask: NDArray[np.bool_]
    score: float
    reason: Reason | None = None
    evidence: Evidence = field(default_factory=Evidence)


def propagate(
    anchors: Sequence[PlaneState],
    *,
    axis: int,
    start: int,
    stop: int,
    get_embedding: Callable[[Plane], ImageEmbedding],
    get_labels: Callable[[Plane], NDArray[np.integer[Any]]],
    predict: Predict,
    upscale: Upscale,
    look: Look,
    rules: StopRules | None = None,
    step: StepPrompt | None = None,
) -> Iterator[tuple[PlaneMask, ...]]:
    """Walk from each anchor to both sides along one axis of the stack.

    The anchors come first. Then all objects walk up together, then down together, and what is found on a plane comes
    at once: the objects are decoded in one batch and no two of their masks overlap. Between two anchors of one object
    the walks from both are blended by distance, and come on the way down. An object that a stop rule ends on a plane
    comes once more with an empty mask and the reason.

    Nothing is written: the caller does so before it asks for the next plane, so that ``get_labels`` knows about it.

    Parameters
    ----------
    anchors : sequence of PlaneState
        Objects on the planes where the user showed them; at most one per object and plane.
    axis : int
        The axis of the plane index to walk along; the other axes stay fixed for each anchor.
    start, stop : int
        Range of the walk along the axis, half-open; holds all anchors.
    get_embedding : callable
        Plane to its embedding.
    get_labels : callable
        Plane to its current labels ``(h, w)``. Voxels of objects that do not walk here are never claimed.
    predict, upscale : callable
        `predictor.predict` and `predictor.upscale` of a model.
    look : callable
        `Appearance.of` for a model.
    rules : StopRules, optional
        When a walk ends.
    step : StepPrompt, optional
        What is sent from plane to plane.

    Yields
    ------
    tuple of PlaneMask
        The objects of one plane, at least one.
    """
    walker = _Walker(get_embedding, get_labels, predict, upscale, look, rules or StopRules(), step or StepPrompt())
    tracks = _tracks(anchors, axis)
    for track in tracks:
        for here in track.anchors.values():
            yield tuple(_Step.given(state).report() for state in here.values())
    for track in tracks:
        yield from walker.up_and_down(track, start, stop)


def settle(states: Sequence[PlaneState], labels: NDArray[np.integer[Any]], upscale: Upscale) -> list[PlaneState]:
    """Give every pixel of a plane to one object.

    What other objects hold in ``labels`` is theirs; the rest goes to the highest logit. An object that loses pixels
    loses them in its logits, too, so that it does not come back for them on the next plane.

    Parameters
    ----------
    states : sequence of PlaneState
        Different objects on one plane.
    labels : ndarray of int
        ``(h, w)``, the current labels of the plane; voxels of the objects themselves count as free.
    upscale : callable
        `predictor.upscale` of a model.

    Returns
    -------
    list of PlaneState
        In the same order; masks do not overlap.
    """
    by_id = {state.object_id: state for state in states}
    foreign = (labels != 0) & ~np.isin(labels, list(by_id))
    masks = share_pixels(
        {object_id: state.mask & ~foreign for object_id, state in by_id.items()},
        lambda object_id: upscale(by_id[object_id].low_res_logits, by_id[object_id].frame),
    )
    return [_trim(state, masks[state.object_id]) for state in states]


@dataclass(frozen=True, slots=True)
class _Step:
    """Where one object has come on one plane."""

    state: PlaneState
    reason: Reason | None
    evidence: Evidence

    @classmethod
    def given(cls, anchor: PlaneState) -> _Step:
        return cls(anchor, None if anchor.mask.any() else "taken", Evidence(predicted_iou=anchor.score))

    def report(self) -> PlaneMask:
        state = self.state
        return PlaneMask(state.object_id, state.plane, state.mask, state.score, self.reason, self.evidence)


@dataclass(frozen=True, slots=True)
class _Track:
    """Anchors that share all indices but the one along the axis: ``anchors[position][object_id]``."""

    axis: int
    fixed: Plane
    anchors: Mapping[int, Mapping[int, PlaneState]]

    def plane(self, position: int) -> Plane:
        return (*self.fixed[: self.axis], position, *self.fixed[self.axis :])

    def weight_of_lower(self, object_id: int, position: int) -> float | None:
        """Nearness of the object's next anchor below, 0 to 1, against the one above; None on an open end."""
        own = [p for p, here in self.anchors.items() if object_id in here]
        below = max((p for p in own if p < position), default=None)
        above = min((p for p in own if p > position), default=None)
        return None if below is None or above is None else (above - position) / (above - below)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the walk up found of an object in a gap; surely background logits are not kept."""

    reason: Reason | None
    evidence: Evidence
    weight: float
    frame: Frame
    logits: csr_array

    @classmethod
    def of(cls, step: _Step, weight: float) -> _Seen:
        from scipy.sparse import csr_array

        state = step.state
        kept = state.mask.any() & (state.low_res_logits > -SURE_LOGIT / 2)
        logits = csr_array(np.where(kept, state.low_res_logits + SURE_LOGIT, 0))
        return cls(step.reason, step.evidence, weight, state.frame, logits)

    def restore(self, object_id: int, plane: Plane, upscale: Upscale) -> _Step:
        logits = (self.logits.toarray() - SURE_LOGIT).astype(np.float32)
        mask, score = upscale(logits, self.frame) > 0, self.evidence.predicted_iou
        return _Step(PlaneState(object_id, plane, mask, score, logits, self.frame), self.reason, self.evidence)


@dataclass(frozen=True, slots=True)
class _Walker:
    get_embedding: Callable[[Plane], ImageEmbedding]
    get_labels: Callable[[Plane], NDArray[np.integer[Any]]]
    predict: Predict
    upscale: Upscale
    look: Look
    rules: StopRules
    prompts: StepPrompt

    def up_and_down(self, track: _Track, start: int, stop: int) -> Iterator[tuple[PlaneMask, ...]]:
        """Report open ends at once; keep what the walk up finds in a gap until the walk down comes by."""
        seen: dict[int, dict[int, _Seen]] = defaultdict(dict)
        for position, steps in self._walk(track, range(min(track.anchors), stop)):
            open_ends = []
            for step in steps:
                weight = track.weight_of_lower(step.state.object_id, position)
                if weight is None:
                    open_ends.append(step)
                else:
                    seen[position][step.state.object_id] = _Seen.of(step, weight)
            yield from _report(open_ends)
        for position, steps in self._walk(track, range(max(track.anchors), start - 1, -1)):
            yield from _report(self._meet(track, position, steps, seen.pop(position, {})))

    def _walk(self, track: _Track, positions: range) -> Iterator[tuple[int, list[_Step]]]:
        """Visit the positions in order with all objects that have an anchor behind and have not ended."""
        walking: dict[int, PlaneState] = {}
        origins: dict[int, Appearance] = {}
        for position in positions:
            anchored = track.anchors.get(position, {})
            before = [state for object_id, state in walking.items() if object_id not in anchored]
            steps = self._step(track.plane(position), before, origins) if before else []
            ahead = track.anchors.get(position + positions.step, {})
            last: Reason | None = "range" if position == positions[-1] else None
            steps = [replace(s, reason=s.reason or ("anchor" if s.state.object_id in ahead else last)) for s in steps]
            arrived = [step.state for step in steps if step.state.mask.any()]
            walking = {s.object_id: s for s in (*arrived, *anchored.values()) if s.mask.any()}
            for object_id, state in anchored.items():
                origins[object_id] = self.look(state.low_res_logits, self.get_embedding(state.plane))
            yield position, steps

    def _step(self, plane: Plane, before: Sequence[PlaneState], origins: Mapping[int, Appearance]) -> list[_Step]:
        """Decode all objects that come to a plane in one batch, end those that the rules end, share the pixels."""
        embedding = self.get_embedding(plane)
        after = self._decode(plane, embedding, before)
        evidence = [self._compare(*pair, embedding, origins) for pair in zip(before, after, strict=True)]
        reasons = [self.rules.reason(*step) for step in zip(before, after, evidence, strict=True)]
        going_on = [state for state, why in zip(after, reasons, strict=True) if why is None]
        settled = {s.object_id: s for s in settle(going_on, self.get_labels(plane), self.upscale)}
        steps: list[_Step] = []
        for old, new, why, seen in zip(before, after, reasons, evidence, strict=True):
            state = settled.get(new.object_id, new)
            lost = why is None and self.rules.reason(old, state) is not None
            ended = "taken" if lost else why
            steps.append(_Step(_emptied(state) if ended else state, ended, seen))
        return steps

    def _compare(
        self, before: PlaneState, after: PlaneState, embedding: ImageEmbedding, origins: Mapping[int, Appearance]
    ) -> Evidence:
        likeness = self.look(after.low_res_logits, embedding).likeness(origins[after.object_id])
        return Evidence.of_step(before.mask, after.mask, predicted_iou=after.score, likeness=likeness)

    def _decode(self, plane: Plane, embedding: ImageEmbedding, before: Sequence[PlaneState]) -> list[PlaneState]:
        predictions = self.predict(
            embedding,
            [self.prompts.prompt(state) for state in before],
            multimask_output=False,
            mask_input=[state.low_res_logits if self.prompts.mask else None for state in before],
        )
        return [
            PlaneState.decoded(state.object_id, plane, prediction, embedding.frame)
            for state, prediction in zip(before, predictions, strict=True)
        ]

    def _meet(self, track: _Track, position: int, steps: list[_Step], seen: Mapping[int, _Seen]) -> list[_Step]:
        """Join what both walks found on a plane."""
        plane = track.plane(position)
        met = {step.state.object_id: self._alone(track, position, step) for step in steps}
        for object_id, kept in seen.items():
            up = kept.restore(object_id, plane, self.upscale)
            step = _join(up, met.get(object_id), kept.weight, self.upscale)
            at_anchor = step.state.mask.any() and object_id in track.anchors.get(position - 1, {})
            met[object_id] = replace(step, reason="anchor") if at_anchor else step
        if not seen:
            return list(met.values())
        settled = settle([step.state for step in met.values()], self.get_labels(plane), self.upscale)
        steps = [replace(met[state.object_id], state=state) for state in settled]
        return [s if s.state.mask.any() else replace(s, reason=s.reason or "taken") for s in steps]

    def _alone(self, track: _Track, position: int, step: _Step) -> _Step:
        """Say of a walk in a gap that nothing has come to meet it."""
        if track.weight_of_lower(step.state.object_id, position) is None:
            return step
        return replace(step, evidence=replace(step.evidence, agreement=0.0))


def _join(up: _Step, down: _Step | None, weight: float, upscale: Upscale) -> _Step:
    """Blend two walks, ``weight`` for the one going up; where only one has found the object, it stands alone."""
    found = [step for step in (up, down) if step is not None and step.state.mask.any()]
    if down is None or not found:
        whys: list[Reason | None] = [step.reason for step in (up, down) if step is not None]
        why: Reason = next((why for why in whys if why is not None and why != "anchor"), "empty")
        return replace(up, reason=None if found else why, evidence=replace(up.evidence, agreement=0.0))
    if len(found) == 1:
        return replace(found[0], reason=None, evidence=replace(found[0].evidence, agreement=0.0))
    logits = weight * up.state.low_res_logits + (1 - weight) * down.state.low_res_logits
    agreement = iou(up.state.mask, down.state.mask)
    evidence = up.evidence.blended(down.evidence, weight, agreement=agreement)
    mask, score = upscale(logits, down.state.frame) > 0, evidence.predicted_iou
    return _Step(replace(down.state, mask=mask, low_res_logits=logits, score=score), None, evidence)


def _trim(state: PlaneState, mask: NDArray[np.bool_]) -> PlaneState:
    if np.array_equal(mask, state.mask):
        return state
    stride = state.frame.padded_size[0] // state.low_res_logits.shape[0]
    lost = mask_to_logits(mask, state.frame, low_res_stride=stride)
    return replace(state, mask=mask, low_res_logits=np.minimum(state.low_res_logits, lost))


def _emptied(state: PlaneState) -> PlaneState:
    return replace(state, mask=np.zeros_like(state.mask))


def _report(steps: Sequence[_Step]) -> Iterator[tuple[PlaneMask, ...]]:
    if steps:
        yield tuple(step.report() for step in steps)


def _tracks(anchors: Sequence[PlaneState], axis: int) -> list[_Track]:
    anchored: dict[Plane, dict[int, dict[int, PlaneState]]] = defaultdict(lambda: defaultdict(dict))
    for anchor in anchors:
        fixed = (*anchor.plane[:axis], *anchor.plane[axis + 1 :])
        anchored[fixed][anchor.plane[axis]][anchor.object_id] = anchor
    return [_Track(axis, fixed, positions) for fixed, positions in anchored.items()]
