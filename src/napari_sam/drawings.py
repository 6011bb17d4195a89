"""What is drawn on a plane becomes a prompt: clicks, rectangles, ellipses, polygons, lines and paths."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from napari_sam.crops import Crop
from napari_sam.extents import mask_extent
from napari_sam.prompts import Prompt

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_sam.stack import Plane

ShapeType = Literal["rectangle", "ellipse", "polygon", "line", "path"]
Coordinates = NDArray[np.float64]

_STROKE_POINTS = 5  # a line or path becomes this many clicks
_UPRIGHT = 1e-3  # a rectangle whose sides lean by less than this, in pixels, is a box


def _none() -> Coordinates:
    return np.empty((0, 2))


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """One drawn thing on a plane, in data (row, column) with pixel centres at integers.

    Attributes
    ----------
    positive : ndarray of float
        ``(N, 2)`` clicks on the object.
    negative : ndarray of float
        ``(N, 2)`` clicks on the background.
    box : ndarray of float or None
        ``(2, 2)`` centres of the outermost pixels.
    mask : Crop or None
        Of the plane.
    """

    positive: Coordinates = field(default_factory=_none)
    negative: Coordinates = field(default_factory=_none)
    box: Coordinates | None = None
    mask: Crop | None = None


def clicks(points: Coordinates, *, on_object: bool) -> Drawing:
    """Draw ``(N, 2)`` clicks."""
    return Drawing(positive=points) if on_object else Drawing(negative=points)


def shape(kind: ShapeType, vertices: Coordinates, plane_shape: tuple[int, int], *, on_object: bool = True) -> Drawing:
    """Draw one shape as napari describes it.

    Parameters
    ----------
    kind : {"rectangle", "ellipse", "polygon", "line", "path"}
        Lines and paths become clicks along them, upright rectangles boxes, and everything else that has an inside a
        box and a mask.
    vertices : ndarray of float
        ``(N, 2)`` (row, column); for a rectangle and an ellipse the four corners in order.
    plane_shape : tuple of int
        ``(h, w)``.
    on_object : bool
        False: it lies on the background. A shape with an inside then becomes one negative click in its middle.

    Raises
    ------
    ValueError
        If nothing of the shape lies on the plane.
    """
    if kind in ("line", "path"):
        return clicks(_along(vertices), on_object=on_object)
    corner, size = _window(vertices, plane_shape)
    mask = _fill(kind, vertices - corner, size)
    if not mask.any():
        msg = f"the {kind} covers no pixel of the plane of {plane_shape[0]} x {plane_shape[1]}; draw it on the image"
        raise ValueError(msg)
    if not on_object:
        return clicks(_middle(mask) + corner, on_object=False)
    box = np.array(mask_extent(mask), dtype=np.float64).reshape(2, 2) + corner
    if kind == "rectangle" and _is_upright(vertices):
        return Drawing(box=box)
    return Drawing(box=box, mask=Crop(plane_shape, int(corner[0]), int(corner[1]), mask))


def prompt(drawings: Iterable[Drawing], plane: Plane, *, object_id: int) -> Prompt:
    """Join all drawings of one object on one plane; boxes are joined to the box around them."""
    drawings = tuple(drawings)
    positive = np.concatenate([drawing.positive for drawing in drawings])
    negative = np.concatenate([drawing.negative for drawing in drawings])
    boxes = [drawing.box for drawing in drawings if drawing.box is not None]
    masks = [drawing.mask for drawing in drawings if drawing.mask is not None]
    corners = np.concatenate(boxes) if boxes else None
    return Prompt(
        plane=plane,
        points=np.concatenate([positive, negative]).tolist(),
        point_labels=[1] * len(positive) + [0] * len(negative),
        box=None if corners is None else [corners.min(axis=0).tolist(), corners.max(axis=0).tolist()],
        mask=reduce(Crop.joined, masks) if masks else None,
        object_id=object_id,
    )


def _along(vertices: Coordinates) -> Coordinates:
    """Points at equal steps along a path, ends included."""
    steps = np.linalg.norm(np.diff(vertices, axis=0), axis=1)
    travelled = np.concatenate([[0.0], np.cumsum(steps)])
    at = np.linspace(0.0, travelled[-1], _STROKE_POINTS)
    return np.stack([np.interp(at, travelled, axis) for axis in vertices.T], axis=1)


def _is_upright(vertices: Coordinates) -> bool:
    sides = np.diff(vertices, axis=0, append=vertices[:1])
    return bool((np.abs(sides).min(axis=1) < _UPRIGHT).all())


def _window(vertices: Coordinates, plane_shape: tuple[int, int]) -> tuple[NDArray[np.intp], tuple[int, int]]:
    """First pixel and size of the part of a plane around a shape, so that large planes cost nothing."""
    first = np.clip(np.floor(vertices.min(axis=0)).astype(int), 0, plane_shape)
    last = np.clip(np.ceil(vertices.max(axis=0)).astype(int) + 1, first, plane_shape)
    height, width = last - first
    return first, (int(height), int(width))


def _fill(kind: ShapeType, vertices: Coordinates, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels of a window whose centres lie inside, ``(h, w)``; at least those under the vertices' centre."""
    if kind == "ellipse":
        mask = _fill_ellipse(vertices, size)
    elif kind in ("polygon", "rectangle"):
        from skimage.draw import polygon2mask

        mask = np.asarray(polygon2mask(size, vertices), dtype=bool)
    else:
        msg = f"shape must be rectangle, ellipse, polygon, line or path, got {kind!r}"
        raise ValueError(msg)
    row, column = np.round(vertices.mean(axis=0)).astype(int)
    if not mask.any() and 0 <= row < size[0] and 0 <= column < size[1]:
        mask[row, column] = True  # smaller than a pixel, but somebody drew it
    return mask


def _fill_ellipse(corners: Coordinates, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Fill the ellipse in the rectangle of these four corners, which may be turned."""
    offsets = np.moveaxis(np.indices(size), 0, -1) - corners.mean(axis=0)
    squared = np.zeros(size)
    for half in ((corners[1] - corners[0]) / 2, (corners[2] - corners[1]) / 2):
        squared += (offsets @ half / max(half @ half, 1e-12)) ** 2
    return np.asarray(squared <= 1.0)


def _middle(mask: NDArray[np.bool_]) -> Coordinates:
    """Pixel of the mask that is nearest to its centre of mass, ``(1, 2)``."""
    inside = np.argwhere(mask).astype(float)
    distance = ((inside - inside.mean(axis=0)) ** 2).sum(axis=1)
    return inside[[distance.argmin()]]
