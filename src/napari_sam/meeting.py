"""Two walks from two anchors meet: one mask of both on every plane between them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.crops import Crop, hull, iou
from napari_sam.prompts import SURE_LOGIT
from napari_sam.upscaling import upscaled_mask
from napari_sam.walker import Step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.crops import Window
    from napari_sam.step import Reason

# Below this IoU the shapes of two walks are too far apart for an average of logits, which would keep what they share
# and lose the rest: halfway between two discs side by side there would be nothing.
_FAR_APART = 0.5


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
    agreement = iou(up.state.mask, down.state.mask)
    evidence = up.evidence.blended(down.evidence, weight, agreement=agreement)
    blend = _average if agreement >= _FAR_APART else _between
    logits = blend(up.state.logits, down.state.logits, weight)
    mask = upscaled_mask(logits, down.state.frame)
    return Step(replace(down.state, mask=mask, logits=logits, score=evidence.predicted_iou), None, evidence)


def _average(one: Crop, other: Crop, weight: float) -> Crop:
    """Average logits."""
    window = hull([one.window, other.window])
    return _logits(one, window, weight * one.within(window) + (1 - weight) * other.within(window))


def _between(one: Crop, other: Crop, weight: float) -> Crop:
    """Move both shapes to the place between them and average their signed distances there.

    The shape then turns from one into the other (Raya and Udupa 1990, "Shape-based interpolation"), and where it is
    turns, too.
    """
    from scipy.ndimage import distance_transform_edt

    centres = np.array([_centre(one), _centre(other)])
    middle = weight * centres[0] + (1 - weight) * centres[1]
    moved = [
        crop.shifted(*np.round(middle - centre).astype(int)) for crop, centre in zip((one, other), centres, strict=True)
    ]
    window = hull([crop.window for crop in moved])
    distance = 0
    for crop, share in zip(moved, (weight, 1 - weight), strict=True):
        inside = np.pad(crop.within(window) > 0, 1)
        signed = distance_transform_edt(inside) - distance_transform_edt(~inside)
        distance = distance + share * signed[1:-1, 1:-1]
    return _logits(one, window, np.clip(distance, -SURE_LOGIT, SURE_LOGIT))


def _centre(logits: Crop) -> NDArray[np.float64]:
    rows, columns = np.nonzero(logits.pixels > 0)
    return np.array([logits.top + rows.mean(), logits.left + columns.mean()])


def _logits(like: Crop, window: Window, pixels: NDArray[np.floating]) -> Crop:
    return Crop(like.shape, window[0].start, window[1].start, pixels.astype(np.float32), like.outside)
