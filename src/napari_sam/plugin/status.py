"""One or two lines that say where an annotation stands, or what went wrong. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sam.plugin.annotation import Annotation


def describe(annotation: Annotation | None, keys: Mapping[str, str]) -> str:
    """Say what is going on and what may come next."""
    if annotation is None:
        return "Open an image to begin, or File > Open Sample > SAM stacks."
    lines = [_now(annotation, keys)]
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


def explain(error: Exception) -> str:
    """Say what went wrong, in one line, and what to do if that is not in it."""
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    if isinstance(error, MemoryError) or "out of memory" in said.lower():
        said = "Out of memory" if isinstance(error, MemoryError) else said.rstrip(".")
        return f"{said}. Nothing was changed: choose a smaller model, or close what else uses the memory."
    return said


def _now(annotation: Annotation, keys: Mapping[str, str]) -> str:
    if annotation.fetching is not None:
        done, total = annotation.fetching
        return f"Downloading the model: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB …"
    if annotation.segmenter is None:
        return "Opening the model …" if annotation.is_opening else "The model could not be opened; choose it again."
    if annotation.session.asked:
        return "Encoding and decoding …"
    if annotation.walking is not None:
        return "Propagating …"
    if annotation.session.drafts:
        return f"Correct with more prompts, {'propagate, ' if annotation.view.stack_shape else ''}or commit."
    if annotation.result.entries:
        return "Click on the next object, or drag a box around it."
    steps = {"next_mask": "other masks", "propagate": "all planes", "commit": "keep it"}
    if not annotation.view.stack_shape:
        del steps["propagate"]
    then = ", ".join(f"{keys[action]}: {what}" for action, what in steps.items() if keys.get(action))
    return f"Click on an object, or drag a box around it. Then {then}."
