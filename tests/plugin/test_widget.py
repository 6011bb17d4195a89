"""The dock widget in a real window: one happy path per control, and what must not happen."""

import json
import logging
import time

import numpy as np
from napari.utils.notifications import notification_manager
from tests.plugin.docks import CLICK, SHAPE, click, press, rest, walk
from tests.plugin.fakes import FakeSegmenter, Studio, disc

from napari_sam.plugin import keeper, keeping
from napari_sam.plugin import widget as widget_module
from napari_sam.plugin.settings import KEYS, Settings
from napari_sam.plugin.widget import SamStacks
from napari_sam.prompt_files import read_prompts


def test_nothing_has_to_be_pressed_before_the_first_click(docked, qtbot):
    _, widget = docked
    click(widget, qtbot)
    qtbot.waitUntil(lambda: "mask 1 of 3, confidence 0.90" in widget.panel.mask_text.text())
    assert widget.panel.tools["point"].isChecked()


def test_propagate_commit_and_undo_from_the_buttons(docked, qtbot):
    viewer, widget = docked
    click(widget, qtbot)
    walk(widget, qtbot)
    press(widget.panel.commit, qtbot)
    rest(widget, qtbot)
    result = viewer.layers["SAM labels"]
    assert widget.panel.result.currentText() == "SAM labels"
    assert all((np.asarray(result.data)[plane] == disc(CLICK[1:], SHAPE[1:])).all() for plane in range(5))
    press(widget.panel.undo, qtbot)
    rest(widget, qtbot)
    assert not np.asarray(result.data).any()
    assert len(widget.annotation.stage.points.data) == 1
    press(widget.panel.redo, qtbot)
    rest(widget, qtbot)
    assert np.asarray(result.data).any()
    assert len(widget.annotation.stage.points.data) == 0


def test_a_script_may_find_the_widget_and_wait_for_each_step(docked):
    viewer, _ = docked
    docked = viewer.window.dock_widgets
    widget = next(docked[name] for name in docked if name.startswith("SAM stacks"))
    annotation = widget.annotation
    annotation.stage.points.add(CLICK)
    widget.wait()
    annotation.propagate()
    widget.wait()
    annotation.commit()
    widget.wait()
    assert annotation.result.labels.data[:, CLICK[1], CLICK[2]].all()


def test_each_tool_makes_its_layer_active(docked):
    viewer, widget = docked
    modes = {}
    for name, button in widget.panel.tools.items():
        button.click()
        modes[name] = str(viewer.layers.selection.active.mode)
    assert modes == {
        "point": "add",
        "box": "add_rectangle",
        "outline": "add_polygon_lasso",
        "scribble": "add_path",
        "brush": "paint",
        "eraser": "erase",
    }


def test_the_buttons_follow_a_tool_that_is_chosen_in_napari(docked, qtbot):
    viewer, widget = docked
    tools = widget.panel.tools
    viewer.layers.selection.active = widget.annotation.stage.shapes
    widget.annotation.stage.shapes.mode = "add_rectangle"
    qtbot.waitUntil(lambda: tools["box"].isChecked() and not tools["point"].isChecked())
    viewer.layers.selection.active = viewer.layers["stack"]
    qtbot.waitUntil(lambda: not any(button.isChecked() for button in tools.values()))
    press(tools["point"], qtbot)
    qtbot.waitUntil(tools["point"].isChecked)


def test_the_pieces_that_are_kept_can_be_chosen(docked, qtbot):
    _, widget = docked
    click(widget, qtbot)
    widget.panel.more.set_options({"pieces": "all"})
    walk(widget, qtbot)
    assert widget.annotation.segmenter.components == "all"
    assert widget.panel.more.options()["pieces"] == "all"


def test_neighbours_walk_along_where_that_is_ticked(docked, qtbot):
    _, widget = docked
    for ticked in (False, True):
        click(widget, qtbot)
        widget.panel.more.set_options({"neighbours": ticked})
        walk(widget, qtbot)
        assert widget.annotation.segmenter.neighbours is ticked
        assert widget.panel.more.options()["neighbours"] is ticked


def test_discard_forgets_the_object_and_reopen_takes_a_committed_one_up_again(docked, qtbot):
    _, widget = docked
    annotation = widget.annotation
    click(widget, qtbot)
    press(widget.panel.discard, qtbot)
    assert not annotation.session.object_ids
    assert len(annotation.stage.points.data) == 0
    click(widget, qtbot)
    press(widget.panel.commit, qtbot)
    rest(widget, qtbot)
    committed = widget.panel.object_id.value() - 1
    widget.panel.object_id.setValue(committed)
    press(widget.panel.more.reopen, qtbot)
    assert annotation.session.object_ids == {committed}
    np.testing.assert_array_equal(annotation.stage.points.data, [CLICK])


def test_reopening_what_was_not_committed_here_says_what_to_do(docked, qtbot):
    _, widget = docked
    with notification_manager:
        press(widget.panel.more.reopen, qtbot)
        assert "press Use label" in notification_manager.records[-1].message


def test_a_label_that_is_picked_becomes_an_anchor_of_the_object(docked, qtbot):
    viewer, widget = docked
    mine = np.zeros(SHAPE, int)
    mine[CLICK[0], 5:9, 5:9] = 3
    labels = viewer.add_labels(mine, name="mine")
    box = widget.panel.result
    box.activated.emit(box.findText("mine"))
    rest(widget, qtbot)
    labels.selected_label = 3
    press(widget.panel.more.use_labels, qtbot)
    np.testing.assert_array_equal(widget.annotation.draft.mask.full(), mine[CLICK[0]] == 3)
    assert widget.annotation.draft.is_anchor


def test_saved_prompts_are_what_the_command_line_reads(docked, qtbot, monkeypatch, tmp_path):
    _, widget = docked
    path = tmp_path / "stack.prompts.json"
    click(widget, qtbot)
    asked = []
    monkeypatch.setattr(
        widget_module.QFileDialog, "getSaveFileName", lambda *args: asked.append(args[2]) or (str(path), "")
    )
    press(widget.panel.more.save, qtbot)
    assert asked == ["stack.prompts.json"]
    assert tuple(read_prompts(path)) == widget.annotation.prompts()
    monkeypatch.setattr(widget_module.QFileDialog, "getSaveFileName", lambda *args: ("", ""))
    path.unlink()
    press(widget.panel.more.save, qtbot)
    assert not path.exists()


def test_object_and_polarity_go_to_the_next_prompt(docked, qtbot):
    _, widget = docked
    widget.panel.new_object.click()
    widget.panel.object_id.setValue(7)
    widget.panel.polarity.click()
    click(widget, qtbot)
    features = widget.annotation.stage.points.features
    assert (features["object"].tolist(), features["label"].tolist()) == ([7], ["negative"])


def test_a_plane_that_is_right_is_kept_with_one_key(docked, qtbot):
    _, widget = docked
    click(widget, qtbot)
    walk(widget, qtbot)
    assert not widget.panel.confirm.isEnabled()  # the plane that was clicked on is an anchor already
    press(widget.panel.weakest, qtbot)
    press(widget.panel.confirm, qtbot)
    qtbot.waitUntil(lambda: widget.panel.mask_text.text() == "right, as you said")
    assert not widget.panel.confirm.isEnabled()


def test_a_click_on_the_curve_shows_the_plane(docked, qtbot):
    _, widget = docked
    click(widget, qtbot)
    walk(widget, qtbot)
    widget.panel.plot.clicked.emit(4)
    assert widget.annotation.plane == (4,)
    widget.annotation.go_to(CLICK[0])
    press(widget.panel.weakest, qtbot)
    assert widget.annotation.plane != (CLICK[0],)


def test_nothing_is_encoded_ahead_of_who_does_not_want_it(make_napari_viewer_proxy, qtbot, monkeypatch):
    """The preference unticked the box, and every image was encoded all the same."""
    monkeypatch.setattr(widget_module, "read_settings", lambda: Settings(keys=KEYS, encode_ahead=False))
    viewer = make_napari_viewer_proxy()
    viewer.add_image(np.zeros(SHAPE, np.uint8))
    widget = SamStacks(viewer, open_segmenter=FakeSegmenter)
    viewer.window.add_dock_widget(widget)
    qtbot.waitUntil(lambda: widget.annotation.segmenter is not None and widget._threads.is_idle)
    assert widget.annotation.segmenter.embedded == []
    widget.panel.more.encode_ahead.setChecked(True)
    qtbot.waitUntil(lambda: len(widget.annotation.segmenter.embedded) == SHAPE[0])
    rest(widget, qtbot)


def test_options_reach_the_commit(docked):
    _, widget = docked
    widget.panel.more.largest.setChecked(True)
    widget.panel.more.min_size.setValue(5)
    widget.panel.more.overwrite.setChecked(True)
    widget.panel.more.contour.setChecked(True)
    result = widget.annotation.result
    assert (result.cleanup.largest, result.cleanup.min_size, result.overlap) == (True, 5, "replace")
    assert widget.annotation.stage.preview.contour > 0


def test_an_error_is_said_once_and_the_next_click_works(docked, qtbot):
    _, widget = docked
    segmenter = widget.annotation.segmenter
    works = segmenter.predict

    def fail(*args, **kwargs):
        segmenter.predict = works
        msg = "CUDA out of memory"
        raise RuntimeError(msg)

    segmenter.predict = fail
    with notification_manager:
        click(widget, qtbot)
        said = [record.message for record in notification_manager.records if "memory" in record.message]
    assert len(said) == 1
    assert said[0].startswith("The GPU is out of memory. Nothing was changed")
    click(widget, qtbot, (2, 10, 10))
    assert widget.annotation.draft is not None


def test_what_the_library_warns_of_is_said_in_a_notification(docked, qtbot):
    with notification_manager:
        logging.getLogger("napari_sam.embeddings").warning("GPU memory does not hold %d planes at once", 8)
        qtbot.waitUntil(lambda: any("hold 8 planes" in one.message for one in notification_manager.records))


def test_cancel_stops_a_slow_walk_at_the_next_plane(docked, qtbot):
    _, widget = docked
    click(widget, qtbot)
    segmenter = widget.annotation.segmenter
    planes = FakeSegmenter.propagate

    def propagate(*args, **kwargs):
        for found in planes(segmenter, *args, **kwargs):
            time.sleep(0.2)
            yield found

    segmenter.propagate = propagate
    widget.panel.propagate.click()
    qtbot.waitUntil(lambda: (widget.annotation.walking or (0, 0))[0] >= 2)
    widget.panel.propagate.click()
    qtbot.waitUntil(lambda: widget._threads.is_idle)
    assert 2 <= len(widget.annotation.session.drafts) < 5


def test_the_work_of_the_last_time_is_offered_and_restored(make_napari_viewer_proxy, qtbot, monkeypatch, tmp_path):
    before, path = Studio(np.zeros(SHAPE, np.uint8)), tmp_path / "work.json"
    before.click(*CLICK)
    for _ in keeping.keep(path, keeping.work_of(before.annotation, "nano", {"largest": True})):
        pass
    monkeypatch.setattr(keeper, "kept_at", lambda annotation, folder: path)
    viewer = make_napari_viewer_proxy()
    viewer.add_image(np.zeros(SHAPE, np.uint8))
    widget = SamStacks(viewer, open_segmenter=FakeSegmenter)
    viewer.window.add_dock_widget(widget)
    button = widget.panel.restore
    qtbot.waitUntil(lambda: not button.isHidden())
    assert button.text() == "Restore the last session: 1 object"
    press(button, qtbot)
    np.testing.assert_array_equal(widget.annotation.stage.points.data, [CLICK])
    assert widget.panel.more.largest.isChecked()
    qtbot.waitUntil(button.isHidden)
    click(widget, qtbot, (1, 8, 8))
    qtbot.waitUntil(lambda: len(json.loads(path.read_text())["drafts"]) == 2)
    widget._threads.stop()
    qtbot.waitUntil(lambda: widget._threads.is_idle)
