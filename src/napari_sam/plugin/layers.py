"""napari layers to prompts and back: the world, features, colours and geometry. No Qt."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
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
    from napari_sam.plugin.view import Coordinates, ImageView
    from napari_sam.prompts import Prompt
    from napari_sam.stack import Plane

Key = tuple[int, "Plane"]  # an object on a plane

OBJECT, LABEL = "object", "label"  # columns of `features`, which the command line reads from a saved CSV, too
POSITIVE, NEGATIVE = "positive", "negative"
_NEGATIVE_WORDS = ("negative", "0", "0.0", "false")

# Green and red as users expect, of different lightness for those who cannot tell them apart, and other symbols.
_COLOURS = {POSITIVE: (0.16, 0.80, 0.36, 1.0), NEGATIVE: (0.87, 0.13, 0.18, 1.0)}
_SYMBOLS = {POSITIVE: "disc", NEGATIVE: "x"}
# Bright and far apart, to be seen through on fluorescence and on EM; neighbouring ids never look alike.
_OBJECT_COLOURS = ("#00c8ff", "#ffb000", "#ff5fa2", "#7ee04f", "#b58cff", "#ff7043", "#2ee6c0", "#ffe14d", "#6fa8ff")
_OTHER_OBJECTS = 0.45  # opacity of what belongs to an object that is not being edited


@dataclass(frozen=True, slots=True)
class Reading:
    """Prompts as they were found in layers.

    Attributes
    ----------
    prompts : mapping
        (object id, plane) to its prompt, in full resolution.
    outside : int
        How many points and shapes lie off the image and were left out.
    """

    prompts: Mapping[Key, Prompt]
    outside: int = 0


def read_prompts(layers: Iterable[Points | Shapes], image: Image, view: ImageView, *, taken: int = 0) -> Reading:
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
    """
    grouped: dict[Key, list[Drawing]] = defaultdict(list)
    outside = 0
    for layer in layers:
        first_id = max((object_id for object_id, _ in grouped), default=0)
        first_id = max(first_id, taken) + 1
        for key, drawing in _read_layer(layer, image, view, first_id):
            if drawing is None or not view.contains(key[1]):
                outside += 1
            else:
                grouped[key].append(drawing)
    prompts = {
        (object_id, plane): drawings.prompt(drawn, plane, object_id=object_id)
        for (object_id, plane), drawn in grouped.items()
    }
    return Reading(prompts, outside)


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
    names = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
    found = {name: getattr(image, name) for name in names if hasattr(image, name)}
    if view.channels is not None:
        axis, data = view.channels.axis, image.data[0] if image.multiscale else image.data
        scale, middle = np.array(image.scale, float), np.zeros(image.ndim)
        middle[axis] = (data.shape[axis] - 1) / 2
        scale[axis] *= data.shape[axis] * per_channel
        shift = np.subtract(image.data_to_world(middle), image.data_to_world(np.zeros(image.ndim)))
        shift = np.linalg.solve(np.asarray(image.affine.affine_matrix)[:-1, :-1], shift)  # `affine` comes after it
        found |= {"scale": scale, "translate": np.asarray(image.translate) + shift}
    return found


def new_points(image: Image, view: ImageView) -> Points:
    """Make the layer that clicks go to."""
    return Points(
        ndim=image.ndim,
        name="SAM points",
        size=float(np.clip(max(view.plane_shape) / 50, 3, 40)),
        border_width=0.12,
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
        edge_width=float(np.clip(max(view.plane_shape) / 300, 0.5, 10)),
        face_color="transparent",
        features=_no_features(),
        feature_defaults={OBJECT: 1, LABEL: POSITIVE},
        **geometry(image, view, per_channel=2),
    )


def new_labels(image: Image, view: ImageView, data: Any, *, name: str) -> Labels:
    """Make a Labels layer in the place of an image."""
    colours = CyclicLabelColormap(colors=["transparent", *_OBJECT_COLOURS])
    return Labels(data, name=name, colormap=colours, **geometry(image, view))


def new_result(image: Image, view: ImageView, *, largest: int) -> Labels:
    """Make an empty Labels layer for commits, in the place of an image and of its full resolution.

    It holds 65,535 objects, or `largest` if that is more: napari shows 16 bits on a plane of 4096 x 4096 in 4 ms, 32
    bits in 90.
    """
    dtype = np.promote_types(np.uint16, np.min_scalar_type(largest))
    return new_labels(image, view, np.zeros(view.shape, dtype), name="SAM labels")


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
    """Matrix and offset from data coordinates of one layer to those of another; ndim + 1 probes tell an affine map."""

    def probe(position: NDArray[Any]) -> Coordinates:
        return np.asarray(target.world_to_data(source.data_to_world(position)), float)

    offset = probe(np.zeros(source.ndim))
    columns = [probe(unit) - offset for unit in np.eye(source.ndim)]
    return np.stack(columns, axis=1), offset


def _read_layer(
    layer: Points | Shapes, image: Image, view: ImageView, first_id: int
) -> Iterator[tuple[Key, Drawing | None]]:
    """Drawings of a layer; None for one that does not lie on its plane."""
    matrix, offset = affine_between(layer, image)
    positive = _is_positive(layer.features)
    ids = [int(value) for value in layer.features[OBJECT]] if OBJECT in layer.features else None
    for index, data in enumerate(layer.data):
        vertices = np.atleast_2d(np.asarray(data, float)) @ matrix.T + offset
        object_id = first_id + index if ids is None else ids[index]
        planes, on_plane = view.to_plane(vertices)
        kind = layer.shape_type[index] if isinstance(layer, Shapes) else None
        key = (object_id, planes[0])
        if object_id < 1 or len(set(planes)) > 1:
            yield key, None
        else:
            yield key, _draw(kind, on_plane, view.plane_shape, on_object=positive[index])


def _draw(kind: Any, vertices: Coordinates, plane_shape: tuple[int, int], *, on_object: bool) -> Drawing | None:
    if kind is None:
        return drawings.clicks(vertices, on_object=on_object) if _on_plane(vertices, plane_shape).all() else None
    if kind in ("line", "path"):
        drawn = drawings.shape(kind, vertices, plane_shape, on_object=on_object)
        points = drawn.positive if on_object else drawn.negative
        inside = points[_on_plane(points, plane_shape)]
        return drawings.clicks(inside, on_object=on_object) if len(inside) else None
    try:
        return drawings.shape(kind, vertices, plane_shape, on_object=on_object)
    except ValueError:
        return None


def _on_plane(points: Coordinates, plane_shape: tuple[int, int]) -> NDArray[np.bool_]:
    inside = (points >= -0.5) & (points <= np.subtract(plane_shape, 0.5))
    return np.asarray(inside.all(axis=1))


def _is_positive(features: pd.DataFrame) -> list[bool]:
    if LABEL not in features:
        return [True] * len(features)
    return [str(value).strip().lower() not in _NEGATIVE_WORDS for value in features[LABEL]]


def _no_features() -> pd.DataFrame:
    return pd.DataFrame({OBJECT: np.zeros(0, int), LABEL: np.zeros(0, object)})
