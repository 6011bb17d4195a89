"""One step of a walk: what the mask of a plane tells the next plane, and when the walk must end."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_sam.crops import Crop, shared_area
from napari_sam.low_res import SURE_LOGIT, MaskInput, crop_logits, mask_to_logits, mean_logits, move_logits
from napari_sam.prompts import Prompt
from napari_sam.upscaling import upscaled_mask

if TYPE_CHECKING:
    from napari_sam.evidence import Evidence
    from napari_sam.image import Frame
    from napari_sam.low_res import LowRes
    from napari_sam.model.config import SamConfig
    from napari_sam.stack import Plane

Reason = Literal[
    "range", "anchor", "stop", "taken", "cleared", "bridged",
    "empty", "border", "area", "overlap", "predicted_iou", "presence", "contrast", "dip",
]  # fmt: skip


_LEAST_DOUBT = 0.02  # no model is to be believed more


@dataclass(frozen=True, slots=True, eq=False)
class PlaneState:
    """One object on one plane, as a walk carries it to the next.

    Attributes
    ----------
    object_id : int
        Its label, or that of a neighbour, see `is_neighbour`.
    plane : tuple of int
        Where it is.
    mask : Crop of bool
        Of the plane; empty on a plane where the user said that the object is not.
    score : float
        Predicted IoU; 1 for a mask that the user gave.
    logits : Crop of float32
        Low-res logits, the dense prompt for the next plane; surely background where there is no pixel.
    frame : Frame
        Geometry of the plane and of the logits.
    doubt : float
        What is expected to be wrong with the mask: 1 minus its IoU with the truth.
    """

    object_id: int
    plane: Plane
    mask: Crop
    score: float
    logits: Crop
    frame: Frame
    doubt: float = 0.0

    @property
    def mask_input(self) -> MaskInput:
        """What the next plane's decoder is told of the mask."""
        return MaskInput(self.logits.full(), self.frame)

    @property
    def low_res_stride(self) -> int:
        """Model pixels along a cell of the logits."""
        return self.frame.padded_size[0] // self.logits.shape[0]

    def seen_in(self, frame: Frame) -> Crop:
        """Return the logits as they are in another frame of the plane."""
        if frame == self.frame:
            return self.logits
        return crop_logits(move_logits(self.logits.full(), self.frame, frame, low_res_stride=self.low_res_stride))

    @classmethod
    def decoded(cls, object_id: int, plane: Plane, low_res_logits: LowRes, score: float, frame: Frame) -> PlaneState:
        """Take what the decoder gave for the object; what is surely background is not kept."""
        logits = crop_logits(low_res_logits, least=-SURE_LOGIT / 2)
        likely = min(max(score, 0.0), 1.0)  # nothing keeps what the model says within the range of an IoU
        return cls(object_id, plane, upscaled_mask(logits, frame), likely, logits, frame, 1 - likely)

    @classmethod
    def painted(cls, object_id: int, plane: Plane, mask: Crop, frame: Frame, *, low_res_stride: int) -> PlaneState:
        """Take a mask that is known to be right."""
        logits = crop_logits(mask_to_logits(mask, frame, low_res_stride=low_res_stride))
        return cls(object_id, plane, mask, 1.0, logits, frame)

    def remembering(self, moved: PlaneState, *, drift: float, doubt: float | None = None) -> PlaneState:
        """Average with what was expected here, each weighted by how far it can be trusted: a Kalman filter's step.

        Parameters
        ----------
        moved : PlaneState
            The mask of the plane before, moved to this one.
        drift : float
            See `StepPrompt`.
        doubt : float, optional
            What is usually wrong with what is seen of this object. None: what is expected to be wrong with this mask. A
            mask that is poorer than usual must not be replaced by the memory of a better one: the object may end here.
        """
        if not self.mask:
            return self
        expected = moved.doubt**2 + drift**2
        seen = max(self.doubt if doubt is None else doubt, _LEAST_DOUBT) ** 2
        weight = seen / (expected + seen)
        mean = mean_logits(self.logits, moved.seen_in(self.frame), 1 - weight)
        logits = crop_logits(mean.full(), least=-SURE_LOGIT / 2)
        left = math.sqrt(expected * weight)
        return replace(self, mask=upscaled_mask(logits, self.frame), logits=logits, doubt=left)

    def emptied(self) -> PlaneState:
        """Return what is left of an object that has ended here."""
        return replace(self, mask=Crop.empty(self.mask.shape))

    def forgotten(self) -> PlaneState:
        """Return an ended object that takes no memory."""
        return replace(self.emptied(), logits=Crop.empty(self.logits.shape, np.float32, outside=-SURE_LOGIT))


def is_neighbour(object_id: int) -> bool:
    """Whether an id is that of a neighbour, which walks along unseen: no object of a user has one below 0."""
    return object_id < 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPrompt:
    """What is made of an object's mask to prompt the next plane.

    Mask, box and points together are for models that were hardly trained on masks without points or box: the official
    ones. `suited_to` chooses what `Segmenter.propagate` uses by default.

    Attributes
    ----------
    mask : bool
        Send the low-res logits as the dense prompt.
    box : bool
        Send the box of the mask.
    margin : float
        Share of the box's sides by which it is widened on each side; negative narrows it.
    points : int
        How many interior points to send, the deepest first.
    follow : bool
        Move the mask first as the image has moved around it, see `following.follow`.
    drift : float or None
        What a plane is expected to add to the errors of a moved mask, as 1 minus an IoU, 0 to 1. The mask of the
        next plane is the mean of the moved one and of what is seen there, weighted by what is expected to be wrong with
        each: the smaller the drift, and the poorer what is seen, the longer a mask is remembered. None: what is seen
        counts alone.
    """

    mask: bool = True
    box: bool = True
    margin: float = 0.1
    points: int = 1
    follow: bool = True
    drift: float | None = None

    def __post_init__(self) -> None:
        if self.drift is not None and not 0 <= self.drift <= 1:
            msg = f"drift must be a number from 0 to 1, or None for no memory, got {self.drift}"
            raise ValueError(msg)
        if not (self.mask or self.box or self.points > 0):
            msg = "a step must send something: expected mask=True, box=True or points of at least 1"
            raise ValueError(msg)

    @classmethod
    def suited_to(cls, config: SamConfig) -> StepPrompt:
        """Choose what carries best with a model.

        A model trained on lone masks needs no more. On the training volumes ``fibsem_medulla_gala_train``,
        ``plant_ovule_nuclei_1135`` and ``plant_ovule_membrane``, nano's mask alone had a mean 3D IoU of .51, .73 and
        .64 from a click and a box; with a point .57, .74 and .60; with a box .57, .73 and .61. The drift is the best of
        four on training volumes, see docs/explanation/propagation.md.
        """
        return cls(box=False, points=0, drift=0.15) if config.lone_masks else cls()

    def prompt(self, state: PlaneState) -> Prompt:
        """Make the prompt for the plane after that of ``state``, whose mask must not be empty.

        ``state.mask_input`` is sent beside it and takes the place of its mask.
        """
        return Prompt(
            state.plane,
            interior_points(state.mask, self.points),
            box=widened_box(state.mask, self.margin) if self.box else None,
            mask=state.mask if self.mask else None,
            object_id=1 if is_neighbour(state.object_id) else state.object_id,  # which a prompt may have
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRules:
    """When an object is believed to have ended; the first rule that applies, from top to bottom, names the reason.

    Attributes
    ----------
    min_area : int
        Fewer pixels are ``"empty"``; ``"border"`` if the object touched the image border on the plane before.
    min_predicted_iou : float
        A lower predicted IoU is ``"predicted_iou"``.
    max_area_ratio : float
        Growing or shrinking by more than this factor is ``"area"``; shrinking at the image border is ``"border"``.
    min_overlap : float
        A lower IoU with the moved mask of the plane before is ``"overlap"``.
    min_presence : float
        A lower probability that the walk still has its object is ``"presence"``, see `Evidence.presence`; 0 switches
        the rule off. It ends most walks: those above are for masks that the model itself finds poor, and for leaps.
    min_contrast, min_faded_presence : float
        An object that has less than this share of its contrast left, see `Evidence.contrast`, must have this presence,
        else it is ``"contrast"``: it has faded, and what is there may be its neighbour above or below. A presence of 0
        switches the rule off.
    dip : bool
        Whether an object whose contrast falls and rises again is taken for another one from the lowest point on:
        ``"dip"``. This tells nuclei above each other apart whose masks pass into each other. Never between anchors.
    max_missing : int
        An object that ends on a blank or missing plane is looked for behind it, past at most this many such planes in a
        row; 0 switches this off. The planes in between are interpolated and ``"bridged"``.
    """

    min_area: int = 1
    min_predicted_iou: float = 0.4
    max_area_ratio: float = 3.0
    min_overlap: float = 0.1
    min_presence: float = 0.6
    min_contrast: float = 0.5
    min_faded_presence: float = 0.8
    dip: bool = True
    max_missing: int = 2

    def reason(self, before: PlaneState, after: PlaneState, evidence: Evidence | None = None) -> Reason | None:
        """Why the object that was ``before`` is not believed in ``after``; None if it is."""
        old, new, shared = before.mask.area, after.mask.area, shared_area(before.mask, after.mask)
        if new < max(self.min_area, 1):
            return "border" if before.mask.touches_border else "empty"
        if after.score < self.min_predicted_iou:
            return "predicted_iou"
        if new * self.max_area_ratio < old:
            return "border" if before.mask.touches_border else "area"
        if new > old * self.max_area_ratio:
            return "area"
        if shared < self.min_overlap * (old + new - shared):
            return "overlap"
        return None if evidence is None else self._lost(evidence)

    def _lost(self, evidence: Evidence) -> Reason | None:
        """Name the rule by which it is another object now; what is not known speaks for it."""
        if evidence.presence < self.min_presence:
            return "presence"
        faded = evidence.contrast < self.min_contrast
        return "contrast" if faded and evidence.presence < self.min_faded_presence else None


def interior_points(mask: Crop, count: int) -> list[tuple[int, int]]:
    """Find points deep inside a mask.

    Each is the pixel farthest from the outside that is not in the discs around the points before it; so several
    components, or the lobes of one, get a point each.

    Parameters
    ----------
    mask : Crop of bool
        Of the plane.
    count : int
        At most this many.

    Returns
    -------
    list of (int, int)
        (row, column), the deepest first; fewer than ``count`` if the discs cover the mask.
    """
    from scipy.ndimage import distance_transform_edt

    if count < 1 or not mask:
        return []
    depth = distance_transform_edt(np.pad(mask.pixels, 1))
    rows, columns = np.ogrid[: depth.shape[0], : depth.shape[1]]
    points: list[tuple[int, int]] = []
    while len(points) < count and depth.any():
        row, column = (int(i) for i in np.unravel_index(depth.argmax(), depth.shape))
        points.append((mask.top + row - 1, mask.left + column - 1))
        depth[(rows - row) ** 2 + (columns - column) ** 2 <= depth[row, column] ** 2] = 0
    return points


def widened_box(mask: Crop, margin: float) -> list[list[float]]:
    """Box of a mask as in `Prompt`, each side moved outwards by ``margin`` times the height or the width."""
    height, width = mask.pixels.shape
    rows, columns = margin * height, margin * width
    return [
        [mask.top - rows, mask.left - columns],
        [mask.top + height - 1 + rows, mask.left + width - 1 + columns],
    ]
