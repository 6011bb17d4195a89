"""The dock widget in a real window: one happy path per control, and what must not happen."""

import json
import logging
import time
from pathlib import Path
from types import SimpleNamespace

import napari.settings
import npe2
import numpy as np
import pytest
from napari.layers import Labels
from napari.utils.notifications import notification_manager
from qtpy.QtGui import QShortcut
from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox
from tests.plugin.fakes import FakeSegmenter, Studio, disc

import napari_sam
from napari_sam.crops import Crop
from napari_sam.plugin import keeper, keeping, model_box, showing
from napari_sam.plugin import widget as widget_module
from napari_sam.plugin.model_box import ModelBox
from napari_sam.plugin.panel import Panel
from napari_sam.plugin.places import model_rows
from napari_sam.plugin.settings import KEYS, PLUGIN, Settings
from napari_sam.plugin.widget import SamStacks
from napari_sam.prompt_files import read_prompts

SHAPE = (5, 40, 50)
CLICK = (2, 20, 25)


@pytest.fixture
def studio(make_napari_viewer_proxy, qtbot):
    """A viewer with an image and the widget; a click is answered by a fake."""
    viewer = make_napari_viewer_proxy()
    viewer.add_image(np.zeros(SHAPE, np.uint8), name="stack")
    widget = SamStacks(viewer, open_segmenter=FakeSegmenter)
    viewer.window.add_dock_widget(widget, name="SAM stacks")
    viewer.dims.set_point(0, CLICK[0])
    qtbot.waitUntil(lambda: widget._threads.is_idle)
    yield viewer, widget
    widget._threads.stop()
    qtbot.waitUntil(lambda: widget._threads.is_idle)


def _click(widget, qtbot, voxel=CLICK):
    widget.annotation.stage.points.add(voxel)
    qtbot.waitUntil(lambda: not widget.annotation.session.asked and widget._threads.is_idle)


def _press(button, qtbot):
    qtbot.waitUntil(button.isEnabled)  # the panel follows what happens within a few hundredths of a second
    button.click()


def _rest(widget, qtbot):
    qtbot.waitUntil(lambda: widget._threads.is_idle)


def _walk(widget, qtbot):
    _press(widget.panel.propagate, qtbot)
    qtbot.waitUntil(lambda: widget.annotation.walking is None and widget._threads.is_idle)


def test_nothing_has_to_be_pressed_before_the_first_click(studio, qtbot):
    _, widget = studio
    _click(widget, qtbot)
    qtbot.waitUntil(lambda: "mask 1 of 3, confidence 0.90" in widget.panel.mask_text.text())
    assert widget.panel.tools["point"].isChecked()


def test_propagate_commit_and_undo_from_the_buttons(studio, qtbot):
    viewer, widget = studio
    _click(widget, qtbot)
    _walk(widget, qtbot)
    _press(widget.panel.commit, qtbot)
    _rest(widget, qtbot)
    result = viewer.layers["SAM labels"]
    assert widget.panel.result.currentText() == "SAM labels"
    assert all((np.asarray(result.data)[plane] == disc(CLICK[1:], SHAPE[1:])).all() for plane in range(5))
    _press(widget.panel.undo, qtbot)
    _rest(widget, qtbot)
    assert not np.asarray(result.data).any()
    assert len(widget.annotation.stage.points.data) == 1
    _press(widget.panel.redo, qtbot)
    _rest(widget, qtbot)
    assert np.asarray(result.data).any()
    assert len(widget.annotation.stage.points.data) == 0


@pytest.mark.parametrize(
    ("origin", "said"),
    [
        ("walked", "not found on this plane"),
        ("painted", "as you said"),
        ("confirmed", "as you said"),
        ("prompted", "click again, or choose Box"),
    ],
)
def test_where_an_object_is_not_the_panel_says_who_says_so(studio, origin, said):
    _, widget = studio
    draft = SimpleNamespace(choices=(), chosen=0, mask=Crop.empty(SHAPE[1:]), origin=origin, score=1.0)
    keys = dict.fromkeys(("polarity",), "Q")
    absent = SimpleNamespace(draft=draft, positive=True, object_id=1, plane=(0,), axis=0, curve=())
    showing._show_object(widget.panel, absent, keys)
    assert said in widget.panel.mask_text.text()


def test_a_script_may_find_the_widget_and_wait_for_each_step(studio):
    viewer, _ = studio
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


def test_each_tool_makes_its_layer_active(studio):
    viewer, widget = studio
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


def test_the_buttons_follow_a_tool_that_is_chosen_in_napari(studio, qtbot):
    viewer, widget = studio
    tools = widget.panel.tools
    viewer.layers.selection.active = widget.annotation.stage.shapes
    widget.annotation.stage.shapes.mode = "add_rectangle"
    qtbot.waitUntil(lambda: tools["box"].isChecked() and not tools["point"].isChecked())
    viewer.layers.selection.active = viewer.layers["stack"]
    qtbot.waitUntil(lambda: not any(button.isChecked() for button in tools.values()))
    _press(tools["point"], qtbot)
    qtbot.waitUntil(tools["point"].isChecked)


def test_the_pieces_that_are_kept_can_be_chosen(studio, qtbot):
    _, widget = studio
    _click(widget, qtbot)
    widget.panel.more.set_options({"pieces": "all"})
    _walk(widget, qtbot)
    assert widget.annotation.segmenter.components == "all"
    assert widget.panel.more.options()["pieces"] == "all"


def test_discard_forgets_the_object_and_reopen_takes_a_committed_one_up_again(studio, qtbot):
    _, widget = studio
    annotation = widget.annotation
    _click(widget, qtbot)
    _press(widget.panel.discard, qtbot)
    assert not annotation.session.object_ids
    assert len(annotation.stage.points.data) == 0
    _click(widget, qtbot)
    _press(widget.panel.commit, qtbot)
    _rest(widget, qtbot)
    committed = widget.panel.object_id.value() - 1
    widget.panel.object_id.setValue(committed)
    _press(widget.panel.more.reopen, qtbot)
    assert annotation.session.object_ids == {committed}
    np.testing.assert_array_equal(annotation.stage.points.data, [CLICK])


def test_reopening_what_was_not_committed_here_says_what_to_do(studio, qtbot):
    _, widget = studio
    with notification_manager:
        _press(widget.panel.more.reopen, qtbot)
        assert "press Use label" in notification_manager.records[-1].message


def test_a_label_that_is_picked_becomes_an_anchor_of_the_object(studio, qtbot):
    viewer, widget = studio
    mine = np.zeros(SHAPE, int)
    mine[CLICK[0], 5:9, 5:9] = 3
    labels = viewer.add_labels(mine, name="mine")
    box = widget.panel.result
    box.activated.emit(box.findText("mine"))
    _rest(widget, qtbot)
    labels.selected_label = 3
    _press(widget.panel.more.use_labels, qtbot)
    np.testing.assert_array_equal(widget.annotation.draft.mask.full(), mine[CLICK[0]] == 3)
    assert widget.annotation.draft.is_anchor


def test_saved_prompts_are_what_the_command_line_reads(studio, qtbot, monkeypatch, tmp_path):
    _, widget = studio
    path = tmp_path / "stack.prompts.json"
    _click(widget, qtbot)
    asked = []
    monkeypatch.setattr(
        widget_module.QFileDialog, "getSaveFileName", lambda *args: asked.append(args[2]) or (str(path), "")
    )
    _press(widget.panel.more.save, qtbot)
    assert asked == ["stack.prompts.json"]
    assert tuple(read_prompts(path)) == widget.annotation.prompts()
    monkeypatch.setattr(widget_module.QFileDialog, "getSaveFileName", lambda *args: ("", ""))
    path.unlink()
    _press(widget.panel.more.save, qtbot)
    assert not path.exists()


def test_an_image_without_other_planes_has_no_controls_for_them(studio, qtbot):
    viewer, widget = studio
    widget.choose_image(viewer.add_image(np.zeros((30, 30)), name="plane"))
    qtbot.waitUntil(widget.panel.through.isHidden)
    assert "planes" not in widget.panel.status.text()
    widget.choose_image(viewer.layers["stack"])
    qtbot.waitUntil(lambda: not widget.panel.through.isHidden())


def test_the_planes_that_may_be_reached_follow_rolled_axes(studio, qtbot):
    """An XZ plane beyond the last XY plane could not be propagated from: it had no prompt in that range."""
    viewer, widget = studio
    viewer.dims.order = (1, 0, 2)
    qtbot.waitUntil(lambda: widget.panel.last.value() == SHAPE[1] - 1)


def test_the_axes_to_walk_along_are_named_as_beside_the_sliders(studio):
    viewer, widget = studio
    widget.choose_image(viewer.add_image(np.zeros((3, *SHAPE), np.uint8), name="movie"))
    viewer.dims.axis_labels = ("t", "z", "y", "x")
    showing.show_ranges(widget.panel, widget.annotation)
    assert [widget.panel.axis.itemText(i) for i in range(2)] == ["along t", "along z"]


def test_channels_are_named_by_the_axis_that_holds_them(qtbot):
    studio, panel = Studio(np.zeros((9, 2, 40, 50), np.uint8)), Panel()
    qtbot.addWidget(panel)
    studio.viewer.dims.axis_labels = ("z", "c", "y", "x")
    showing.show_channels(panel, studio.annotation)
    names = [panel.more.channels.itemText(i) for i in range(1, panel.more.channels.count())]
    assert names == ["0 + 1 of axis c", "0 of axis c", "1 of axis c"]


def test_object_and_polarity_go_to_the_next_prompt(studio, qtbot):
    _, widget = studio
    widget.panel.new_object.click()
    widget.panel.object_id.setValue(7)
    widget.panel.polarity.click()
    _click(widget, qtbot)
    features = widget.annotation.stage.points.features
    assert (features["object"].tolist(), features["label"].tolist()) == ([7], ["negative"])


def test_a_plane_that_is_right_is_kept_with_one_key(studio, qtbot):
    _, widget = studio
    _click(widget, qtbot)
    _walk(widget, qtbot)
    assert not widget.panel.confirm.isEnabled()  # the plane that was clicked on is an anchor already
    _press(widget.panel.weakest, qtbot)
    _press(widget.panel.confirm, qtbot)
    qtbot.waitUntil(lambda: widget.panel.mask_text.text() == "right, as you said")
    assert not widget.panel.confirm.isEnabled()


def test_a_click_on_the_curve_shows_the_plane(studio, qtbot):
    _, widget = studio
    _click(widget, qtbot)
    _walk(widget, qtbot)
    widget.panel.plot.clicked.emit(4)
    assert widget.annotation.plane == (4,)
    widget.annotation.go_to(CLICK[0])
    _press(widget.panel.weakest, qtbot)
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
    _rest(widget, qtbot)


def test_options_reach_the_commit(studio):
    _, widget = studio
    widget.panel.more.largest.setChecked(True)
    widget.panel.more.min_size.setValue(5)
    widget.panel.more.overwrite.setChecked(True)
    widget.panel.more.contour.setChecked(True)
    result = widget.annotation.result
    assert (result.cleanup.largest, result.cleanup.min_size, result.overlap) == (True, 5, "replace")
    assert widget.annotation.stage.preview.contour > 0


def test_labels_of_another_shape_cannot_be_chosen_and_say_why(studio):
    viewer, widget = studio
    viewer.add_labels(np.zeros((3, 3), int), name="other")
    viewer.add_labels(np.zeros(SHAPE, int), name="fitting")
    box = widget.panel.result
    offered = {box.itemText(i): box.model().item(i).isEnabled() for i in range(1, box.count())}
    assert offered == {"fitting": True, "other: 3 x 3, not 5 x 40 x 50": False}


def test_renaming_a_layer_changes_its_name_here_and_nothing_else(studio, qtbot):
    viewer, widget = studio
    viewer.layers["stack"].name = "renamed"
    viewer.layers["SAM points"].name = "clicks"
    assert widget.panel.image.currentText() == "renamed"
    _click(widget, qtbot)
    assert widget.annotation.draft is not None


@pytest.mark.parametrize("name", ["SAM points", "SAM shapes", "SAM preview"])
def test_a_removed_layer_is_made_anew_when_it_is_needed(studio, qtbot, name):
    viewer, widget = studio
    _click(widget, qtbot)
    del viewer.layers[name]
    widget.panel.tools["point"].click()
    qtbot.waitUntil(lambda: name in viewer.layers)
    _click(widget, qtbot, (2, 10, 10))
    assert widget.annotation.draft is not None


def test_removing_the_image_while_work_runs_ends_quietly(studio, qtbot):
    viewer, widget = studio
    _click(widget, qtbot)
    widget.panel.propagate.click()
    del viewer.layers["stack"]
    qtbot.waitUntil(lambda: widget._threads.is_idle)
    assert widget.annotation is None
    assert "SAM points" in viewer.layers


def test_nothing_is_shown_of_an_image_that_is_gone(studio, qtbot):
    """Its last mask, its curve, Cancel and Undo stayed in the panel."""
    viewer, widget = studio
    _click(widget, qtbot)
    widget.panel.propagate.click()
    del viewer.layers["stack"]
    qtbot.waitUntil(lambda: not widget.panel.undo.isEnabled())
    assert widget.panel.mask_text.text() == ""
    assert widget.panel.propagate.text() == "Propagate (G)"
    assert not widget.panel.commit.isEnabled()


def test_removing_the_result_writes_to_a_new_one_next_time(studio, qtbot):
    viewer, widget = studio
    _click(widget, qtbot)
    _press(widget.panel.commit, qtbot)
    del viewer.layers["SAM labels"]
    _click(widget, qtbot)
    _press(widget.panel.commit, qtbot)
    assert isinstance(viewer.layers["SAM labels"], Labels)


def test_switching_the_image_and_back_keeps_the_drafts(studio, qtbot):
    viewer, widget = studio
    _click(widget, qtbot)
    first, draft = widget.annotation, widget.annotation.draft
    other = viewer.add_image(np.zeros((30, 30)), name="other")
    widget.choose_image(other)
    assert not first.stage.points.visible
    widget.choose_image(first.image)
    assert first.stage.points.visible
    assert widget.annotation.draft is draft


def test_an_error_is_said_once_and_the_next_click_works(studio, qtbot):
    _, widget = studio
    segmenter = widget.annotation.segmenter
    works = segmenter.predict

    def fail(*args, **kwargs):
        segmenter.predict = works
        msg = "CUDA out of memory"
        raise RuntimeError(msg)

    segmenter.predict = fail
    with notification_manager:
        _click(widget, qtbot)
        said = [record.message for record in notification_manager.records if "memory" in record.message]
    assert len(said) == 1
    assert said[0].startswith("The GPU is out of memory. Nothing was changed")
    _click(widget, qtbot, (2, 10, 10))
    assert widget.annotation.draft is not None


def test_what_the_library_warns_of_is_said_in_a_notification(studio, qtbot):
    with notification_manager:
        logging.getLogger("napari_sam.embeddings").warning("GPU memory does not hold %d planes at once", 8)
        qtbot.waitUntil(lambda: any("hold 8 planes" in one.message for one in notification_manager.records))


def test_cancel_stops_a_slow_walk_at_the_next_plane(studio, qtbot):
    _, widget = studio
    _click(widget, qtbot)
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


def test_every_control_has_a_tooltip_and_every_key_is_in_one(studio):
    _, widget = studio
    panel = widget.panel
    controls = [*panel.findChildren(QAbstractButton), *panel.findChildren(QComboBox), panel.plot]
    controls += panel.findChildren(QAbstractSpinBox)
    without = [type(one).__name__ for one in controls if not one.toolTip()]
    assert len(controls) > 40
    assert without == []
    tips = " ".join(control.toolTip() for control in controls)
    assert all(f"Key: {key}." in tips for key in KEYS.values())


def test_a_key_chosen_in_the_preferences_works_at_once(studio, qtbot, monkeypatch):
    _, widget = studio
    monkeypatch.setattr(widget_module, "read_settings", lambda: Settings(keys={**KEYS, "polarity": "Y", "undo": ""}))
    widget._on_settings(None)
    assert widget.panel.polarity.text() == "● Positive (Y)"
    assert "Key: none" in widget.panel.undo.toolTip()
    bound = {one.key().toString() for one in widget.findChildren(QShortcut) if one.isEnabled()}
    assert "Y" in bound
    assert not {"Q", "U"} & bound


@pytest.mark.skipif(not hasattr(napari.settings, "get_plugin_settings"), reason="napari keeps none before 0.9")
def test_a_key_is_bound_when_napari_stores_the_preference(make_napari_viewer_proxy, plugin_settings, npe2pm, qtbot):
    npe2pm.register(npe2.PluginManifest.from_file(Path(napari_sam.__file__).with_name("napari.yaml")))
    viewer = make_napari_viewer_proxy()
    widget = SamStacks(viewer, open_segmenter=FakeSegmenter)
    viewer.window.add_dock_widget(widget)
    napari.settings.get_plugin_settings(PLUGIN).keys.confirm = "Shift+Y"
    qtbot.waitUntil(lambda: widget.panel.confirm.text() == "Right as it is (Shift+Y)")
    bound = {one.key().toString() for one in widget.findChildren(QShortcut) if one.isEnabled()}
    assert "Shift+Y" in bound
    assert "Shift+W" not in bound


def test_control_z_on_our_layers_takes_the_last_click_back(studio, qtbot):
    viewer, widget = studio
    _click(widget, qtbot)
    for layer in widget.annotation.stage.own_layers:
        assert {"Ctrl+Z", "Ctrl+Shift+Z"} <= {str(key) for key in layer.keymap}
        assert all(act.__name__ for act in layer.keymap.values())  # napari asks for it at every key press
    points = widget.annotation.stage.points
    next(act for key, act in points.keymap.items() if str(key) == "Ctrl+Z")(points)
    assert len(points.data) == 0
    widget.choose_image(None)
    del viewer.layers["stack"]
    assert not points.keymap


def test_a_checkpoint_file_is_asked_for_once_and_listed_from_then_on(studio, monkeypatch, tmp_path):
    _, widget = studio
    path = tmp_path / "mine.safetensors"
    path.write_bytes(b"weights")
    monkeypatch.setattr(model_box.QFileDialog, "getOpenFileName", lambda *args: (str(path), ""))
    box = widget.panel.model
    chosen = []
    box.chosen.connect(chosen.append)
    box.activated.emit(box.count() - 1)
    assert chosen == [str(path)]
    assert box.currentText().startswith("mine · ")
    assert ModelBox().findData(str(path)) >= 0
    monkeypatch.setattr(model_box.QFileDialog, "getOpenFileName", lambda *args: ("", ""))
    box.activated.emit(box.count() - 1)
    assert box.model == str(path)
    box.go_back()
    assert box.model == "nano"


class Downloading(FakeSegmenter):
    @staticmethod
    def download():
        while True:
            time.sleep(0.01)
            yield 10_000_000, 375_000_000


def test_a_download_is_shown_and_can_be_cancelled(studio, qtbot):
    _, widget = studio
    widget._given_opener = Downloading
    widget.panel.model.choose("vit_b")
    button = widget.panel.cancel_download
    qtbot.waitUntil(lambda: not button.isHidden())
    assert "10 of 375 MB" in widget.panel.status.text()
    widget._given_opener = FakeSegmenter
    button.click()
    qtbot.waitUntil(lambda: type(widget.annotation.segmenter) is FakeSegmenter)
    qtbot.waitUntil(button.isHidden)
    assert widget.panel.model.model == "nano"


def test_every_model_says_its_size_and_its_licence():
    texts = [text for _, text in model_rows()]
    assert any("vit_b · downloads 375 MB · Apache-2.0" in text for text in texts)


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
    _press(button, qtbot)
    np.testing.assert_array_equal(widget.annotation.stage.points.data, [CLICK])
    assert widget.panel.more.largest.isChecked()
    qtbot.waitUntil(button.isHidden)
    _click(widget, qtbot, (1, 8, 8))
    qtbot.waitUntil(lambda: len(json.loads(path.read_text())["drafts"]) == 2)
    widget._threads.stop()
    qtbot.waitUntil(lambda: widget._threads.is_idle)


def test_prompts_may_come_from_a_layer_of_the_user(studio, qtbot):
    viewer, widget = studio
    mine = viewer.add_points([CLICK], name="mine")
    box = widget.panel.more.adopted
    box.activated.emit(box.findText("mine"))
    qtbot.waitUntil(lambda: bool(widget.annotation.session.drafts))
    assert list(mine.features.columns) == []


def test_the_widget_fits_a_small_screen_with_everything_unfolded(qtbot):
    panel = Panel()
    qtbot.addWidget(panel)
    panel.show()
    folded = panel.sizeHint().height()
    panel.restore.show()
    panel.advanced.setChecked(True)
    qtbot.waitUntil(lambda: panel.sizeHint().height() > folded + 100)
    assert panel.minimumSizeHint().height() <= 620


def test_the_widget_fits_into_a_narrow_dock_with_everything_unfolded(studio):
    """In a dock of 300 pixels the panel took 400, and 490 for a movie of stacks."""
    viewer, widget = studio
    widget.choose_image(viewer.add_image(np.zeros((3, 2, *SHAPE), np.uint8), name="movie"))
    widget.panel.more.show()
    widget.panel.restore.show()
    assert widget.minimumSizeHint().width() <= 300
    assert widget.panel.more.widget().minimumSizeHint().width() <= 290


def test_the_status_says_what_may_come_next_at_every_step(studio, qtbot):
    _, widget = studio

    def said(part):
        qtbot.waitUntil(lambda: part in widget.panel.status.text().replace("\N{NO-BREAK SPACE}", " "))

    said("Click on an object, or choose Box and drag around it.")
    _click(widget, qtbot)
    said("Not right? Click on what is missing, or (Q) on what is too much. G: to all planes. K: keep it.")
    _walk(widget, qtbot)
    said("go to the weakest (W), correct it or say that it is right (Shift+W), then G again. K: keep it.")
    _press(widget.panel.new_object, qtbot)
    said("Click on the next object, or choose Box and drag around it. 1 object is not committed yet (K).")
