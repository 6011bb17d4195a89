"""Score walks through a volume object by object: how much of it they found, and where they went too far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sam.evaluation.scores import Target, first_prompt
from napari_sam.plane_mask import PlaneMask, latest
from napari_sam.prompts import Prompt
from napari_sam.step import StopRules

if TYPE_CHECKING:
    from napari_sam.segmenter import Segmenter
    from napari_sam.step import StepPrompt

Mask = NDArray[np.bool_]  # (h, w)
Labels = NDArray[np.integer[Any]]
Masks = Mapping[int, Mask]  # of one object, by position along the first axis; a position without one is empty
Found = tuple[Target, str, Masks]  # an object, the way in which it was found, and its masks

ENDLESS = StopRules(
    min_predicted_iou=0,
    max_area_ratio=np.inf,
    min_overlap=0,
    min_presence=0,
    min_faded_presence=0,
    dip=False,
    max_missing=0,
)  # a walk goes on to the end of its range, unless nothing at all is left of the object


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """A stack with its truth, and the model's embeddings of it.

    Attributes
    ----------
    seg : Segmenter
        Of the ``(z, y, x)`` stack, where z may be time. Its labels are overwritten by each walk.
    truth : ndarray of int
        Labels of the same shape; 0 is background.
    """

    seg: Segmenter
    truth: Labels

    def mask(self, target: Target, position: int) -> Mask:
        """Truth of an object on a plane."""
        mask: Mask = self.truth[position] == target.object_id
        return mask

    def extent(self, target: Target) -> range:
        """Positions from the first to the last plane where the object is, around its start without a gap."""
        there = np.flatnonzero((self.truth == target.object_id).any(axis=(1, 2)))
        start = int(np.flatnonzero(there == target.plane[0])[0])
        runs = np.cumsum(np.diff(there, prepend=there[0]) > 1)
        own = there[runs == runs[start]]
        return range(int(own[0]), int(own[-1]) + 1)

    def first_prompt(self, target: Target, *, box: bool = True) -> Prompt:
        """Click into the object on its start plane, with a tight box or alone."""
        return first_prompt(self.truth, target, box=box)

    def painted(self, target: Target, position: int) -> Prompt:
        """Paint the object on a plane just as it is."""
        return Prompt((position,), mask=self.mask(target, position), object_id=target.object_id)

    def walk(
        self,
        prompts: Sequence[Prompt],
        *,
        start: int | None = None,
        stop: int | None = None,
        step: StepPrompt | None = None,
        rules: StopRules | None = None,
        neighbours: bool = False,
    ) -> list[PlaneMask]:
        """Propagate into empty labels."""
        self.seg.labels[...] = 0
        return list(self.seg.propagate(prompts, start=start, stop=stop, step=step, rules=rules, neighbours=neighbours))


@dataclass(frozen=True, slots=True)
class WalkScore:
    """How well one object came out of one way of finding it.

    Attributes
    ----------
    object_id : int
        Its label in the truth.
    way : str
        How it was found.
    iou : float
        Intersection over union with the truth over all planes.
    before, after : int
        False planes: those before the first and after the last one of the object that hold a mask.
    claimed : int
        All planes that hold a mask.
    """

    object_id: int
    way: str
    iou: float
    before: int
    after: int
    claimed: int


def score_walk(volume: Volume, found: Found) -> WalkScore:
    """Score the masks of an object against the whole object; planes without a mask are empty."""
    target, way, masks = found
    shared = union = 0
    true_planes = []
    for position in range(len(volume.truth)):
        true, mask = volume.mask(target, position), masks.get(position)
        count = int(np.count_nonzero(true))
        both = 0 if mask is None else int(np.count_nonzero(true & mask))
        shared += both
        union += count + (0 if mask is None else int(np.count_nonzero(mask))) - both
        true_planes += [position] if count else []
    held = [position for position, mask in masks.items() if mask.any()]
    before = sum(position < true_planes[0] for position in held)
    after = sum(position > true_planes[-1] for position in held)
    return WalkScore(target.object_id, way, shared / union, before, after, len(held))


def by_position(found: Sequence[PlaneMask], object_id: int) -> dict[int, Mask]:
    """Masks of one object in a volume, without the empty ones; the last word on a plane counts."""
    return {each.plane[0]: each.mask for each in latest(found) if each.object_id == object_id and each.crop}
