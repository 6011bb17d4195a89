"""What a walk gives: one object on one plane."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_sam.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.crops import Crop
    from napari_sam.stack import Plane
    from napari_sam.step import Reason


@dataclass(frozen=True, slots=True, eq=False)
class PlaneMask:
    """One object on one plane, as a walk found it.

    Attributes
    ----------
    object_id : int
        Its label.
    plane : tuple of int
        Index of the plane.
    crop : Crop
        The mask without its empty margin: as little memory as the object needs.
    score : float
        Predicted IoU; 1 for a mask that the user gave.
    reason : str or None
        None while the walk goes on, else why it ended here: ``"range"`` (last plane asked for), ``"anchor"`` (the next
        plane was prompted), ``"stop"`` (the user said that the object is not on the next plane, or on this one),
        ``"taken"`` (other objects hold its pixels), or the rule of `StopRules`.

        Two reasons end no walk. ``"cleared"``: the walk did not come here, or had lost the object before, and an older
        mask of it was removed from the labels. ``"bridged"``: the plane is blank or missing, and the mask is
        interpolated from the planes around it; where others hold all of it, such a plane is ``"taken"``.
    evidence : Evidence
        What speaks for the mask.
    """

    object_id: int
    plane: Plane
    crop: Crop
    score: float
    reason: Reason | None = None
    evidence: Evidence = field(default_factory=Evidence)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The mask of the whole plane, ``(h, w)``, made anew each time; empty where the object has ended."""
        mask: NDArray[np.bool_] = self.crop.full()
        return mask


def latest(found: Iterable[PlaneMask]) -> list[PlaneMask]:
    """Keep the last result for each object and plane: one that a walk had to take back has come twice."""
    return list({(each.object_id, each.plane): each for each in found}.values())
