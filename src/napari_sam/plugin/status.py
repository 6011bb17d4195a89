"""One or two lines that say where an annotation stands. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_sam.plugin.annotation import Annotation


def describe(annotation: Annotation | None) -> str:
    """Say what is going on and what may come next."""
    if annotation is None:
        return "Open an image to begin."
    lines = [_now(annotation)]
    if annotation.outside:
        lines.append(f"{annotation.outside} prompts lie outside the image or across planes and are left out.")
    elif annotation.view.level:
        height, width = annotation.view.level_shape
        lines.append(f"The model reads level {annotation.view.level} of the pyramid ({height} x {width}).")
    elif annotation.view.stack_shape:
        total = annotation.view.stack_shape[annotation.axis]
        done = len({plane[annotation.axis] for plane in annotation.encoded})
        lines.append(f"{done} of {total} planes encoded.")
    return "\n".join(lines)


def _now(annotation: Annotation) -> str:
    if annotation.segmenter is None:
        return "Opening the model …" if annotation.is_opening else "The model could not be opened; choose it again."
    if annotation.session.asked:
        return "Encoding and decoding …"
    if annotation.walking is not None:
        return "Propagating …"
    if annotation.session.drafts:
        return "Correct with more prompts, propagate, or commit."
    return "Click on an object, or drag a box around it."
