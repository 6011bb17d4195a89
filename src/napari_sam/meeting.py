"""Two walks from two anchors meet: one mask of both on every plane between them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_sam.blending import blend
from napari_sam.crops import iou
from napari_sam.walker import Step

if TYPE_CHECKING:
    from napari_sam.step import Reason


def meet(up: Step | None, down: Step | None, weight: float) -> Step:
    """Join what two walks have found of an object on a plane between their anchors.

    Parameters
    ----------
    up, down : Step or None
        Of the walks from below and from above; None where a walk has ended before. At least one must have come.
    weight : float
        Of the walk from below, 0 to 1.

    Returns
    -------
    Step
        The blend of both masks; where only one walk has found the object, it stands alone with an agreement of 0.
    """
    steps = [step for step in (up, down) if step is not None]
    found = [step for step in steps if step.state.mask]
    if len(found) == 2:
        return _blend(found[0], found[1], weight)
    best = (found or steps)[0]
    whys: list[Reason] = [step.reason for step in steps if step.reason is not None and step.reason != "anchor"]
    reason: Reason | None = None if found else next(iter(whys), "empty")
    return Step(best.state, reason, replace(best.evidence, agreement=0.0))


def _blend(up: Step, down: Step, weight: float) -> Step:
    evidence = up.evidence.blended(down.evidence, weight, agreement=iou(up.state.mask, down.state.mask))
    return Step(blend(up.state, down.state, weight, up.state.plane), None, evidence)
