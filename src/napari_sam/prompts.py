"""A prompt says where an object is; this module takes it to the model frame, the only flip in the code base."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.crops import Crop
from napari_sam.low_res import mask_to_logits

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray

    from napari_sam.image import Frame
    from napari_sam.stack import Plane

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, init=False)
class Prompt:
    """Where one object is on one plane: clicks, a box, a mask, or any of them together.

    All coordinates are data (row, column) with pixel centres at integers. Sequences are stored as tuples, the mask
    as a `Crop` of its own, which takes no more memory than the object; two prompts are equal when all they say is
    equal.

    Parameters
    ----------
    plane : tuple of int
        Index of the plane; ``()`` for a 2D image.
    points : sequence of (float, float)
        Clicks, ``(N, 2)``.
    point_labels : sequence of int or None
        One per click: 1 on the object, 0 on the background. None: all 1.
    box : ((float, float), (float, float)) or None
        Two opposite corners, in any order. They are the centres of the outermost pixels: an object of the one pixel
        (5, 7) has the box ``[[5, 7], [5, 7]]``.
    mask : ndarray of bool, Crop or None
        ``(h, w)``, the whole plane with the object as it is known so far, e.g. painted; `Crop.full` gives it back. An
        empty one, with nothing else, says that the object is not on this plane.
    object_id : int
        The label that the object gets, at least 1.

    Raises
    ------
    ValueError
        If the prompt is empty, is not finite or contradicts itself. Whether it lies inside an image is checked
        where the image is known, by `check_inside`.
    """

    plane: Plane
    points: tuple[Point, ...]
    point_labels: tuple[int, ...]
    box: tuple[Point, Point] | None
    mask: Crop | None
    object_id: int

    def __init__(
        self,
        plane: Plane = (),
        points: Sequence[Sequence[float]] = (),
        *,
        point_labels: Sequence[int] | None = None,
        box: Sequence[Sequence[float]] | None = None,
        mask: NDArray[np.bool_] | Crop | None = None,
        object_id: int = 1,
    ) -> None:
        clicks = _checked_points(points)
        checked = {
            "plane": _checked_plane(plane),
            "points": clicks,
            "point_labels": _checked_labels(point_labels, len(clicks)),
            "box": _checked_box(box),
            "mask": _checked_mask(mask),
            "object_id": _checked_object_id(object_id),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)  # as the `__init__` of any frozen dataclass does
        if self.mask is not None and not self.mask and (self.points or self.box is not None):
            msg = "mask is empty, which says that the object is not here, but there are points or a box; leave one out"
            raise ValueError(msg)
        if not self.points and self.box is None and self.mask is None:
            msg = "prompt is empty: expected points, a box or a mask; give at least one of them"
            raise ValueError(msg)

    @property
    def painted(self) -> Crop | None:
        """The mask, if there is nothing else: walks then take it as it is."""
        return None if self.points or self.box is not None else self.mask


@dataclass(frozen=True, slots=True)
class ModelPrompts:
    """P prompts of one kind in the model frame, as `Sam.decode` takes them; a part that no prompt has is None.

    Attributes
    ----------
    point_coords, point_labels : Tensor or None
        ``(P, N, 2)`` float32 (x, y) in model pixels, and ``(P, N)``.
    boxes : Tensor or None
        ``(P, 4)`` float32 XYXY in model pixels, the edges of the outermost pixels.
    mask_input : Tensor or None
        ``(P, 1, H/low_res_stride, W/low_res_stride)`` logits.
    """

    point_coords: torch.Tensor | None = None
    point_labels: torch.Tensor | None = None
    boxes: torch.Tensor | None = None
    mask_input: torch.Tensor | None = None


def check_inside(prompt: Prompt, original_size: tuple[int, int]) -> None:
    """Refuse a prompt that does not lie on a plane of ``original_size`` (h, w).

    A box may reach over the border (it is cut there), but not lie outside.

    Raises
    ------
    ValueError
        If a point or the whole box is outside, or if the mask has another shape.
    """
    height, width = original_size
    extent = f"rows 0 to {height - 1} and columns 0 to {width - 1}"
    for row, column in prompt.points:
        if not (-0.5 <= row <= height - 0.5 and -0.5 <= column <= width - 0.5):
            msg = f"point ({row:g}, {column:g}) is outside the plane: expected {extent}, in pixels (row, column)"
            raise ValueError(msg)
    if prompt.box is not None:
        (top, left), (bottom, right) = prompt.box
        if bottom < 0 or right < 0 or top > height - 1 or left > width - 1:
            msg = f"box {prompt.box} is outside the plane: expected {extent}, in pixels (row, column)"
            raise ValueError(msg)
    if prompt.mask is not None and prompt.mask.shape != original_size:
        msg = f"mask must have the shape of the plane {original_size}, got {prompt.mask.shape}; give the whole plane"
        raise ValueError(msg)


def to_model_frame(
    prompts: Sequence[Prompt],
    frames: Sequence[Frame],
    *,
    low_res_stride: int,
    device: torch.device,
    dtype: torch.dtype,
    mask_input: Sequence[NDArray[np.float32] | None] | None = None,
) -> ModelPrompts:
    """Turn prompts of one kind into tensors, each in its model frame.

    With edges of pixel 0 at 0 in both frames, model = data * scale; with pixel centres at integers this is
    ``model = (data - origin + 0.5) * scale - 0.5``. Coordinates are float32 whatever the dtype of the model: float16
    would move a click by up to half a pixel.

    Parameters
    ----------
    prompts : sequence of Prompt
        Either all with the same number of points, or none; likewise boxes and masks.
    frames : sequence of Frame
        Geometry of the plane, or of the window of it, that each prompt is decoded in; all of one ``padded_size``.
    low_res_stride : int
        Model pixels per cell of the low-res logits.
    device, dtype
        Of the result; ``dtype`` is that of the result's ``mask_input``.
    mask_input : sequence of (ndarray or None), optional
        Low-res logits ``(h, w)`` of each prompt, instead of its mask. None, or None for a prompt: its mask.

    Returns
    -------
    ModelPrompts
        P = number of prompts.
    """
    import torch

    scale, origin, size = (
        np.array([getattr(frame, name) for frame in frames])[:, None] for name in ("scale", "origin", "original_size")
    )  # (P, 1, 2)

    def tensor(values: NDArray[np.float64]) -> torch.Tensor:
        """Put coordinates onto the device."""
        return torch.as_tensor(values, dtype=torch.float32, device=device)

    coords = labels = boxes = dense = None
    if prompts[0].points:
        coords = tensor((np.array([p.points for p in prompts]) - origin + 0.5) * scale - 0.5).flip(-1)  # (P, N, 2)
        labels = torch.tensor([p.point_labels for p in prompts], device=device)  # (P, N)
    if prompts[0].box is not None:
        corners = np.array([p.box for p in prompts]) - origin  # (P, 2, 2), pixel centres
        edges = corners + np.array([[0], [1]])  # the edge of pixel 0 at 0
        edges = edges.clip(0, size) * scale - 0.5
        boxes = tensor(edges).flip(-1).flatten(1)  # (P, 4)
    masks = [
        mask_to_logits(prompt.mask, frame, low_res_stride=low_res_stride)
        if logits is None and prompt.mask is not None
        else logits
        for prompt, frame, logits in zip(prompts, frames, mask_input or [None] * len(prompts), strict=True)
    ]
    if masks[0] is not None:
        dense = torch.as_tensor(np.array(masks)[:, None], dtype=dtype, device=device)  # (P, 1, h, w)
    return ModelPrompts(coords, labels, boxes, dense)


def _checked_plane(plane: Plane) -> Plane:
    try:
        checked = tuple(operator.index(i) for i in plane)
    except TypeError:
        msg = f"plane must be a tuple of integers such as (12,), or () for a 2D image, got {plane!r}"
        raise ValueError(msg) from None
    if min(checked, default=0) < 0:
        msg = f"plane must be indices of at least 0, got {checked}; count from the start of the stack"
        raise ValueError(msg)
    return checked


def _checked_points(points: Sequence[Sequence[float]]) -> tuple[Point, ...]:
    array = _finite(points, "points")
    if array.size == 0:
        return ()
    if array.ndim != 2 or array.shape[1] != 2:
        msg = f"points must be (N, 2), a list of [row, column], got shape {array.shape}; one point is [[r, c]]"
        raise ValueError(msg)
    return tuple((row, column) for row, column in array.tolist())


def _checked_labels(labels: Sequence[int] | None, count: int) -> tuple[int, ...]:
    if labels is None:
        return (1,) * count
    checked = tuple(np.asarray(labels).ravel().tolist())
    if len(checked) != count:
        msg = f"point_labels must have one label per point, got {len(checked)} for {count} points"
        raise ValueError(msg)
    if not set(checked) <= {0, 1}:
        msg = f"point_labels must be 1 (object) or 0 (background), got {list(checked)}"
        raise ValueError(msg)
    return tuple(int(label) for label in checked)


def _checked_box(box: Sequence[Sequence[float]] | None) -> tuple[Point, Point] | None:
    if box is None:
        return None
    array = _finite(box, "box")
    if array.shape != (2, 2):
        msg = f"box must be two corners [[r0, c0], [r1, c1]], got shape {array.shape}"
        raise ValueError(msg)
    (top, left), (bottom, right) = np.sort(array, axis=0).tolist()
    return (top, left), (bottom, right)


def _checked_mask(mask: NDArray[np.bool_] | Crop | None) -> Crop | None:
    if mask is None:
        return None
    pixels = mask.pixels if isinstance(mask, Crop) else np.asarray(mask)
    if pixels.ndim != 2 or pixels.dtype != np.bool_:
        msg = f"mask must be boolean (h, w), got {pixels.dtype} {pixels.shape}; of a label image take labels == id"
        raise ValueError(msg)
    return mask.trimmed() if isinstance(mask, Crop) else Crop.of(pixels)


def _checked_object_id(object_id: int) -> int:
    try:
        checked = operator.index(object_id)
    except TypeError:
        checked = 0
    if checked < 1:
        msg = f"object_id must be an integer of at least 1 (0 is the background), got {object_id!r}"
        raise ValueError(msg)
    return checked


def _finite(values: Sequence[Sequence[float]], name: str) -> NDArray[np.float64]:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        msg = f"{name} must be numbers in rows of (row, column), got {values!r}"
        raise ValueError(msg) from None
    if not np.isfinite(array).all():
        msg = f"{name} must be finite, got {array.tolist()}; drop the NaN or infinite entries"
        raise ValueError(msg)
    return array
