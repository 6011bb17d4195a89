"""One or two lines that say where an annotation stands, or what went wrong. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.plugin.channels import channel_choices
from napari_sam.plugin.walk import DOUBTFUL
from napari_sam.shortage import shortage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sam.plugin.annotation import Annotation


def describe(annotation: Annotation | None, keys: Mapping[str, str]) -> str:
    """Say what is going on and what may come next."""
    if annotation is None:
        return "Open an image, or choose one above. There are some to try in File > Open Sample > SAM stacks."
    return "\n".join(line for line in (_now(annotation, keys), _besides(annotation)) if line)


def slider(annotation: Annotation, axis: int) -> str:
    """Name a leading axis as the viewer's slider does."""
    dims, view = annotation.viewer.dims, annotation.view
    return str(dims.axis_labels[dims.ndim - len(view.order) + view.order[axis]])


def explain(error: Exception) -> str:
    """Say what went wrong, in one line, and what to do if that is not in it."""
    if (short := shortage(error)) is not None:
        return f"{short}. Nothing was changed: choose a smaller model, or close what else uses the memory."
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _now(annotation: Annotation, keys: Mapping[str, str]) -> str:
    if annotation.fetching is not None:
        done, total = annotation.fetching
        return f"Downloading the model: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB …"
    if annotation.segmenter is None:
        return "Opening the model …" if annotation.is_opening else "The model could not be opened; choose it again."
    if annotation.session.asked:
        return "Looking for the object …" if annotation.plane in annotation.encoded else "Encoding this plane …"
    if annotation.walking is not None:
        done, total = annotation.walking
        return f"Propagating … {done} of {total} planes.{_key(keys, 'propagate', ' {}: stop.')}"
    return _next(annotation, keys)


def _next(annotation: Annotation, keys: Mapping[str, str]) -> str:
    """Say what may come next, for the object that is being marked."""
    own = [draft for (one, _), draft in annotation.session.drafts.items() if one == annotation.object_id]
    keep = _key(keys, "commit", " {}: keep it.")
    if not own:
        which = "the next object" if annotation.result.entries or annotation.session.drafts else "an object"
        return f"Click on {which}, or choose Box and drag around it.{_waiting(annotation, keys)}"
    if (here := annotation.draft) is not None and here.origin == "walked" and not here.mask:
        absent = keys.get("confirm") or "Right as it is"
        return f"Propagation ended before this plane: if the object is here, click on it; if not, press {absent}."
    if any(draft.origin == "walked" for draft in own):
        weakest = _key(keys, "weakest_plane", " ({})")
        right = _key(keys, "confirm", " or say that it is right ({})")
        again = _key(keys, "propagate", ", then {} again")
        is_doubtful = any(one.score < DOUBTFUL and not one.is_anchor for one in annotation.curve)
        where = "Doubtful planes are orange: go" if is_doubtful else "Look through the planes, or go"
        return f"{where} to the weakest{weakest}, correct it{right}{again}.{keep}"
    negative = _key(keys, "polarity", ", or ({}) on what is too much")
    onward = _key(keys, "propagate", " {}: to all planes.") if annotation.view.stack_shape else ""
    return f"Not right? Click on what is missing{negative}.{onward}{keep}"


def _waiting(annotation: Annotation, keys: Mapping[str, str]) -> str:
    """Say that other objects are not committed yet."""
    count = len({object_id for object_id, _ in annotation.session.drafts})
    if not count:
        return ""
    said = "1 object is" if count == 1 else f"{count} objects are"
    return f" {said} not committed yet{_key(keys, 'commit', ' ({})')}."


def _key(keys: Mapping[str, str], action: str, text: str) -> str:
    """Write a key into a text; nothing if the user gave the action none."""
    return text.format(keys[action]) if keys.get(action) else ""


def _besides(annotation: Annotation) -> str:
    """Say what else there is to know."""
    view = annotation.view
    if annotation.outside == 1:
        return "1 prompt lies outside the image or across planes and is left out."
    if annotation.outside:
        return f"{annotation.outside} prompts lie outside the image or across planes and are left out."
    if view.level:
        height, width = view.level_shape
        return f"The model reads level {view.level} of the pyramid ({height} x {width}); labels are of full resolution."
    if (asked := _perhaps_channels(annotation)) is not None:
        return asked
    if view.stack_shape:
        done, total = annotation.ahead
        return f"{done} of {total} planes encoded."
    return ""


def _perhaps_channels(annotation: Annotation) -> str | None:
    """Ask, before anything is done, whether a short axis holds channels: labels are of one of them else."""
    view = annotation.view
    if view.channels is not None or annotation.session.drafts or annotation.result.entries:
        return None
    axes = {choice.axis for choice in channel_choices(annotation.image, view.order[-2:])}
    for position, axis in enumerate(view.order[:-2]):
        if axis in axes and position != annotation.axis:
            name, count = slider(annotation, position), view.shape[axis]
            return f"Are the {count} positions of slider {name} channels? Then choose them under More > Channels."
    return None
