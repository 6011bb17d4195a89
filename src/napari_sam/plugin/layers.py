"""napari layers to prompts and back: the world, features, colours and geometry. No Qt."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from napari.layers import Image, Labels, Layer, Points, Shapes
from napari.utils.colormaps import CyclicLabelColormap

from napari_sam import drawings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from napari_sam.drawings import Drawing
    from napari_sam.plugin.drafts import DraftLabels
    from napari_sam.plugin.view import Coordinates, ImageView
    from napari_sam.prompts import Prompt
    from napari_sam.stack import Plane

Key = tuple[int, "Plane"]  # an object on a plane

TRANSFORMS = ("scale", "translate", "rotate", "shear", "affine")  # where a layer lies
OBJECT, LABEL = "object", "label"  # columns of `features`, which the command line reads from a saved CSV, too
POSITIVE, NEGATIVE = "positive", "negative"
_NEGATIVE_WORDS = ("negative", "0", "0.0", "false")

# Green and red as users expect, of different lightness for those who cannot tell them apart, and other symbols.
_COLOURS = {POSITIVE: (0.16, 0.80, 0.36, 1.0), NEGATIVE: (0.87, 0.13, 0.18, 1.0)}
_SYMBOLS = {POSITIVE: "disc", NEGATIVE: "x"}
# Bright and far apart, to be seen through on fluorescence and on EM; neighbouring ids never look alike.
_OBJECT_COLOURS = ("#00c8ff", "#ffb000", "#ff5fa2", "#7ee04f", "#b58cff", "#ff7043", "#2ee6c0", "#ffe14d", "#6fa8ff")
_DIGITS = 9  # of an affine map; on a plane of 100,000 pixels the rest is a ten thousandth of one
_OTHER_OBJECTS = 0.45  # opacity of what belongs to an object that is not being edited


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """Prompts as they were found in layers.

    Attributes
    ----------
    prompts : mapping
        (object id, plane) to its prompt, in full resolution.
    outside : int
        How many points and shapes lie off the image and were left out.
    groups : mapping
        All there is of each object on each plane.
    """

    prompts: Mapping[Key, Prompt]
    outside: int = 0
    groups: Mapping[Key, _Group] = field(default_factory=dict)


def read_prompts(
    layers: Iterable[Points | Shapes], image: Image, view: ImageView, *, taken: int = 0, before: Reading | None = None
) -> Reading:
    """Read the prompts that layers hold for an image.

    A layer without an ``object`` column in its features gives each point or shape an object of its own, after the
    ids in use, which are those of the other layers and all up to `taken`.

    Parameters
    ----------
    layers : iterable of Points or Shapes
        With any transform of their own.
    image : Image
        Whose data coordinates count.
    view : ImageView
        The image as planes.
    taken : int
        Largest id that is in use elsewhere.
    before : Reading, optional
        Of the same view; what did not change since is taken from there, so that a hundred lassos need not be filled
        again for every click.
    """
    rows: dict[Key, tuple[_Row, ...]] = defaultdict(tuple)
    outside = 0
    for layer in layers:
        first_id = max((object_id for object_id, _ in rows), default=0)
        first_id = max(first_id, taken) + 1
        for key, row in _rows(layer, image, view, first_id):
            if row is None or not view.contains(key[1]):
                outside += 1
            else:
                rows[key] += (row,)
    known = {} if before is None else before.groups
    groups = {
        key: known[key] if key in known and known[key].rows == own else _group(key, own, view.plane_shape)
        for key, own in rows.items()
    }
    prompts = {key: group.prompt for key, group in groups.items() if group.prompt is not None}
    return Reading(prompts, outside + sum(group.outside for group in groups.values()), groups)


def current_plane(image: Image, view: ImageView, world: Iterable[float]) -> Plane:
    """Plane of the image that is shown when the viewer is at a point of the world (``viewer.dims.point``)."""
    data = np.asarray(image.world_to_data(tuple(world)), float)
    (plane,), _ = view.to_plane(data[None])
    return tuple(min(max(position, 0), n - 1) for position, n in zip(plane, view.stack_shape, strict=True))


def plane_in_world(image: Image, view: ImageView, plane: Plane, world: Iterable[float]) -> tuple[float, ...]:
    """Point of the world on a plane of the image, as near as may be to the given one."""
    world = tuple(float(value) for value in world)
    data = np.asarray(image.world_to_data(world), float)
    _, rows_columns = view.to_plane(data[None])
    target = view.to_data(plane, rows_columns)[0]
    if view.channels is not None:
        target[view.channels.axis] = data[view.channels.axis]  # go on looking at the same channel
    moved = image.data_to_world(target)
    return (*world[: len(world) - len(moved)], *(float(value) for value in moved))


def geometry(image: Image, view: ImageView, *, per_channel: int = 1) -> dict[str, Any]:
    """Arguments that put a new layer where an image is; the one position of a channel axis spans all channels.

    Parameters
    ----------
    image, view
        The image.
    per_channel : int
        Make that position so many times longer. Points and shapes are seen half a position off at most.
    """
    found = {name: getattr(image, name) for name in (*TRANSFORMS, "units", "axis_labels") if hasattr(image, name)}
    if view.channels is not None:
        axis, data = view.channels.axis, image.data[0] if image.multiscale else image.data
        scale, middle = np.array(image.scale, float), np.zeros(image.ndim)
        middle[axis] = (data.shape[axis] - 1) / 2
        scale[axis] *= data.shape[axis] * per_channel
        shift = np.subtract(image.data_to_world(middle), image.data_to_world(np.zeros(image.ndim)))
        shift = np.linalg.solve(np.asarray(image.affine.affine_matrix)[:-1, :-1], shift)  # `affine` comes after it
        found |= {"scale": scale, "translate": np.asarray(image.translate) + shift}
    return found


def place(layer: Layer, image: Image, view: ImageView) -> None:
    """Put a layer of ours where the image lies now."""
    where = geometry(image, view, per_channel=1 if isinstance(layer, Labels) else 2)
    for name in TRANSFORMS:
        setattr(layer, name, where[name])


def new_points(image: Image, view: ImageView) -> Points:
    """Make the layer that clicks go to."""
    return Points(
        ndim=image.ndim,
        name="SAM points",
        size=float(np.clip(max(view.plane_shape) / 50, 3, 40)),
        border_width=0.12,
        canvas_size_limits=(8, 18),  # pixels on the screen, so that a click hides no small object of a large plane
        features=_no_features(),
        feature_defaults={OBJECT: 1, LABEL: POSITIVE},
        **geometry(image, view, per_channel=2),
    )


def new_shapes(image: Image, view: ImageView) -> Shapes:
    """Make the layer that boxes, outlines and scribbles go to."""
    return Shapes(
        None,
        ndim=image.ndim,
        name="SAM shapes",
        face_color="transparent",
        features=_no_features(),
        feature_defaults={OBJECT: 1, LABEL: POSITIVE},
        **geometry(image, view, per_channel=2),
    )


def new_labels(image: Image, view: ImageView, data: Any, *, name: str) -> Labels:
    """Make a Labels layer in the place of an image."""
    colours = CyclicLabelColormap(colors=["transparent", *_OBJECT_COLOURS])
    return Labels(data, name=name, colormap=colours, **geometry(image, view))


def new_preview(image: Image, view: ImageView, drafts: DraftLabels) -> Labels:
    """Make the layer that drafts are seen in, and corrected with a brush."""
    preview = new_labels(image, view, drafts, name="SAM preview")
    preview.brush_size = int(np.clip(max(view.plane_shape) / 60, 3, 40))  # napari's 10 hide a small nucleus
    return preview


def draw_drafts(preview: Labels, *, as_contour: bool) -> None:
    """Show drafts as outlines, or as areas that let the image through."""
    preview.contour = 2 if as_contour else 0
    preview.opacity = 0.9 if as_contour else 0.5


def new_result(image: Image, view: ImageView, *, largest: int) -> Labels:
    """Make an empty Labels layer for commits, in the place of an image and of its full resolution.

    It holds 65,535 objects, or `largest` if that is more: napari shows 16 bits on a plane of 4096 x 4096 in 4 ms, 32
    bits in 90.
    """
    dtype = np.promote_types(np.uint16, np.min_scalar_type(largest))
    return new_labels(image, view, np.zeros(view.shape, dtype), name="SAM labels")


def fit_edges(shapes: Shapes) -> None:
    """Make the edges of the next shape, and of a selected one, two pixels wide on the screen as it is zoomed now."""
    shapes.current_edge_width = float(np.clip(2 * shapes.scale_factor / abs(shapes.scale[-1]), 0.01, 100))


def aim(layer: Points | Shapes, *, object_id: int, positive: bool) -> None:
    """Choose what the next point or shape of a layer says; those that are there stay as they are."""
    layer.feature_defaults = {OBJECT: object_id, LABEL: POSITIVE if positive else NEGATIVE}


def positive_rows(layer: Points | Shapes, object_id: int) -> list[int]:
    """Find the points or shapes that say where an object is, not where it is not."""
    ids = layer.features.get(OBJECT, ())
    return [
        row
        for row, (one, positive) in enumerate(zip(ids, _is_positive(layer.features), strict=False))
        if positive and int(one) == object_id
    ]


def paint_by_features(layer: Points | Shapes, *, object_id: int, labels: Labels | None = None) -> None:
    """Derive colours and symbols from the features, never the other way round.

    Parameters
    ----------
    layer : Points or Shapes
        One of our own.
    object_id : int
        The object that is being edited; others are paler.
    labels : Labels, optional
        Points get a rim in the colour that their object has there.
    """
    if len(layer.data) == 0:
        return
    features = layer.features
    polarity = [POSITIVE if positive else NEGATIVE for positive in _is_positive(features)]
    ids = [int(value) for value in features[OBJECT]] if OBJECT in features else [object_id] * len(polarity)
    colours = np.array([_COLOURS[name] for name in polarity])
    colours[:, 3] = [1.0 if one == object_id else _OTHER_OBJECTS for one in ids]
    if isinstance(layer, Shapes):
        layer.edge_color = colours
        return
    layer.face_color = colours
    layer.symbol = [_SYMBOLS[name] for name in polarity]
    if labels is not None:
        layer.border_color = np.array([labels.get_color(one) for one in ids])


def affine_between(source: Layer, target: Layer) -> tuple[Coordinates, Coordinates]:
    """Matrix and offset from data coordinates of one layer to those of another; ndim + 1 probes tell an affine map.

    Where both lie alike it is exactly the identity: a prompt that differs in its last bit would be decoded again.
    """

    def probe(position: NDArray[Any]) -> Coordinates:
        """Take one position through the world."""
        return np.asarray(target.world_to_data(source.data_to_world(position)), float)

    offset = probe(np.zeros(source.ndim))
    matrix: Coordinates = np.stack([probe(unit) - offset for unit in np.eye(source.ndim)], axis=1)
    return matrix.round(_DIGITS), offset.round(_DIGITS)


@dataclass(frozen=True, slots=True)
class _Row:
    """A point (no kind) or a shape on its plane; what it says is the same if its bytes are."""

    kind: Any
    vertices: bytes
    on_object: bool

    def draw(self, plane_shape: tuple[int, int]) -> Drawing | None:
        """Draw it; None if it does not lie on a plane of this shape."""
        vertices = np.frombuffer(self.vertices).reshape(-1, 2)
        if self.kind is None:
            inside = _on_plane(vertices, plane_shape).all()
            return drawings.clicks(vertices, on_object=self.on_object) if inside else None
        if self.kind in ("line", "path"):
            drawn = drawings.shape(self.kind, vertices, plane_shape, on_object=self.on_object)
            points = drawn.positive if self.on_object else drawn.negative
            points = points[_on_plane(points, plane_shape)]
            return drawings.clicks(points, on_object=self.on_object) if len(points) else None
        try:
            return drawings.shape(self.kind, vertices, plane_shape, on_object=self.on_object)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """The rows of an object on a plane, what they say together, and how many of them say nothing."""

    rows: tuple[_Row, ...]
    prompt: Prompt | None
    outside: int


def _group(key: Key, rows: tuple[_Row, ...], plane_shape: tuple[int, int]) -> _Group:
    drawn = [drawing for row in rows if (drawing := row.draw(plane_shape)) is not None]
    prompt = drawings.prompt(drawn, key[1], object_id=key[0]) if drawn else None
    return _Group(rows, prompt, len(rows) - len(drawn))


def _rows(layer: Points | Shapes, image: Image, view: ImageView, first_id: int) -> Iterator[tuple[Key, _Row | None]]:
    """Rows of a layer; None for one that does not lie on a plane."""
    matrix, offset = affine_between(layer, image)
    positive = _is_positive(layer.features)
    ids = [int(value) for value in layer.features[OBJECT]] if OBJECT in layer.features else None
    for index, data in enumerate(layer.data):
        vertices = np.atleast_2d(np.asarray(data, float)) @ matrix.T + offset
        object_id = first_id + index if ids is None else ids[index]
        kind = str(layer.shape_type[index]) if isinstance(layer, Shapes) else None
        if kind is not None and not np.ptp(vertices, axis=0).any():
            continue  # it was begun and left at its first vertex
        planes, on_plane = view.to_plane(vertices)
        is_drawn = object_id >= 1 and len(set(planes)) == 1
        yield (object_id, planes[0]), _Row(kind, on_plane.tobytes(), positive[index]) if is_drawn else None


def _on_plane(points: Coordinates, plane_shape: tuple[int, int]) -> NDArray[np.bool_]:
    inside = (points >= -0.5) & (points <= np.subtract(plane_shape, 0.5))
    return np.asarray(inside.all(axis=1))


def _is_positive(features: pd.DataFrame) -> list[bool]:
    if LABEL not in features:
        return [True] * len(features)
    return [str(value).strip().lower() not in _NEGATIVE_WORDS for value in features[LABEL]]


def _no_features() -> pd.DataFrame:
    return pd.DataFrame({OBJECT: np.zeros(0, int), LABEL: np.zeros(0, object)})
