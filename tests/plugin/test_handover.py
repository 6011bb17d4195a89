"""A dock that is closed and opened again goes on with the same layers: nothing is lost, and nothing is there twice."""

import gc
import threading

import numpy as np
import pytest
from napari.layers import Image, Points
from napari.layers._source import layer_source
from napari.utils.notifications import notification_manager
from tests.plugin.fakes import FakeSegmenter, Studio, disc

from napari_sam.plugin import keeper
from napari_sam.plugin.handover import Left, leave, take_up
from napari_sam.plugin.listener import Listener
from napari_sam.plugin.widget import SamStacks
from napari_sam.plugin.work import Desks

SHAPE = (5, 40, 50)
CLICK = (2, 20, 25)


@pytest.fixture
def studio():
    studio = Studio(np.zeros(SHAPE, np.uint8), name="stack")
    studio.viewer.dims.set_point(0, CLICK[0])
    return studio


def _close(studio):
    leave(Left(studio.annotation, is_at_hand=True, is_begun=False, model="nano", place="user", options={}))


def _reopen(studio):
    """Let another widget go on."""
    (left,) = take_up(studio.viewer, besides=())
    assert left.annotation is studio.annotation
    left.annotation.take_up(studio.desks, Listener(on_error=studio.errors.append))
    left.annotation.resume()
    studio.work()
    assert not studio.errors


def _names(viewer):
    return [layer.name for layer in viewer.layers]


def test_layers_that_hold_nothing_go_with_the_dock(studio):
    _close(studio)
    assert _names(studio.viewer) == ["stack"]
    assert take_up(studio.viewer, besides=()) == ()


def test_what_is_drawn_stays_and_is_gone_on_with(studio):
    studio.click(*CLICK)
    points, shown = studio.points, studio.preview
    _close(studio)
    assert _names(studio.viewer) == ["stack", "SAM preview", "SAM points"]
    assert studio.segmenter is None  # the model needs no memory meanwhile
    _reopen(studio)
    assert _names(studio.viewer) == ["stack", "SAM preview", "SAM shapes", "SAM points"]
    assert studio.points is points
    np.testing.assert_array_equal(studio.preview, shown)
    studio.click(1, 8, 8)
    assert studio.preview[1, 8, 8] == studio.annotation.object_id


def test_a_stroke_of_the_brush_stays_without_any_click(studio):
    preview = studio.annotation.stage.preview
    preview.data_setitem((np.array([2]), np.array([3]), np.array([4])), 1)
    _close(studio)
    assert _names(studio.viewer) == ["stack", "SAM preview"]
    preview.data_setitem((np.array([2]), np.array([3]), np.array([5])), 1)  # it may go on before the dock is back
    _reopen(studio)
    assert studio.preview[2, 3].nonzero()[0].tolist() == [4, 5]


def test_what_changed_while_the_dock_was_closed_counts(studio):
    studio.click(*CLICK)
    studio.click(1, 8, 8)
    _close(studio)
    studio.points.selected_data = {1}
    studio.points.remove_selected()
    studio.points.add((3, 30, 30))
    _reopen(studio)
    assert studio.preview[3, 30, 30]
    assert not studio.preview[1].any()


def test_a_click_that_was_not_answered_is_asked_for_again(studio):
    studio.points.add(CLICK)
    _close(studio)
    _reopen(studio)
    assert studio.preview[CLICK] == 1


def test_steps_before_the_dock_was_closed_can_be_taken_back(studio):
    studio.click(*CLICK)
    studio.commit()
    result = studio.labels
    _close(studio)
    assert _names(studio.viewer) == ["stack", "SAM labels"]
    _reopen(studio)
    assert studio.labels is result
    studio.undo()
    assert not result.data.any()
    np.testing.assert_array_equal(studio.points.data, [CLICK])
    studio.commit()
    np.testing.assert_array_equal(result.data[2] == 1, disc(CLICK[1:], SHAPE[1:]))
    assert _names(studio.viewer).count("SAM labels") == 1


def test_a_layer_that_was_removed_meanwhile_is_not_gone_on_with(studio):
    studio.click(*CLICK)
    _close(studio)
    studio.viewer.layers.remove("SAM points")
    _reopen(studio)
    assert not studio.annotation.session.prompts
    studio.click(1, 8, 8)
    assert studio.preview[1, 8, 8]


def test_a_copy_of_a_layer_is_the_users(studio):
    studio.click(*CLICK)
    _close(studio)
    data, state, _ = studio.points.as_layer_data_tuple()
    copy = studio.viewer.add_layer(Points(data, **state))
    studio.viewer.layers.remove(studio.points)
    studio.viewer.layers.remove(studio.annotation.stage.preview)
    assert take_up(studio.viewer, besides=()) == ()
    assert not copy.metadata


def test_what_rests_is_taken_up_once_and_only_with_its_image(studio):
    studio.click(*CLICK)
    _close(studio)
    assert take_up(studio.viewer, besides=[studio.image]) == ()
    assert len(take_up(studio.viewer, besides=())) == 1
    assert take_up(studio.viewer, besides=()) == ()
    _close(studio)
    studio.viewer.layers.remove(studio.image)
    assert take_up(studio.viewer, besides=()) == ()


def test_two_images_with_one_result_both_go_on(studio):
    other = Studio.__new__(Studio)
    other.__dict__.update(studio.__dict__)
    other.image = studio.viewer.add_image(np.zeros(SHAPE, np.uint8), name="other")
    other.annotation = type(studio.annotation)(
        studio.viewer, other.image, open_segmenter=FakeSegmenter, desks=Desks(), listener=Listener()
    )
    result = studio.viewer.add_labels(np.zeros(SHAPE, int), name="both")
    for one in (studio, other):
        one.annotation.set_result(result)
        _close(one)
    found = {left.annotation for left in take_up(studio.viewer, besides=())}
    assert found == {studio.annotation, other.annotation}


# --- in a window


@pytest.fixture
def viewer(make_napari_viewer_proxy, qtbot):
    viewer = make_napari_viewer_proxy()
    viewer.add_image(np.zeros(SHAPE, np.uint8), name="stack")
    viewer.dims.set_point(0, CLICK[0])
    yield viewer
    qtbot.wait(50)  # what was closed is deleted
    gc.collect()  # napari asks before the next test whether a viewer is left


def _dock(viewer, qtbot):
    widget = SamStacks(viewer, open_segmenter=FakeSegmenter)
    viewer.window.add_dock_widget(widget)
    qtbot.waitUntil(lambda: widget.annotation.segmenter is not None and widget._threads.is_idle)
    return widget


def _click(widget, qtbot, voxel=CLICK):
    widget.annotation.stage.points.add(voxel)
    qtbot.waitUntil(lambda: not widget.annotation.session.asked and widget._threads.is_idle)


def test_a_dock_that_is_opened_again_goes_on(viewer, qtbot, monkeypatch, tmp_path):
    """The layers of the first widget stayed behind, dead, and the second one made another set."""
    monkeypatch.setattr(keeper, "kept_at", lambda annotation, folder: tmp_path / "work.json")
    before = _dock(viewer, qtbot)
    _click(before, qtbot)
    before.panel.more.largest.setChecked(True)
    points, preview = before.annotation.stage.points, before.annotation.stage.preview
    with qtbot.waitSignal(before.destroyed):
        viewer.window.remove_dock_widget(before)  # as the cross of the dock does
    after = _dock(viewer, qtbot)
    assert (after.annotation.stage.points, after.annotation.stage.preview) == (points, preview)
    assert len(viewer.layers) == 4
    qtbot.waitUntil(lambda: "mask 1 of 3" in after.panel.mask_text.text())
    assert after.panel.restore.isHidden()
    assert after.panel.more.largest.isChecked()
    _click(after, qtbot, (1, 8, 8))
    assert len(after.annotation.session.drafts) == 2
    after._keep()
    qtbot.waitUntil(lambda: after._threads.is_idle)
    assert [path.name for path in tmp_path.iterdir()] == ["work.json"]  # nothing was set aside


@pytest.mark.parametrize("place", ["memory", "beside"])
def test_the_cache_that_was_chosen_stays_chosen(viewer, qtbot, tmp_path, place):
    """The next dock wrote into the user's folder what was to stay in memory, or beside the image."""
    with layer_source(path=str(tmp_path / "stack.tif")):
        viewer.add_layer(Image(np.zeros(SHAPE, np.uint8)))
    before = _dock(viewer, qtbot)
    _click(before, qtbot)
    before.panel.more.cache.setCurrentIndex(before.panel.more.cache.findData(place))
    viewer.window.remove_dock_widget(before)
    after = _dock(viewer, qtbot)
    assert after.panel.more.cache.currentData() == place


def test_two_docks_do_not_take_each_others_layers(viewer, qtbot):
    first, second = _dock(viewer, qtbot), _dock(viewer, qtbot)
    own, others = (one.annotation.stage for one in (first, second))
    assert not set(own.own_layers) & set(others.own_layers)
    _click(first, qtbot)
    _click(second, qtbot, (1, 8, 8))
    points = own.points
    viewer.window.remove_dock_widget(first)
    assert others.points in viewer.layers
    third = _dock(viewer, qtbot)
    assert third.annotation.stage.points is points
    _click(second, qtbot, (1, 30, 30))
    assert len(third.annotation.session.prompts) == 1


def test_a_widget_that_is_docked_elsewhere_goes_on(viewer, qtbot):
    widget = _dock(viewer, qtbot)
    _click(widget, qtbot)
    annotation = widget.annotation
    viewer.window.remove_dock_widget(widget)
    viewer.window.add_dock_widget(widget, area="left")
    assert widget.annotation is annotation
    qtbot.wait(20)
    _click(widget, qtbot, (1, 8, 8))
    assert len(annotation.session.drafts) == 2


def test_the_image_that_was_at_hand_is_so_again(viewer, qtbot):
    before = _dock(viewer, qtbot)
    viewer.add_image(np.zeros((30, 30)), name="other")
    _click(before, qtbot)
    viewer.window.remove_dock_widget(before)
    after = _dock(viewer, qtbot)
    assert after.annotation.image.name == "stack"


def test_the_bar_goes_with_the_dock(viewer, qtbot):
    """It stayed in the activity dock for good."""
    may_go_on = threading.Event()

    class Slow(FakeSegmenter):
        def embed(self, planes=None):
            may_go_on.wait(20)
            yield from planes

    widget = SamStacks(viewer, open_segmenter=Slow)
    viewer.window.add_dock_widget(widget)
    bars, threads = widget._bars, widget._threads
    qtbot.waitUntil(lambda: bars._encoding._bar is not None)
    viewer.window.remove_dock_widget(widget)
    may_go_on.set()
    qtbot.waitUntil(lambda: threads.is_idle)
    assert bars._encoding._bar is None


@pytest.mark.parametrize("again", [False, True], ids=["closed", "opened again"])
def test_the_viewer_can_be_closed_after_the_dock(viewer, qtbot, again):
    widget = _dock(viewer, qtbot)
    _click(widget, qtbot)
    viewer.window.remove_dock_widget(widget)
    if again:
        _dock(viewer, qtbot)
    with notification_manager:
        before = len(notification_manager.records)
        viewer.close()
        qtbot.wait(50)
        assert len(notification_manager.records) == before
