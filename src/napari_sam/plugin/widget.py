"""The dock widget: what is pressed becomes a call of an annotation, and what it says is shown."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels, Points, Shapes
from napari.utils.notifications import show_error
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget
from superqt.utils import qdebounced, qthrottled

from napari_sam.cleanup import Cleanup
from napari_sam.plugin.activity import Activity
from napari_sam.plugin.annotation import Annotation
from napari_sam.plugin.bench import Opener
from napari_sam.plugin.keeping import keep, kept, kept_at, restore
from napari_sam.plugin.panel import Panel
from napari_sam.plugin.places import cache_places, model_rows
from napari_sam.plugin.settings import read_settings
from napari_sam.plugin.status import describe
from napari_sam.plugin.threads import Threads
from napari_sam.plugin.work import Desk, Job

if TYPE_CHECKING:
    import napari

    from napari_sam.plugin.bench import OpenSegmenter
    from napari_sam.prompts import Prompt

logger = logging.getLogger(__name__)

_ORIGINS = {"prompted": "mask", "walked": "propagated", "painted": "painted"}


class SamStacks(QWidget):
    """Segment a stack with prompts.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Given by napari.
    open_segmenter : callable, optional
        Opens the segmenter in a thread; None: with the model and the cache that are chosen in the widget.

    Attributes
    ----------
    annotation : Annotation or None
        The image at hand; `annotation.segmenter` is the `napari_sam.Segmenter` that scripts may go on with.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer, *, open_segmenter: OpenSegmenter | None = None) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._settings = read_settings()
        self._given_opener = open_segmenter
        self._clicks, self._encoding = Desk(), Desk()
        self._threads = Threads(self._clicks, self._encoding)
        self._annotations: dict[Image, Annotation] = {}
        self.annotation: Annotation | None = None
        self.panel = Panel(self._settings.keys)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.panel)
        self._refresh_soon = qthrottled(self._refresh, timeout=30)
        self._activity = Activity("Encoding planes")
        self._keep_soon = qdebounced(self._keep, timeout=1000)
        self._kept: tuple[Prompt, ...] = ()  # of this image, from the time before
        self._fill_pickers()
        self._connect_panel()
        self._connect_keys()
        self._connect_viewer()
        self._list_layers()
        self._pick_first_image()
        self._refresh()

    # --- images

    def choose_image(self, image: Image | None) -> None:
        """Annotate another image; what was begun on this one waits until it is chosen again."""
        if self.annotation is not None:
            if self.annotation.image == image:  # either may come wrapped in napari's proxy
                return
            self.annotation.suspend()
            self._show_layers(self.annotation, visible=False)
        self.annotation = None if image is None else self._annotations.get(image) or self._begin(image)
        if self.annotation is not None:
            self._show_layers(self.annotation, visible=True)
            self.annotation.resume()
            self._apply_options()
            self.panel.tools["point"].setChecked(True)
            self.annotation.use("point")
        self._list_layers()
        self._fill_ranges()
        self._on_change()

    def _begin(self, image: Image) -> Annotation | None:
        try:
            annotation = Annotation(
                self._viewer,
                image,
                open_segmenter=self._opener(),
                clicks=self._clicks,
                encoding=self._encoding,
                on_change=self._on_change,
                on_open=self._offer_kept,
                on_error=self._on_error,
            )
        except ValueError as error:
            self._on_error(error)
            return None
        self._annotations[image] = annotation
        return annotation

    def _opener(self) -> OpenSegmenter:
        if self._given_opener is not None:
            return self._given_opener
        return Opener(self.panel.model.currentData(), self.panel.cache.currentData())

    def _show_layers(self, annotation: Annotation, *, visible: bool) -> None:
        for layer in annotation.stage.own_layers:
            if layer.visible != visible:  # napari leaves the mode of a layer that is shown anew
                layer.visible = visible

    def _pick_first_image(self) -> None:
        active = self._viewer.layers.selection.active
        images = [layer for layer in self._viewer.layers if isinstance(layer, Image)]
        if images:
            self.choose_image(active if isinstance(active, Image) else images[-1])

    # --- the panel

    def _fill_pickers(self) -> None:
        for name, text in model_rows():
            self.panel.model.addItem(text, name)
        self.panel.model.setCurrentIndex(max(0, self.panel.model.findData(self._settings.model)))
        for text, place in cache_places(None):
            self.panel.cache.addItem(text, place)
        self.panel.encode_ahead.setChecked(self._settings.encode_ahead)
        self.panel.contour.setChecked(self._settings.contour)

    def _connect_panel(self) -> None:
        panel = self.panel
        panel.image.chosen.connect(self.choose_image)
        panel.result.chosen.connect(lambda labels: self._do(lambda a: a.set_result(labels)))
        panel.model.activated.connect(lambda: self._do(lambda a: a.use_model(self._opener())))
        panel.cache.activated.connect(lambda: self._do(lambda a: a.use_model(self._opener())))
        for name, button in panel.tools.items():
            button.clicked.connect(lambda _, name=name: self._do(lambda a: a.use(name)))
        panel.polarity.clicked.connect(self._toggle_polarity)
        panel.object_id.valueChanged.connect(lambda value: self._do(lambda a: a.aim(object_id=value)))
        panel.new_object.clicked.connect(lambda: self._do(Annotation.new_object))
        panel.next_mask.clicked.connect(lambda: self._do(Annotation.next_choice))
        panel.axis.activated.connect(lambda: self._do(self._choose_axis))
        panel.propagate.clicked.connect(lambda: self._do(self._propagate_or_cancel))
        panel.weakest.clicked.connect(lambda: self._do(Annotation.go_to_weakest))
        panel.plot.clicked.connect(lambda position: self._do(lambda a: a.go_to(position)))
        panel.commit.clicked.connect(lambda: self._do(Annotation.commit))
        panel.undo.clicked.connect(lambda: self._do(lambda a: a.result.undo()))
        panel.discard.clicked.connect(lambda: self._do(Annotation.discard))
        panel.use_labels.clicked.connect(lambda: self._do(Annotation.take_labels))
        panel.reopen.clicked.connect(lambda: self._do(lambda a: a.reopen(a.object_id)))
        panel.adopted.chosen.connect(lambda one: self._do(lambda a: a.stage.adopt([] if one is None else [one])))
        panel.restore.clicked.connect(lambda: self._do(self._restore))
        panel.save.clicked.connect(lambda: self._do(self._save_prompts))
        panel.show_preview.toggled.connect(self._show_preview)
        panel.encode_ahead.toggled.connect(lambda wanted: self._do(lambda a: a.encode_ahead(wanted)))
        for box in (panel.one_object_each, panel.contour, panel.overwrite, panel.largest, panel.fill_holes):
            box.toggled.connect(self._apply_options)
        for spin in (panel.smooth, panel.min_size):
            spin.valueChanged.connect(self._apply_options)

    def _connect_keys(self) -> None:
        pressed = {
            "polarity": self._toggle_polarity,
            "next_mask": self.panel.next_mask.click,
            "new_object": self.panel.new_object.click,
            "propagate": self.panel.propagate.click,
            "weakest_plane": self.panel.weakest.click,
            "commit": self.panel.commit.click,
            "undo": self.panel.undo.click,
            "hide_preview": self.panel.show_preview.toggle,
        }
        for action, key in self._settings.keys.items():
            if key:
                shortcut = QShortcut(QKeySequence(key), self)
                shortcut.setContext(Qt.ShortcutContext.ApplicationShortcut)
                shortcut.activated.connect(pressed[action])

    def _do(self, action: Any) -> None:
        """Do something with the annotation, if there is one."""
        if self.annotation is None:
            return
        try:
            action(self.annotation)
        except (ValueError, OSError) as error:
            self._on_error(error)
        self._threads.wake()

    def _apply_options(self) -> None:
        if self.annotation is None:
            return
        panel, annotation = self.panel, self.annotation
        annotation.one_object_each = panel.one_object_each.isChecked()
        annotation.result.overlap = "replace" if panel.overwrite.isChecked() else "keep"
        annotation.result.cleanup = Cleanup(
            largest=panel.largest.isChecked(),
            fill_holes=panel.fill_holes.isChecked(),
            smooth=panel.smooth.value(),
            min_size=panel.min_size.value(),
        )
        annotation.stage.draw_drafts(as_contour=panel.contour.isChecked())

    def _toggle_polarity(self) -> None:
        self._do(lambda annotation: annotation.aim(positive=not annotation.positive))

    def _show_preview(self, visible: bool) -> None:
        if self.annotation is not None and self.annotation.stage.preview is not None:
            self.annotation.stage.preview.visible = visible

    def _choose_axis(self, annotation: Annotation) -> None:
        annotation.axis = self.panel.axis.currentData()
        self._fill_ranges()
        self._on_change()

    def _propagate_or_cancel(self, annotation: Annotation) -> None:
        if annotation.walking is not None:
            annotation.cancel()
        else:
            limits = self.panel.first.value(), self.panel.last.value() + 1
            annotation.propagate(direction=self.panel.direction.currentData(), limits=limits)

    def _save_prompts(self, annotation: Annotation) -> None:
        from napari_sam.prompt_files import save_prompts

        name, _ = QFileDialog.getSaveFileName(self, "Save prompts", f"{annotation.image.name}.prompts.json", "*.json")
        if name:
            save_prompts(Path(name), annotation.prompts(), overwrite=True)

    # --- what is kept

    @property
    def _kept_at(self) -> Path | None:
        opener = self._opener()
        folder = opener.cache if isinstance(opener, Opener) else None
        return None if self.annotation is None else kept_at(self.annotation, folder)

    def _offer_kept(self) -> None:
        if self.annotation is not None and not self.annotation.session.object_ids:
            self._kept = kept(self._kept_at)
            self._refresh_soon()

    def _restore(self, annotation: Annotation) -> None:
        prompts, self._kept = self._kept, ()
        restore(annotation, prompts)

    def _keep(self) -> None:
        path = self._kept_at
        prompts = () if self.annotation is None else self.annotation.prompts()
        if path is not None and prompts:
            self._kept = ()
            self._encoding.submit(Job(key="keep", urgency=0, run=partial(keep, path, prompts)))
            self._threads.wake()

    # --- the viewer

    def _connect_viewer(self) -> None:
        self._viewer.layers.events.inserted.connect(self._on_layers)
        self._viewer.layers.events.removed.connect(self._on_removed)
        self._viewer.layers.events.reordered.connect(self._on_layers)
        self._viewer.dims.events.point.connect(self._on_plane)
        self._viewer.dims.events.order.connect(self._on_order)
        self.destroyed.connect(self._threads.stop)

    def _on_layers(self, event: Any) -> None:
        layer: Any = getattr(event, "value", None)
        if hasattr(layer, "events"):
            layer.events.name.connect(self._on_name)
        self._list_layers()
        if self.annotation is None and isinstance(layer, Image):
            self.choose_image(layer)

    def _on_name(self, event: Any) -> None:
        del event
        self._list_layers()

    def _on_removed(self, event: Any) -> None:
        layer = event.value
        if (gone := self._annotations.pop(layer, None)) is not None:
            gone.close()
            if gone is self.annotation:
                self.annotation = None
        for annotation in self._annotations.values():
            annotation.forget(layer)
        self._list_layers()
        self._on_change()

    def _on_plane(self, event: Any) -> None:
        del event
        self._refresh_soon()

    def _on_order(self, event: Any) -> None:
        del event
        self._fill_ranges()

    def _list_layers(self) -> None:
        layers = list(self._viewer.layers)
        own = [layer for annotation in self._annotations.values() for layer in annotation.stage.own_layers]
        image = None if self.annotation is None else self.annotation.image
        self.panel.image.show_layers([layer for layer in layers if isinstance(layer, Image)], image)
        shape = None if self.annotation is None else self.annotation.view.shape
        results = [one for one in layers if isinstance(one, Labels) and one not in own and not one.multiscale]
        fitting = [one for one in results if tuple(one.data.shape) == shape]
        self.panel.result.show_layers(fitting, None if self.annotation is None else self.annotation.result.labels)
        drawn = [one for one in layers if isinstance(one, Points | Shapes) and one not in own]
        adopted = () if self.annotation is None else self.annotation.stage.adopted
        self.panel.adopted.show_layers(drawn, next(iter(adopted), None))

    def _fill_ranges(self) -> None:
        lengths = () if self.annotation is None else self.annotation.view.stack_shape
        with QSignalBlocker(self.panel.axis):
            self.panel.axis.clear()
            for axis in range(len(lengths)):
                self.panel.axis.addItem(f"axis {axis}", axis)
            self.panel.axis.setCurrentIndex(0 if self.annotation is None else self.annotation.axis)
        self.panel.axis.setVisible(len(lengths) > 1)
        last = lengths[self.annotation.axis] - 1 if self.annotation is not None and lengths else 0
        for spin, value in ((self.panel.first, 0), (self.panel.last, last)):
            spin.setRange(0, last)
            spin.setValue(value)

    # --- what is shown

    def _on_change(self) -> None:
        self._threads.wake()
        self._refresh_soon()
        self._keep_soon()

    def _on_error(self, error: Exception) -> None:
        logger.warning("%s", error, exc_info=error)
        show_error(str(error))

    def _refresh(self) -> None:
        panel, annotation = self.panel, self.annotation
        for control in panel.needing_an_image:
            control.setEnabled(annotation is not None)
        panel.status.setText(describe(annotation))
        panel.restore.setVisible(bool(self._kept))
        panel.restore.setText(f"Restore {len(self._kept)} prompts of the last time")
        if annotation is not None:
            self._refresh_object(annotation)
            self._refresh_walk(annotation)

    def _refresh_object(self, annotation: Annotation) -> None:
        panel, draft, key = self.panel, annotation.draft, self._settings.keys["polarity"]
        panel.polarity.setChecked(not annotation.positive)
        panel.polarity.setText(f"{'● Positive' if annotation.positive else '✕ Negative'} ({key})")
        with QSignalBlocker(panel.object_id):
            panel.object_id.setValue(annotation.object_id)
        choices = 0 if draft is None else len(draft.choices)
        panel.next_mask.setEnabled(choices > 1)
        said = "no mask on this plane"
        if draft is not None:
            which = f"mask {draft.chosen + 1} of {choices}" if choices > 1 else _ORIGINS[draft.origin]
            said = which if draft.origin == "painted" else f"{which}, predicted IoU {draft.score:.2f}"
        panel.mask_text.setText(said)

    def _refresh_walk(self, annotation: Annotation) -> None:
        panel, curve, plane = self.panel, annotation.curve, annotation.plane
        lengths = annotation.view.stack_shape
        done, total = annotation.walking or (0, 1)
        key = self._settings.keys["propagate"]
        panel.propagate.setText(f"{'Propagate' if annotation.walking is None else 'Cancel'} ({key})")
        panel.propagate.setEnabled(bool(lengths))
        panel.progress.setMaximum(total)
        panel.progress.setValue(done)
        panel.progress.setFormat("" if annotation.walking is None else f"{done} of {total} planes")
        panel.weakest.setEnabled(any(not one.is_anchor for one in curve))
        panel.commit.setEnabled(bool(annotation.session.drafts))
        panel.undo.setEnabled(annotation.result.labels is not None)
        if self._encoding.has("encode"):
            self._activity.show(len(annotation.encoded), max(len(annotation.encoded), *lengths, 1))
        else:
            self._activity.hide()
        length, current = (lengths[annotation.axis], plane[annotation.axis]) if lengths else (1, 0)
        panel.plot.show_curve(curve, planes=length, current=current)
