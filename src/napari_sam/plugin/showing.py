"""What the panel shows of an annotation and of the layers of its viewer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image, Labels, Points, Shapes
from qtpy.QtCore import QSignalBlocker

from napari_sam.plugin.channels import channel_choices
from napari_sam.plugin.controls import with_key
from napari_sam.plugin.results import fits, lacks, layers_take_axes
from napari_sam.plugin.status import describe, slider

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from napari.layers import Layer

    from napari_sam.plugin.annotation import Annotation
    from napari_sam.plugin.panel import Panel
    from napari_sam.plugin.session import Draft

_NO_BREAK = "\N{NO-BREAK SPACE}"  # a key and what it does stay on one line
_ORIGINS = {"prompted": "mask", "walked": "propagated"}
_VOUCHED = {"painted": "painted", "confirmed": "right, as you said"}
_ABSENT = {
    "painted": "not on this plane, as you said",
    "confirmed": "not on this plane, as you said",
    "walked": "not found on this plane: click, if it is here",
    "prompted": "nothing found: click again, or choose Box",
}


def show_annotation(panel: Panel, annotation: Annotation | None, keys: Mapping[str, str]) -> None:
    """Show where an annotation stands; None: there is no image."""
    for control in panel.needing_an_image:
        control.setEnabled(annotation is not None)
    panel.status.setText(describe(annotation, keys).replace(": ", f":{_NO_BREAK}"))
    panel.show_tool(None if annotation is None else annotation.stage.tool)
    if annotation is None:
        _show_nothing(panel, keys)
    else:
        _show_object(panel, annotation, keys)
        _show_walk(panel, annotation, keys)


def show_layers(panel: Panel, layers: Sequence[Layer], annotation: Annotation | None, own: Collection[Layer]) -> None:
    """List the layers that can be chosen, but for those that were made by us."""
    panel.image.show_layers(
        [layer for layer in layers if isinstance(layer, Image)], None if annotation is None else annotation.image
    )
    results = [one for one in layers if isinstance(one, Labels) and one not in own]
    fitting = [] if annotation is None else [one for one in results if fits(one, annotation.view)]
    unfit = {} if annotation is None else {one: _misfit(one, annotation) for one in results if one not in fitting}
    panel.result.show_layers(fitting, None if annotation is None else annotation.result.labels, unfit)
    drawn = [one for one in layers if isinstance(one, Points | Shapes) and one not in own]
    adopted = () if annotation is None else annotation.stage.adopted
    panel.more.adopted.show_layers(drawn, next(iter(adopted), None))


def show_ranges(panel: Panel, annotation: Annotation | None) -> None:
    """Offer the axes to propagate along, and all planes of the one that is chosen."""
    lengths: tuple[int, ...] = ()
    ways: dict[int, str] = {}
    if annotation is not None:
        lengths = annotation.view.stack_shape
        ways = {axis: slider(annotation, axis) for axis, length in enumerate(lengths) if length > 1}
    with QSignalBlocker(panel.axis):
        panel.axis.clear()
        for axis, name in ways.items():
            panel.axis.addItem(f"along {name}", axis)
        panel.axis.setCurrentIndex(panel.axis.findData(0 if annotation is None else annotation.axis))
    panel.axis.setVisible(len(ways) > 1)
    last = lengths[annotation.axis] - 1 if annotation is not None and lengths else 0
    for spin, value in ((panel.first, 0), (panel.last, last)):
        spin.setRange(0, last)
        spin.setValue(value)


def show_channels(panel: Panel, annotation: Annotation | None) -> None:
    """Offer the channels inside an image, if there are any."""
    panel.more.channels.clear()
    panel.more.channels.addItem("each on its own, as shown", None)
    panel.more.channels_row.setVisible(False)
    if annotation is None:
        return
    choices = channel_choices(annotation.image, annotation.view.order[-2:])
    for choice in choices:
        name = slider(annotation, annotation.view.order.index(choice.axis))
        panel.more.channels.addItem(f"{' + '.join(map(str, choice.chosen))} of axis {name}", choice)
    chosen = annotation.view.channels
    panel.more.channels.setCurrentIndex(choices.index(chosen) + 1 if chosen in choices else 0)
    panel.more.channels_row.setVisible(bool(choices))


def _show_nothing(panel: Panel, keys: Mapping[str, str]) -> None:
    """Forget what was shown of an image that is gone."""
    panel.mask_text.clear()
    panel.propagate.setText(with_key("Propagate", keys["propagate"]))
    panel.progress.setValue(0)
    panel.cancel_download.setVisible(False)
    panel.plot.show_curve((), planes=1, current=0)


def _show_object(panel: Panel, annotation: Annotation, keys: Mapping[str, str]) -> None:
    draft = annotation.draft
    panel.polarity.setChecked(not annotation.positive)
    panel.polarity.setText(with_key("● Positive" if annotation.positive else "✕ Negative", keys["polarity"]))
    with QSignalBlocker(panel.object_id):
        panel.object_id.setValue(annotation.object_id)
    choices = 0 if draft is None else len(draft.choices)
    panel.next_mask.setEnabled(choices > 1)
    said = "no mask on this plane"
    if draft is not None:
        said = _say(annotation, draft) if draft.mask else _ABSENT[draft.origin]
    panel.mask_text.setText(said)


def _say(annotation: Annotation, draft: Draft) -> str:
    """Say what a mask is, and how good unless the user knows that."""
    if draft.origin in _VOUCHED:
        return _VOUCHED[draft.origin]
    choices = len(draft.choices)
    which = f"mask {draft.chosen + 1} of {choices}" if choices > 1 else _ORIGINS[draft.origin]
    return f"{which}, {_trust(annotation, draft)}"


def _misfit(labels: Labels, annotation: Annotation) -> str:
    if labels.multiscale:
        return "a pyramid, which napari cannot edit"
    for choice in channel_choices(annotation.image, annotation.view.order[-2:]):
        if lacks(labels, annotation.view.shape, choice.axis):
            if annotation.view.channels is None:
                return "without channels; choose More > Channels first"
            return "without channels, " + ("and not in memory" if layers_take_axes() else "which needs a newer napari")
    own, image = (" x ".join(map(str, shape)) for shape in (labels.data.shape, annotation.view.shape))
    return f"{own}, not {image}"


def _trust(annotation: Annotation, draft: Draft) -> str:
    """Say how good a mask is expected to be: by the model, or by how a walk came to it."""
    plane = annotation.plane
    if draft.origin == "walked" and annotation.axis < len(plane):
        here = (one.score for one in annotation.curve if one.position == plane[annotation.axis])
        return f"confidence {next(here, 0.0):.2f}"
    return f"confidence {draft.score:.2f}"


def _show_walk(panel: Panel, annotation: Annotation, keys: Mapping[str, str]) -> None:
    curve, plane = annotation.curve, annotation.plane
    lengths = annotation.view.stack_shape
    done, total = annotation.walking or (0, 1)
    panel.propagate.setText(with_key("Propagate" if annotation.walking is None else "Cancel", keys["propagate"]))
    panel.through.setVisible(bool(lengths))
    panel.propagate.setEnabled(bool(lengths))
    panel.progress.setMaximum(total)
    panel.progress.setValue(done)
    panel.cancel_download.setVisible(annotation.fetching is not None)
    panel.weakest.setEnabled(any(not one.is_anchor for one in curve))
    panel.commit.setEnabled(bool(annotation.session.drafts))
    panel.discard.setEnabled(annotation.object_id in annotation.session.object_ids)
    panel.confirm.setEnabled(annotation.draft is not None and not annotation.draft.is_anchor)
    panel.end_here.setEnabled(bool(lengths) and annotation.object_id in annotation.session.object_ids)
    panel.undo.setEnabled(annotation.history.last is not None)
    panel.redo.setEnabled(annotation.history.next is not None)
    length, current = (lengths[annotation.axis], plane[annotation.axis]) if lengths else (1, 0)
    panel.plot.show_curve(curve, planes=length, current=current)
