"""The dock widget: what is pressed becomes a call of an annotation, and what it says is shown."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Layer
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QEvent, QEventLoop, QTimer
from qtpy.QtWidgets import QApplication, QFileDialog, QVBoxLayout, QWidget
from superqt.utils import qdebounced, qthrottled

from napari_sam.plugin.activity import Bars
from napari_sam.plugin.annotation import Annotation
from napari_sam.plugin.bench import Opener
from napari_sam.plugin.follower import Follower
from napari_sam.plugin.handover import Left, leave, take_up
from napari_sam.plugin.keeper import Keeper
from napari_sam.plugin.keys import Keys
from napari_sam.plugin.library_warnings import LibraryWarnings
from napari_sam.plugin.listener import Listener
from napari_sam.plugin.panel import Panel
from napari_sam.plugin.parting import part
from napari_sam.plugin.places import cache_at, cache_places, is_here
from napari_sam.plugin.scrolling import Scrolling
from napari_sam.plugin.settings import follow_settings, read_settings
from napari_sam.plugin.showing import show_annotation, show_channels, show_layers, show_ranges
from napari_sam.plugin.status import explain
from napari_sam.plugin.threads import Threads
from napari_sam.plugin.wiring import apply_options, wire
from napari_sam.plugin.work import Desks

if TYPE_CHECKING:
    from collections.abc import Mapping

    import napari
    from qtpy.QtGui import QHideEvent

    from napari_sam.plugin.bench import OpenSegmenter
    from napari_sam.plugin.places import Place
    from napari_sam.plugin.view import ImageView
    from napari_sam.plugin.work import Job

logger = logging.getLogger(__name__)


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
        self._desks = Desks()
        self._listener = Listener(on_change=self._on_change, on_open=self._on_open, on_error=self._on_error)
        self._threads = Threads(self._desks)
        self._library_warnings = LibraryWarnings()
        self._annotations: dict[Image, Annotation] = {}
        self.annotation: Annotation | None = None
        self._seen: ImageView | None = None
        self._is_unkept = False  # something changed that will be kept soon
        self.panel = Panel()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._scrolling = Scrolling(self.panel)
        layout.addWidget(self._scrolling)
        self._refresh_soon = qthrottled(self._refresh, timeout=30)
        self._bars = Bars(self.panel.model.go_back)
        self._keep_soon = qdebounced(self._keep, timeout=1000)
        self._follow_soon = qdebounced(partial(self._do, Annotation.follow), timeout=300)
        self._use_point_soon = qdebounced(self._use_point, timeout=0)
        self._keeper = Keeper(self._refresh_soon, self._on_error)
        self._fill_pickers()
        self._connect_panel()
        self._keys = Keys(self, self.panel.keyed.actions)
        self._follow_viewer()
        self._list_layers()
        self._apply_settings()
        self._pick_first_image(self._take_up())

    # --- images

    def choose_image(self, image: Image | None) -> None:
        """Annotate another image; what was begun on this one waits until it is chosen again."""
        if self.annotation is not None:
            if self.annotation.image == image:  # either may come wrapped in napari's proxy
                return
            self._keep_now()
            self.annotation.suspend()
            self._show_layers(self.annotation, visible=False)
        self._fill_places(image)
        self._library_warnings.begin_anew()
        self._keeper.look(None)
        self.annotation = None if image is None else self._annotations.get(image) or self._begin(image)
        if self.annotation is not None:
            self._show_layers(self.annotation, visible=True)
            self._resume(self.annotation)
            apply_options(self.panel, self.annotation)
            self.annotation.encode_ahead(self.panel.more.encode_ahead.isChecked())
            self.annotation.use("point")
        self._show_view()
        self._on_change()

    def wait(self) -> None:
        """Go on when all that was asked for is there, for scripts; planes that are encoded ahead are not waited for."""
        while self._threads.work_at(self._desks.clicks, self._desks.writing):
            QApplication.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)

    def hideEvent(self, event: QHideEvent) -> None:
        """Keep the work at once: a widget that is hidden is perhaps being closed, and nothing comes after that."""
        self._keep_now()
        super().hideEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        """End when the dock was closed: napari takes the widget out of it, and makes another one when asked again."""
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is None:
                self._leave()
                QTimer.singleShot(0, self._end_if_undocked)
            elif (image := self._take_up()) is not None:
                self.choose_image(image)
        super().changeEvent(event)

    def _end_if_undocked(self) -> None:
        if self.parent() is None:  # a script may have put it into another dock at once
            self.deleteLater()

    def _leave(self) -> None:
        """Let the annotations rest in the viewer, for the next widget."""
        self._keep_now()
        left = [
            Left(
                one,
                is_at_hand=one is self.annotation,
                is_begun=self._keeper.has_begun(one),
                model=self.panel.model.model,
                place=self.panel.more.cache.currentData(),
                options=self.panel.more.options(),
            )
            for one in self._annotations.values()
        ]
        self._annotations.clear()
        self.annotation = None
        for one in left:
            leave(one)
        self._bars.show(None, is_encoding=False)

    def _take_up(self) -> Image | None:
        """Go on with annotations whose widget was closed; the image that it showed."""
        at_hand = None
        for left in take_up(self._viewer, besides=self._annotations):
            self._annotations[left.annotation.image] = left.annotation
            left.annotation.take_up(self._desks, self._listener)
            if left.is_begun:
                self._keeper.go_on(left.annotation)
            self.panel.model.choose(left.model)
            self._fill_places(left.annotation.image, left.place)
            self.panel.more.set_options(left.options)
            at_hand = left.annotation.image if left.is_at_hand else at_hand
        return at_hand

    def _begin(self, image: Image) -> Annotation | None:
        try:
            annotation = Annotation(
                self._viewer,
                image,
                open_segmenter=self._opener(image),
                desks=self._desks,
                listener=self._listener,
            )
        except ValueError as error:
            self._on_error(error)
            return None
        self._annotations[image] = annotation
        return annotation

    def _on_open(self) -> None:
        self.panel.model.refill()  # what was downloaded needs no download
        self._submit(self._keeper.look(self.annotation))
        self._refresh_soon()

    def _opener(self, image: Image) -> OpenSegmenter:
        if self._given_opener is not None:
            return self._given_opener
        place = cache_at(self.panel.more.cache.currentData(), image)
        return Opener(self.panel.model.model, place, source=image.source.path or image.name)

    def _resume(self, annotation: Annotation) -> None:
        """Go on with an image, with the model and the cache that are chosen now."""
        if annotation.open_segmenter == (opener := self._opener(annotation.image)):
            annotation.resume()
        else:
            annotation.use_model(opener)
        annotation.result.doubt()  # work on another image may have gone to the same labels
        annotation.search()

    def _use_model(self) -> None:
        """Open the model that is chosen, also if it is the same: it may have failed."""
        self._do(lambda annotation: annotation.use_model(self._opener(annotation.image)))

    def _show_layers(self, annotation: Annotation, *, visible: bool) -> None:
        for layer in annotation.stage.own_layers:
            if layer.visible != visible:  # napari leaves the mode of a layer that is shown anew
                layer.visible = visible

    def _pick_first_image(self, at_hand: Image | None) -> None:
        active = self._viewer.layers.selection.active
        images = [layer for layer in self._viewer.layers if isinstance(layer, Image)]
        if at_hand is not None:
            self.choose_image(at_hand)
        elif images:
            self.choose_image(active if isinstance(active, Image) else images[-1])

    # --- the panel

    def _fill_pickers(self) -> None:
        self.panel.model.choose(self._settings.model)
        self._fill_places(None)

    def _fill_places(self, image: Image | None, chosen: Place | None = None) -> None:
        box = self.panel.more.cache
        chosen = chosen or box.currentData()
        box.clear()
        for text, place in cache_places(image):
            box.addItem(text, place)
        box.setCurrentIndex(max(0, box.findData(chosen)))

    def _connect_panel(self) -> None:
        panel = self.panel
        wire(panel, self._do)
        panel.advanced.toggled.connect(lambda: self._scrolling.show_all_of(panel.more))
        panel.image.chosen.connect(self.choose_image)
        panel.model.chosen.connect(self._use_model)
        panel.more.cache.activated.connect(self._use_model)
        panel.more.channels.activated.connect(lambda: self._do(self._use_channels))
        panel.restore.clicked.connect(lambda: self._do(self._restore))
        panel.cancel_download.clicked.connect(panel.model.go_back)
        panel.more.save.clicked.connect(lambda: self._do(self._save_prompts))

    def _apply_settings(self) -> None:
        """Follow the Preferences; the model there is the one that is chosen at first."""
        self._settings = read_settings()
        self.panel.keyed.show_keys(self._settings.keys)
        self._keys.bind(self._settings.keys)
        self.panel.more.encode_ahead.setChecked(self._settings.encode_ahead)
        self.panel.more.contour.setChecked(self._settings.contour)
        self._refresh()

    def _on_settings(self, event: Any) -> None:
        del event
        self._apply_settings()

    def _do(self, action: Any) -> None:
        """Do something with the annotation, if there is one."""
        if self.annotation is None:
            return
        try:
            action(self.annotation)
        except (ValueError, OSError) as error:
            self._on_error(error)
        self._threads.wake()

    def _use_point(self) -> None:
        self._do(lambda annotation: annotation.use("point"))

    def _use_channels(self, annotation: Annotation) -> None:
        annotation.use_channels(self.panel.more.channels.currentData())

    def _save_prompts(self, annotation: Annotation) -> None:
        from napari_sam.prompt_files import save_prompts

        name, _ = QFileDialog.getSaveFileName(self, "Save prompts", f"{annotation.image.name}.prompts.json", "*.json")
        if name:
            save_prompts(Path(name), annotation.prompts(), overwrite=True)

    # --- what is kept

    def _restore(self, annotation: Annotation) -> None:
        work = self._keeper.restore(annotation)
        if work is not None:
            self.panel.more.set_options(work.options)
            if is_here(work.model):
                self.panel.model.choose(work.model)

    def _keep(self) -> None:
        self._is_unkept = False
        model, options = self.panel.model.model, self.panel.more.options()
        self._do(lambda annotation: self._submit(self._keeper.job(annotation, model, options)))

    def _keep_now(self) -> None:
        """Keep what would be kept soon: it may be gone by then."""
        if self._is_unkept:
            self._keep()

    def _submit(self, job: Job | None) -> None:
        if job is not None:
            self._desks.writing.submit(job)
            self._threads.wake()

    # --- the viewer

    def _follow_viewer(self) -> None:
        self._follower = Follower(
            self._viewer,
            on_layers=self._on_layers,
            on_removed=self._on_removed,
            on_tool=self._refresh_soon,
            on_plane=self._on_plane,
        )
        settings, rest = follow_settings(self._on_settings), partial(_close, self._annotations)
        for stop in (self._threads.stop, self._library_warnings.stop, self._follower.stop, settings, rest):
            self.destroyed.connect(stop)

    def _on_layers(self, layer: Layer | None) -> None:
        self._list_layers()
        if self.annotation is None and isinstance(layer, Image):
            self.choose_image(layer)
            self._use_point_soon()  # a layer that was just added is made the active one after this

    def _on_removed(self, layer: Layer) -> None:
        self._keep_now()
        if (gone := self._annotations.pop(layer, None)) is not None:
            gone.close()
            self._submit(self._keeper.forget(gone, partial(self._part, gone)))
            if gone is self.annotation:
                self.annotation = None
        for annotation in self._annotations.values():
            annotation.forget(layer)
        self._list_layers()
        self._on_change()
        self._is_unkept = False  # napari takes all layers away before it closes: what they held was kept just now

    def _part(self, gone: Annotation, is_kept: bool) -> None:
        if (said := part(gone, is_kept=is_kept)) is not None:
            show_info(said)

    def _on_plane(self) -> None:
        self._refresh_soon()
        self._follow_soon()

    def _list_layers(self) -> None:
        own = [layer for annotation in self._annotations.values() for layer in annotation.stage.own_layers]
        show_layers(self.panel, list(self._viewer.layers), self.annotation, own)

    # --- what is shown

    def _on_change(self) -> None:
        self._is_unkept = True
        self._threads.wake()
        self._refresh_soon()
        self._keep_soon()

    def _on_error(self, error: Exception) -> None:
        logger.warning("%s", error, exc_info=error)
        show_error(explain(error))

    def _show_view(self) -> None:
        """Show what depends on the axes and channels of the image: they may have changed."""
        self._seen = None if self.annotation is None else self.annotation.view
        self._list_layers()
        show_ranges(self.panel, self.annotation)
        show_channels(self.panel, self.annotation)

    def _refresh(self) -> None:
        panel, annotation = self.panel, self.annotation
        if annotation is not None and annotation.view is not self._seen:
            self._show_view()
        show_annotation(panel, annotation, self._settings.keys)
        panel.restore.setVisible(self._keeper.offered is not None)
        if self._keeper.offered is not None:
            count = len(self._keeper.offered.object_ids)
            panel.restore.setText(f"Restore the last session: {count} {'object' if count == 1 else 'objects'}")
        self._bars.show(annotation, is_encoding=self._desks.encoding.has("encode"))


def _close(annotations: Mapping[Image, Annotation]) -> None:
    """End annotations whose widget is gone: they would tell it what happens to their layers."""
    for annotation in annotations.values():
        annotation.close()
