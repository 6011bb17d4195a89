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
        None while walking, else why the walk ended here: ``"range"`` (last plane asked for), ``"anchor"`` (the next
        plane was prompted), ``"stop"`` (the object was said not to be on the next plane, or on this one), ``"taken"``
        (other objects hold its pixels), or the rule of `StopRules`. ``"cleared"``: the walk did not come here, or lost
        the object before, but the labels held an older mask of it, which is gone now. ``"bridged"``: the
        plane is blank or missing, and the mask is interpolated from the planes around it, where the walk goes on; also
        past one that is ``"taken"``.
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
    """Keep the last word on each object and plane: what a walk had to take back has come twice."""
    return list({(each.object_id, each.plane): each for each in found}.values())
