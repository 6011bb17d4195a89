"""Whether an object is still there: one number from all that its walk has seen."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, prod, sqrt
from statistics import fmean
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sam.evidence import Evidence

# Coefficients of a logistic regression on `Course.features`, which tools/calibrate_presence.py fits to walks that were
# not allowed to end, on training volumes and made-up stacks: whether this is the step on which the object was lost.
LOST: Mapping[str, float] = MappingProxyType(
    {"constant": -3.31, "iou_fall": 4.01, "iou_change": 0.84, "overlap_fall": 2.65}
)

# Steps that a course remembers. With all of them, a long walk would end of its length alone, since the constant is a
# chance of some percent on every plane: EM fell from .59 to .51. On training volumes 3 to 5 steps did alike.
_MEMORY = 3
_FAIR_OVERLAP = 0.5  # what the first step is compared with


@dataclass(frozen=True, slots=True)
class Course:
    """How an object's walk has gone lately.

    Each step is compared with those before it and not with fixed values: what is a bad predicted IoU, or a small
    overlap, differs from image to image, from object to object and from model to model.

    Attributes
    ----------
    ious, overlaps : tuple of float
        Predicted IoU of the last steps, and their overlap with the step before, the oldest first; none on the anchor.
    kept : tuple of float
        Probability of each that the object was not lost on it, 0 to 1.
    survival : float
        Probability that it was lost on no step since the anchor, 0 to 1. It falls with every step and says nothing
        about one object, but of two that claim the same pixels it tells which is more likely at home.
    """

    ious: tuple[float, ...] = ()
    overlaps: tuple[float, ...] = ()
    kept: tuple[float, ...] = ()
    survival: float = 1.0

    @property
    def presence(self) -> float:
        """Probability that the object was lost on none of these steps, 0 to 1."""
        return prod(self.kept)

    @property
    def usual_doubt(self) -> float | None:
        """What was expected to be wrong with the masks of these steps, as 1 minus an IoU; None on the anchor."""
        return 1 - fmean(self.ious) if self.ious else None

    def features(self, step: Evidence) -> dict[str, float]:
        """Turn the next step into numbers for a linear model; all but the constant are 0 if nothing has changed.

        ``iou_fall`` is the root of how far the predicted IoU lies below the best of the last steps, since the first
        small fall says more than a further one; ``iou_change`` what it gained since the plane before; ``overlap_fall``
        how much less than usual the mask overlaps with the last.
        """
        usual = fmean(self.overlaps) if self.overlaps else _FAIR_OVERLAP
        return {
            "constant": 1.0,
            "iou_fall": sqrt(max(0.0, max(self.ious) - step.predicted_iou)) if self.ious else 0.0,
            "iou_change": step.predicted_iou - self.ious[-1] if self.ious else 0.0,
            "overlap_fall": max(0.0, usual - step.overlap),
        }

    def after(self, step: Evidence, table: Mapping[str, float] = LOST) -> Course:
        """Return the course with one more step, judged by a table of coefficients."""
        seen = self.features(step)
        lost = 1 / (1 + exp(-sum(weight * seen[name] for name, weight in table.items())))
        return Course(
            (*self.ious, step.predicted_iou)[-_MEMORY:],
            (*self.overlaps, step.overlap)[-_MEMORY:],
            (*self.kept, 1 - lost)[-_MEMORY:],
            self.survival * (1 - lost),
        )
