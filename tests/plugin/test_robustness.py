"""Whatever happens while work runs: it ends quietly, nothing is lost, and nothing keeps running."""

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from tests.plugin.fakes import FakeSegmenter, Studio

from napari_sam.plugin.status import explain
from napari_sam.plugin.widget import SamStacks

SHAPE = (6, 40, 50)
CLICK = (2, 20, 25)
OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has a total capacity of 8 GiB"


@pytest.fixture
def studio():
    studio = Studio(np.zeros(SHAPE, np.uint8))
    studio.viewer.dims.set_point(0, CLICK[0])
    studio.click(*CLICK)
    return studio


def _begin_walk(studio, steps=3):
    studio.annotation.propagate()
    studio.work(steps=steps)
    assert studio.annotation.walking is not None
    return len(studio.annotation.session.drafts)


def test_another_model_while_a_walk_runs_ends_the_walk_and_keeps_its_planes(studio):
    found = _begin_walk(studio)
    studio.annotation.use_model(FakeSegmenter)
    studio.work()
    assert studio.annotation.walking is None
    assert len(studio.annotation.session.drafts) == found
    studio.click(4, 8, 8)
    assert studio.annotation.segmenter.asked[-1][0].plane == (4,)
    assert studio.errors == []


def test_another_model_answers_the_click_that_the_first_one_did_not(studio):
    studio.points.add((4, 8, 8))
    studio.annotation.use_model(FakeSegmenter)
    studio.work()
    assert (1, (4,)) in studio.annotation.session.drafts
    assert not studio.annotation.session.asked


def test_rolling_the_axes_while_a_walk_runs_keeps_its_planes_for_when_they_are_back(studio):
    found = _begin_walk(studio)
    studio.viewer.dims.order = (1, 0, 2)
    studio.work()
    studio.viewer.dims.order = (0, 1, 2)
    studio.work()
    assert len(studio.annotation.session.drafts) == found
    assert studio.errors == []


def test_axes_that_cannot_be_segmented_are_said_and_it_goes_on_when_they_are_rolled_back(studio):
    """After one roll to an axis that the image does not have, no click was answered any more."""
    studio.viewer.add_image(np.zeros((2, *SHAPE), np.uint8))
    studio.viewer.dims.order = (1, 2, 0, 3)
    studio.work()
    assert "not both axes of the image" in str(studio.errors[0])
    studio.viewer.dims.order = (0, 1, 2, 3)
    studio.work()
    studio.click(4, 8, 8)
    assert (1, (4,)) in studio.annotation.session.drafts
    assert studio.annotation.encoded


@pytest.mark.parametrize("name", ["SAM points", "SAM shapes", "SAM preview", "mine"])
def test_a_layer_removed_while_a_walk_runs_ends_nothing(studio, name):
    mine = studio.viewer.add_labels(np.zeros(SHAPE, np.uint8), name="mine")
    studio.annotation.set_result(mine)
    studio.work()
    _begin_walk(studio)
    layer = studio.viewer.layers[name]
    studio.viewer.layers.remove(layer)
    studio.annotation.forget(layer)
    studio.work()
    assert studio.annotation.walking is None
    assert studio.errors == []
    studio.annotation.use("point")
    studio.click(5, 8, 8)
    assert studio.annotation.session.drafts[1, (5,)].origin == "prompted"


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError(OUT_OF_MEMORY), OSError("plane 4 cannot be read")])
@pytest.mark.parametrize("what", ["predict", "propagate", "embed"])
def test_a_failure_is_said_once_and_leaves_every_voxel_and_draft(studio, what, error):
    mine = studio.viewer.add_labels(np.full(SHAPE, 3, np.uint8), name="mine")
    studio.annotation.set_result(mine)
    studio.work()
    drafts, prompts = dict(studio.annotation.session.drafts), studio.points.data.copy()

    def fail(*args, **options):
        raise error

    setattr(studio.segmenter, what, fail)
    studio.annotation.encoded.clear()
    {
        "predict": lambda: studio.points.add((4, 8, 8)),
        "propagate": studio.annotation.propagate,
        "embed": lambda: studio.annotation.encode_ahead(True),
    }[what]()
    studio.work()
    assert studio.errors == [error]
    assert (mine.data == 3).all()
    assert dict(studio.annotation.session.drafts) == drafts
    np.testing.assert_array_equal(studio.points.data[:1], prompts)
    assert studio.annotation.walking is None


def test_a_failure_in_the_middle_of_a_walk_keeps_the_planes_before_it(studio):
    planes = studio.segmenter.propagate

    def fail_at_four(*args, **options):
        for found in planes(*args, **options):
            if found.plane == (4,):
                msg = "plane 4 cannot be read"
                raise OSError(msg)
            yield found

    studio.segmenter.propagate = fail_at_four
    studio.annotation.propagate()
    studio.work()
    assert [str(error) for error in studio.errors] == ["plane 4 cannot be read"]
    assert {plane for _, plane in studio.annotation.session.drafts} == {(0,), (1,), (2,), (3,)}


def test_an_object_that_could_not_be_written_is_a_draft_again(studio):
    mine = studio.viewer.add_labels(np.full(SHAPE, 3, np.uint8), name="mine")
    studio.annotation.set_result(mine)
    studio.annotation.result.overlap = "replace"
    studio.work()
    mine.data.flags.writeable = False
    drafts = dict(studio.annotation.session.drafts)
    studio.commit()
    assert [type(error) for error in studio.errors] == [ValueError]
    assert dict(studio.annotation.session.drafts) == drafts
    np.testing.assert_array_equal(studio.points.data, [CLICK])
    assert studio.annotation.object_id == 1
    mine.data.flags.writeable = True
    studio.commit()
    assert mine.data[CLICK] == 1


@pytest.mark.parametrize("what", ["suspend", "close"])
def test_what_was_committed_is_written_whatever_comes_next(studio, what):
    studio.annotation.commit()
    labels = studio.labels
    getattr(studio.annotation, what)()
    studio.work()
    assert labels.data[CLICK] == 1


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError(OUT_OF_MEMORY)])
def test_who_is_out_of_memory_is_told_what_to_do(error):
    said = explain(error)
    assert "out of memory" in said.lower()
    assert "smaller model" in said
    assert "\n" not in said


def test_an_error_without_words_is_called_by_its_name():
    assert explain(RuntimeError()) == "RuntimeError"


@pytest.fixture
def window(make_napari_viewer_proxy, qtbot):
    """A viewer with an image and the widget."""
    viewer = make_napari_viewer_proxy()
    viewer.add_image(np.zeros(SHAPE, np.uint8), name="stack")
    widget = SamStacks(viewer, open_segmenter=FakeSegmenter)
    viewer.window.add_dock_widget(widget, name="SAM stacks")
    qtbot.waitUntil(lambda: widget.annotation.segmenter is not None and widget._threads.is_idle)
    return viewer, widget


def test_a_widget_that_is_taken_out_of_the_window_listens_no_more(window, qtbot):
    """Every layer that was added after closing the widget raised: wrapped C/C++ object has been deleted."""
    viewer, widget = window
    stages = widget.annotation.stage
    stages.points.add(CLICK)  # so that the layer stays
    with qtbot.waitSignal(widget.destroyed):
        viewer.window.remove_dock_widget(widget)  # as the cross of the dock does
    with notification_manager:
        before = len(notification_manager.records)
        viewer.add_image(np.zeros(SHAPE, np.uint8), name="another")
        viewer.layers["another"].name = "renamed"
        stages.points.add((1, 8, 8))
        viewer.dims.set_point(0, 3)
        viewer.layers.remove("stack")
        assert len(notification_manager.records) == before
