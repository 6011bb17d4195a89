"""One shape between two: what an object looks like where two walks, or two planes, disagree."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.crops import Crop, hull, iou, widened
from napari_sam.low_res import SURE_LOGIT, mean_logits
from napari_sam.upscaling import upscaled_mask

if TYPE_CHECKING:
    from napari_sam.stack import Plane
    from napari_sam.step import PlaneState

# Below this IoU the shapes of two walks are too far apart for an average of logits, which would keep what they share
# and lose the rest: halfway between two discs side by side there would be nothing.
_FAR_APART = 0.5


def blend(one: PlaneState, other: PlaneState, weight: float, plane: Plane) -> PlaneState:
    """Blend two states of an object, neither of them empty.

    Logits are averaged; where the shapes are far apart, the shape in between is interpolated.

    Parameters
    ----------
    one, other : PlaneState
        Of the same object, on this plane or on those around it.
    weight : float
        Of the first, 0 to 1.
    plane : tuple of int
        Where the result is.
    """
    join = mean_logits if iou(one.mask, other.mask) >= _FAR_APART else _between
    frame = one.frame.spanning(other.frame)
    logits = join(one.seen_in(frame), other.seen_in(frame), weight)
    score = weight * one.score + (1 - weight) * other.score
    return replace(one, plane=plane, mask=upscaled_mask(logits, frame), score=score, logits=logits, frame=frame)


def _between(one: Crop, other: Crop, weight: float) -> Crop:
    """Move both shapes to the place between them and average their signed distances there.

    The shape then turns from one into the other (Raya and Udupa 1990, "Shape-based interpolation"), and where it is
    turns, too.
    """
    from scipy.ndimage import distance_transform_edt

    shapes = [_shape(one), _shape(other)]
    middle = weight * shapes[0].centre + (1 - weight) * shapes[1].centre
    moved = [shape.shifted(*np.round(middle - shape.centre).astype(int)) for shape in shapes]
    window = widened(hull([crop.window for crop in moved]), one.shape, 1)  # the outline lies between two cells
    distance = 0
    for crop, share in zip(moved, (weight, 1 - weight), strict=True):
        inside = np.pad(crop.within(window), 1)
        signed = distance_transform_edt(inside) - distance_transform_edt(~inside)
        distance = distance + share * signed[1:-1, 1:-1]
    pixels = np.clip(distance, -SURE_LOGIT, SURE_LOGIT).astype(np.float32)
    return Crop(one.shape, window[0].start, window[1].start, pixels, one.outside)


def _shape(logits: Crop) -> Crop:
    """Return where the object is: above 0, or in the highest cell if it fills less than half of any."""
    inside = logits.pixels > 0
    return replace(logits, pixels=inside if inside.any() else logits.pixels == logits.pixels.max(), outside=0)
