"""Prompts go out and answers come in: late ones, many at once, and none at all."""

import numpy as np
from tests.plugin.fakes import CLICK, RADIUS, SHAPE, FakeSegmenter, Studio, object_on


def test_a_click_is_previewed_and_no_labels_are_written(studio):
    studio.click(*CLICK)
    np.testing.assert_array_equal(studio.preview, object_on(2))
    assert studio.labels is None


def test_the_three_masks_of_a_click_take_turns(studio):
    studio.click(*CLICK)
    studio.viewer.dims.set_point(0, 2)
    radii = []
    for _ in range(4):
        radii.append(int(studio.preview[2].any(axis=1).sum() // 2))
        studio.annotation.next_choice()
    assert radii == [RADIUS, RADIUS + 2, RADIUS - 2, RADIUS]


def test_a_click_after_choosing_refines_the_chosen_mask(studio):
    studio.click(*CLICK)
    studio.viewer.dims.set_point(0, 2)
    studio.annotation.next_choice()
    studio.click(2, 22, 25)
    assert studio.segmenter.asked[-1][1][0, 0] == 1


def test_an_answer_that_was_overtaken_is_dropped(studio):
    studio.points.add(CLICK)
    late = next(iter(studio.clicks.work()))
    studio.points.data = np.array([[2, 10, 10]])
    studio.clicks.deliver(late)
    assert not studio.preview.any()
    studio.work()
    assert studio.preview[2, 10, 10] == 1


def test_deleting_the_clicks_deletes_the_mask(studio):
    studio.click(*CLICK)
    studio.points.selected_data = {0}
    studio.points.remove_selected()
    studio.work()
    assert not studio.preview.any()


def test_nothing_of_one_object_reaches_the_next(studio):
    studio.click(*CLICK)
    studio.commit()
    studio.click(*CLICK)
    prompt, mask_input = studio.segmenter.asked[-1]
    assert (prompt.object_id, prompt.mask, mask_input) == (2, None, None)


def test_one_object_for_each_click(studio):
    studio.annotation.one_object_each = True
    studio.click(2, 8, 8)
    studio.click(2, 30, 30)
    assert set(np.unique(studio.preview)) == {0, 1, 2}
    studio.commit()
    assert set(np.unique(studio.labels.data)) == {0, 1, 2}
    studio.undo()
    assert not studio.labels.data.any()


def test_many_prompts_become_as_many_objects_in_one_batch(studio):
    studio.points.add([[2, 8, 8], [2, 30, 30], [2, 8, 40]])
    studio.work()
    studio.annotation.aim(positive=False)
    studio.click(2, 20, 20)
    assert set(np.unique(studio.preview)) == {0, 1}
    studio.annotation.split()
    studio.work()
    assert studio.segmenter.batches == [3]
    assert [studio.preview[2, 8, 8], studio.preview[2, 30, 30], studio.preview[2, 8, 40]] == [1, 2, 3]
    assert studio.points.features["object"].tolist() == [1, 2, 3, 1]
    studio.undo()
    studio.work()
    assert set(np.unique(studio.preview)) == {0, 1}


def test_a_click_overtakes_the_answers_of_a_batch(studio):
    studio.annotation.one_object_each = True
    studio.viewer.add_points([[2, 8, 8], [2, 30, 30]], name="mine")
    studio.annotation.stage.adopt([studio.viewer.layers["mine"]])
    late = next(iter(studio.clicks.work()))
    studio.viewer.layers["mine"].data = np.array([[2, 8, 30], [2, 30, 30]])
    studio.clicks.deliver(late)
    assert not studio.preview[2, 8, 8]
    assert studio.preview[2, 30, 30] == 2
    studio.work()
    assert studio.preview[2, 8, 30] == 1


def test_prompts_of_an_adopted_layer_are_committed_once_and_come_back_with_an_undo(studio):
    mine = studio.viewer.add_points([[2, 8, 8], [2, 30, 30]], name="mine")
    studio.annotation.stage.adopt([mine])
    studio.work()
    before = studio.preview.copy()
    studio.commit()
    studio.click(4, 20, 20)
    assert set(np.unique(studio.preview)) == {0, 3}
    studio.undo()
    studio.undo()
    np.testing.assert_array_equal(studio.preview[2], before[2])
    assert len(mine.data) == 2


def test_a_failing_model_says_so_once_and_loses_no_prompt():
    def fail(view, surroundings):
        msg = "there is no file nano.safetensors"
        raise FileNotFoundError(msg)

    studio = Studio(np.zeros(SHAPE), open_segmenter=fail)
    assert [str(error) for error in studio.errors] == ["there is no file nano.safetensors"]
    studio.click(*CLICK)
    assert len(studio.points.data) == 1
    assert studio.annotation.segmenter is None


class Downloading(FakeSegmenter):
    @staticmethod
    def download():
        yield 1, 3
        yield 3, 3


def test_a_download_is_told_and_ends_when_another_model_is_chosen(studio):
    studio.annotation.use_model(Downloading)
    studio.clicks.deliver(next(studio.clicks.work()))
    assert studio.annotation.fetching == (1, 3)
    assert studio.annotation.segmenter is None
    studio.annotation.use_model(FakeSegmenter)
    assert studio.annotation.fetching is None
    studio.work()
    assert type(studio.annotation.segmenter) is FakeSegmenter


def test_a_failing_decode_leaves_everything_as_it_was(studio):
    studio.click(*CLICK)
    before = studio.preview.copy()

    def fail(*args, **kwargs):
        msg = "out of memory"
        raise RuntimeError(msg)

    studio.segmenter.predict = fail
    studio.click(2, 30, 30)
    assert [str(error) for error in studio.errors] == ["out of memory"]
    np.testing.assert_array_equal(studio.preview, before)


def test_closing_leaves_the_layers_and_listens_no_more(studio):
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.annotation.close()
    studio.click(2, 5, 5)
    assert studio.clicks.is_empty
    assert len(studio.viewer.layers) == 4
