"""What speaks for a mask that a walk found: the raw material of a confidence."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import isnan, nan
from typing import TYPE_CHECKING

from napari_sam.crops import iou

if TYPE_CHECKING:
    from napari_sam.crops import Crop


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known about one object on one plane besides its mask; NaN where there is nothing to compare with.

    Attributes
    ----------
    predicted_iou : float
        What the model expects of its own mask, 0 to 1; 1 for a mask that the user gave.
    overlap : float
        IoU of what the model sees with the mask of the plane before, moved as the image has moved, 0 to 1; NaN on an
        anchor.
    area_ratio : float
        Area of what the model sees over that of the moved mask, at least 0; NaN on an anchor.
    presence : float
        Probability that the walk has not lost the object on its last steps, 0 to 1, see `Course`; NaN on an anchor.
    contrast : float
        How much of the difference in brightness to its surroundings, as it was on its brightest anchor, is left on
        this plane at the place where it was on the plane before (moved along with it); 1 is all of it, below 0 it is
        reversed. NaN on an anchor, between two anchors, and where the object does not stand apart from most of what is
        around it.
    agreement : float
        Between two anchors: IoU of what the walks from both have found, 0 to 1, 0 where only one found anything; NaN
        elsewhere.
    """

    predicted_iou: float = nan
    overlap: float = nan
    area_ratio: float = nan
    presence: float = nan
    contrast: float = nan
    agreement: float = nan

    @classmethod
    def of_step(cls, before: Crop, after: Crop, *, predicted_iou: float) -> Evidence:
        """Compare the mask that was expected on a plane with that which is seen; the first must not be empty."""
        return cls(predicted_iou=predicted_iou, overlap=iou(before, after), area_ratio=after.area / before.area)

    def blended(self, other: Evidence, weight: float, *, agreement: float) -> Evidence:
        """Average with what another walk has seen, ``weight`` for this one; what only one of them knows is kept."""
        return Evidence(
            **{f.name: _mean(getattr(self, f.name), getattr(other, f.name), weight) for f in fields(self)}
            | {"agreement": agreement}
        )


def _mean(one: float, other: float, weight: float) -> float:
    if isnan(one) or isnan(other):
        return other if isnan(one) else one
    return weight * one + (1 - weight) * other
