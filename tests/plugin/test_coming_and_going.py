"""Images and layers come, go and are renamed while the widget is open."""

import time

import numpy as np
import pytest
from napari.layers import Labels
from tests.plugin.docks import CLICK, click, press
from tests.plugin.fakes import FakeSegmenter

from napari_sam.plugin.widget import SamStacks


def test_renaming_a_layer_changes_its_name_here_and_nothing_else(docked, qtbot):
    viewer, widget = docked
    viewer.layers["stack"].name = "renamed"
    viewer.layers["SAM points"].name = "clicks"
    assert widget.panel.image.currentText() == "renamed"
    click(widget, qtbot)
    assert widget.annotation.draft is not None


@pytest.mark.parametrize("name", ["SAM points", "SAM shapes", "SAM preview"])
def test_a_removed_layer_is_made_anew_when_it_is_needed(docked, qtbot, name):
    viewer, widget = docked
    click(widget, qtbot)
    del viewer.layers[name]
    widget.panel.tools["point"].click()
    qtbot.waitUntil(lambda: name in viewer.layers)
    click(widget, qtbot, (2, 10, 10))
    assert widget.annotation.draft is not None


def test_removing_the_image_while_work_runs_ends_quietly(docked, qtbot):
    viewer, widget = docked
    click(widget, qtbot)
    widget.panel.propagate.click()
    del viewer.layers["stack"]
    qtbot.waitUntil(lambda: widget._threads.is_idle)
    assert widget.annotation is None
    assert "SAM points" in viewer.layers


def test_removing_the_result_writes_to_a_new_one_next_time(docked, qtbot):
    viewer, widget = docked
    click(widget, qtbot)
    press(widget.panel.commit, qtbot)
    del viewer.layers["SAM labels"]
    click(widget, qtbot)
    press(widget.panel.commit, qtbot)
    assert isinstance(viewer.layers["SAM labels"], Labels)


def test_switching_the_image_and_back_keeps_the_drafts(docked, qtbot):
    viewer, widget = docked
    click(widget, qtbot)
    first, draft = widget.annotation, widget.annotation.draft
    other = viewer.add_image(np.zeros((30, 30)), name="other")
    widget.choose_image(other)
    assert not first.stage.points.visible
    widget.choose_image(first.image)
    assert first.stage.points.visible
    assert widget.annotation.draft is draft


def test_closing_the_viewer_while_work_runs_ends_the_threads(make_napari_viewer_proxy, qtbot):
    viewer = make_napari_viewer_proxy()
    viewer.add_image(np.zeros((50, 40, 50), np.uint8))

    class Slow(FakeSegmenter):
        def embed(self, planes=None):
            time.sleep(0.05)
            yield from planes

    widget = SamStacks(viewer, open_segmenter=Slow)
    viewer.window.add_dock_widget(widget)
    qtbot.waitUntil(lambda: not widget._threads.is_idle)
    threads = widget._threads
    viewer.close()
    qtbot.waitUntil(lambda: threads.is_idle)


def test_the_widget_needs_no_image_to_open(make_napari_viewer_proxy, qtbot):
    viewer = make_napari_viewer_proxy()
    widget = SamStacks(viewer, open_segmenter=FakeSegmenter)
    viewer.window.add_dock_widget(widget)
    assert "Open an image" in widget.panel.status.text()
    assert not widget.panel.commit.isEnabled()
    viewer.add_image(np.zeros((30, 30)))
    assert widget.annotation is not None
    qtbot.waitUntil(lambda: viewer.layers.selection.active == widget.annotation.stage.points)
    assert widget.annotation.stage.points.mode == "add"
    qtbot.waitUntil(lambda: widget._threads.is_idle)


def test_prompts_may_come_from_a_layer_of_the_user(docked, qtbot):
    viewer, widget = docked
    mine = viewer.add_points([CLICK], name="mine")
    box = widget.panel.more.adopted
    box.activated.emit(box.findText("mine"))
    qtbot.waitUntil(lambda: bool(widget.annotation.session.drafts))
    assert list(mine.features.columns) == []
