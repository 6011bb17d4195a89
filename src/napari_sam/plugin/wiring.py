"""What each control of the panel does to the annotation at hand. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from napari_sam.cleanup import Cleanup
from napari_sam.plugin.annotation import Annotation
from napari_sam.plugin.showing import show_ranges

if TYPE_CHECKING:
    from napari_sam.plugin.panel import Panel

Act = Callable[[Annotation], object]


def wire(panel: Panel, do: Callable[[Act], None]) -> None:
    """Let controls act on an annotation.

    Parameters
    ----------
    panel : Panel
        Whose controls.
    do : callable
        Does something to the annotation at hand, if there is one, and says what goes wrong.
    """
    for name, button in panel.tools.items():
        button.clicked.connect(lambda _, name=name: do(lambda a: a.use(name)))
    buttons = {
        panel.polarity: lambda a: a.aim(positive=not a.positive),
        panel.new_object: Annotation.new_object,
        panel.next_mask: Annotation.next_choice,
        panel.propagate: partial(_propagate_or_cancel, panel),
        panel.weakest: Annotation.go_to_weakest,
        panel.confirm: Annotation.confirm,
        panel.end_here: Annotation.end_here,
        panel.commit: Annotation.commit,
        panel.undo: Annotation.undo,
        panel.redo: Annotation.redo,
        panel.discard: Annotation.discard,
        panel.more.split: Annotation.split,
        panel.more.use_labels: Annotation.take_labels,
        panel.more.reopen: lambda a: a.reopen(a.object_id),
    }
    for button, act in buttons.items():
        button.clicked.connect(lambda _, act=act: do(act))
    panel.result.chosen.connect(lambda labels: do(lambda a: a.set_result(labels)))
    panel.more.adopted.chosen.connect(lambda one: do(lambda a: a.stage.adopt([] if one is None else [one])))
    panel.object_id.valueChanged.connect(lambda value: do(lambda a: a.choose_object(value)))
    panel.axis.activated.connect(lambda: do(partial(_choose_axis, panel)))
    panel.plot.clicked.connect(lambda position: do(lambda a: a.go_to(position)))
    panel.more.show_preview.toggled.connect(lambda shown: do(lambda a: a.stage.show_drafts(shown)))
    panel.more.encode_ahead.toggled.connect(lambda wanted: do(lambda a: a.encode_ahead(wanted)))
    for option in panel.more.options_of_commits:
        option.connect(lambda: do(partial(apply_options, panel)))


def apply_options(panel: Panel, annotation: Annotation) -> None:
    """Let an annotation follow the options as they are now."""
    annotation.one_object_each = panel.more.one_object_each.isChecked()
    annotation.result.overlap = "replace" if panel.more.overwrite.isChecked() else "keep"
    annotation.result.cleanup = Cleanup(
        largest=panel.more.largest.isChecked(),
        fill_holes=panel.more.fill_holes.isChecked(),
        smooth=panel.more.smooth.value(),
        min_size=panel.more.min_size.value(),
    )
    annotation.stage.draw_drafts(as_contour=panel.more.contour.isChecked())


def _choose_axis(panel: Panel, annotation: Annotation) -> None:
    annotation.walk_along(panel.axis.currentData())
    show_ranges(panel, annotation)


def _propagate_or_cancel(panel: Panel, annotation: Annotation) -> None:
    if annotation.walking is not None:
        annotation.cancel()
        return
    annotation.propagate(
        direction=panel.direction.currentData(),
        limits=(panel.first.value(), panel.last.value() + 1),
        components=panel.more.pieces.currentData(),
        neighbours=panel.more.neighbours.isChecked(),
    )
