"""What becomes of the layers of an annotation when its image is removed: nothing dead stays, nothing is lost. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_sam.plugin.annotation import Annotation


def part(annotation: Annotation, *, is_kept: bool) -> str | None:
    """Take the layers of an annotation that is closed out of the viewer, but for what would be lost with them.

    Not to be called while the viewer removes its layers: it loses count of those that it was asked to remove.

    Parameters
    ----------
    annotation : Annotation
        Its image was removed. Labels that it has written to stay as they are.
    is_kept : bool
        Whether all that was begun is on disk and will be offered with the image. If not, what is drawn stays, and the
        preview becomes labels of the user, which no longer hold on to the image.

    Returns
    -------
    str or None
        What the user should know; None if everything that was begun was committed, or removed together with the image.
    """
    stage, layers = annotation.stage, annotation.viewer.layers
    drafts = {object_id for object_id, _ in annotation.session.drafts} if stage.preview in layers else set()
    for layer in stage.own_layers:
        if layer in layers and (is_kept or not _holds_something(layer, annotation)):
            layers.remove(layer)
    if not drafts:
        return None
    if not is_kept:
        _make_the_users(annotation)
    which = "1 object that was" if len(drafts) == 1 else f"{len(drafts)} objects that were"
    where = "are kept: open the image again and press Restore" if is_kept else f"stay as {_name(annotation)!r}"
    return f"{annotation.image.name} is gone; the masks of {which} not committed {where}"


def _holds_something(layer: Layer, annotation: Annotation) -> bool:
    stage = annotation.stage
    return bool(annotation.session.drafts) if layer == stage.preview else len(layer.data) > 0


def _make_the_users(annotation: Annotation) -> None:
    """Give the preview an array of its own: pages where no mask is take no memory."""
    preview = annotation.stage.preview
    if preview is not None:
        preview.data, preview.name = np.asarray(preview.data), _name(annotation)


def _name(annotation: Annotation) -> str:
    return f"{annotation.image.name}, not committed"
