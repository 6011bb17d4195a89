"""What is drawn in a Points or Shapes layer, as a value: copied, taken out, put back. No Qt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from napari.layers import Points, Shapes

from napari_sam.plugin.layers import OBJECT, affine_between, place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from napari.layers import Image

    from napari_sam.plugin.view import Coordinates, ImageView


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """Points or shapes of a layer, with all that is needed to draw them again.

    Attributes
    ----------
    data : sequence of ndarray
        ``(ndim,)`` of each point, ``(vertices, ndim)`` of each shape; in the layer's coordinates.
    shape_types : tuple of str
        One per shape; empty for points.
    features : DataFrame
        A row each.
    """

    data: Sequence[Coordinates]
    shape_types: tuple[str, ...]
    features: pd.DataFrame

    def equals(self, other: Drawn) -> bool:
        """Whether the same is drawn."""
        return (
            len(self.data) == len(other.data)
            and self.shape_types == other.shape_types
            and all(np.array_equal(one, two) for one, two in zip(self.data, other.data, strict=True))
            and self.features.equals(other.features)
        )


def is_same(one: Mapping[str, Drawn], other: Mapping[str, Drawn]) -> bool:
    """Whether layers of the same names hold the same."""
    return one.keys() == other.keys() and all(one[name].equals(other[name]) for name in one)


def copy_drawn(layer: Points | Shapes, rows: Sequence[int] | None = None) -> Drawn:
    """Copy points or shapes of a layer; None: all."""
    rows = range(len(layer.data)) if rows is None else rows
    kinds = tuple(str(layer.shape_type[index]) for index in rows) if isinstance(layer, Shapes) else ()
    features = layer.features.iloc[list(rows)].reset_index(drop=True)
    return Drawn([np.array(layer.data[index]) for index in rows], kinds, features)


def take_objects(layer: Points | Shapes, object_ids: Iterable[int]) -> Drawn:
    """Take the points or shapes of some objects out of a layer."""
    wanted = set(object_ids)
    found = layer.features.get(OBJECT, pd.Series(dtype=int))
    rows = [index for index, one in enumerate(found) if int(one) in wanted]
    taken = copy_drawn(layer, rows)
    _remove(layer, rows)
    return taken


def put_back(layer: Points | Shapes, drawn: Drawn) -> None:
    """Undo `take_objects`; the order of the layer's points or shapes may be another one."""
    if len(drawn.data) == 0:
        return
    features = pd.concat([layer.features, drawn.features], ignore_index=True)
    if isinstance(layer, Shapes):
        layer.add(list(drawn.data), shape_type=list(drawn.shape_types))
    else:
        layer.add(np.stack(drawn.data))
    layer.features = features
    layer.selected_data = set()


def redraw(layer: Points | Shapes, drawn: Drawn) -> None:
    """Draw what was copied, and nothing else."""
    if not copy_drawn(layer).equals(drawn):
        _remove(layer, range(len(layer.data)))
        put_back(layer, drawn)


def place_anew(layer: Points | Shapes, image: Image, view: ImageView) -> None:
    """Put a layer of ours where the image is seen now; what is drawn stays where it is in the image."""
    matrix, offset = affine_between(layer, image)
    drawn = copy_drawn(layer)
    place(layer, image, view)
    back, shift = affine_between(image, layer)
    redraw(layer, replace(drawn, data=[(one @ matrix.T + offset) @ back.T + shift for one in drawn.data]))


def drop_given_up(layer: Points | Shapes) -> None:
    """Drop the features of a shape that the user gave up: napari removes such a shape, and leaves its row behind.

    The next shape would take that row for its own, also in a layer of the user. (napari 0.6.2 to 0.9.2; paths,
    polygons and lassos with too few vertices.)
    """
    if len(layer.features) > len(layer.data):
        layer.features = layer.features.iloc[: len(layer.data)]


def _remove(layer: Points | Shapes, rows: Sequence[int]) -> None:
    if len(rows):
        layer.selected_data = set(rows)
        layer.remove_selected()
