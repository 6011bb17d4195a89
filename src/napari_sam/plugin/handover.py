"""Annotations whose widget was closed rest in the layers that hold their work, until another widget goes on. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from napari_sam.plugin.annotation import Annotation
    from napari_sam.plugin.places import Place

_MARK = "napari-sam-stacks"  # in the metadata of a layer


@dataclass(frozen=True, slots=True, eq=False)
class Left:
    """An annotation without a widget, and what its widget knew.

    Attributes
    ----------
    annotation : Annotation
        It rests.
    is_at_hand : bool
        Whether the widget showed it, and not one of another image.
    is_begun : bool
        Whether its work is in its file already; see `Keeper`.
    model : str
        A name or a path.
    place : {"user", "beside", "memory"}
        Where planes and prompts are kept.
    options : mapping
        Of the panel.
    """

    annotation: Annotation
    is_at_hand: bool
    is_begun: bool
    model: str
    place: Place
    options: Mapping[str, Any]


def leave(left: Left) -> None:
    """Let an annotation rest in its layers, or in its result if these are empty; one that holds nothing ends."""
    left.annotation.leave()
    bearers = _bearers(left.annotation)
    for layer in bearers:
        layer.metadata[_MARK] = (*layer.metadata.get(_MARK, ()), left)
    if not bearers:
        left.annotation.close()


def take_up(viewer: ViewerModel, besides: Container[Image]) -> tuple[Left, ...]:
    """Find annotations that rest in a viewer: one for each image that is there, `besides` some. They rest no more."""
    found: dict[Image, Left] = {}
    for layer in tuple(viewer.layers)[::-1]:
        resting = [left for left in layer.metadata.pop(_MARK, ()) if layer in _bearers(left.annotation)]  # else a copy
        for left in resting:
            image = left.annotation.image
            if image in viewer.layers and image not in besides:
                found.setdefault(image, left)
        others = tuple(left for left in resting if left not in found.values())
        if others:
            layer.metadata[_MARK] = others
    return tuple(found.values())


def _bearers(annotation: Annotation) -> tuple[Layer, ...]:
    result = annotation.result.labels
    return annotation.stage.own_layers or (() if result is None else (result,))
