"""Every step of a user can be taken back, alone and in its order, and taken again."""

import numpy as np
import pytest
from tests.plugin.fakes import CLICK, SHAPE, disc


def test_undo_takes_back_one_click_at_a_time(studio):
    studio.click(*CLICK)
    first = studio.preview.copy()
    studio.click(2, 22, 25)
    studio.undo()
    np.testing.assert_array_equal(studio.preview, first)
    np.testing.assert_array_equal(studio.points.data, [CLICK])
    studio.undo()
    assert not studio.preview.any()
    assert len(studio.points.data) == 0


def test_a_step_back_brings_the_mask_without_decoding_again(studio):
    studio.click(*CLICK)
    studio.annotation.next_choice()
    studio.click(2, 22, 25)
    asked = len(studio.segmenter.asked)
    studio.undo()
    assert len(studio.segmenter.asked) == asked
    assert studio.annotation.session.drafts[1, (2,)].choices


def test_a_moved_click_goes_back_to_where_it_was(studio):
    studio.click(*CLICK)
    studio.points.data = np.array([[2, 10, 10]])
    studio.work()
    studio.undo()
    np.testing.assert_array_equal(studio.points.data, [CLICK])
    assert studio.preview[2, 20, 25] == 1


def test_a_deleted_click_comes_back_with_its_polarity(studio):
    studio.click(*CLICK)
    studio.annotation.aim(positive=False)
    studio.click(2, 30, 30)
    studio.points.selected_data = {1}
    studio.points.remove_selected()
    studio.work()
    studio.undo()
    assert studio.points.features["label"].tolist() == ["positive", "negative"]


@pytest.mark.parametrize("name", ["points", "shapes"])
def test_what_is_drawn_in_a_layer_that_was_made_anew_can_be_taken_back(studio, name):
    """Who had removed SAM shapes and drew a box into a new one saw that Undo took it back and left it there."""
    layer = getattr(studio.annotation.stage, name)
    studio.viewer.layers.remove(layer)
    studio.annotation.forget(layer)
    studio.annotation.use({"points": "point", "shapes": "box"}[name])
    if name == "points":
        studio.click(*CLICK)
    else:
        studio.annotation.stage.shapes.add([[2, 10, 10], [2, 10, 20], [2, 20, 20], [2, 20, 10]])
        studio.work()
    assert studio.preview.any()
    studio.undo()
    assert not studio.preview.any()
    assert len(getattr(studio.annotation.stage, name).data) == 0


def test_boxes_and_lassos_come_back_as_they_were_drawn(studio):
    shapes = studio.annotation.stage.shapes
    shapes.add_ellipses(np.array([[2, 10, 10], [2, 10, 20], [2, 20, 20], [2, 20, 10]]))
    studio.work()
    before = [np.array(one) for one in shapes.data]
    shapes.selected_data = {0}
    shapes.remove_selected()
    studio.work()
    studio.undo()
    assert shapes.shape_type == ["ellipse"]
    np.testing.assert_array_equal(shapes.data, before)


def test_redo_brings_back_what_was_undone_until_something_else_is_done(studio):
    studio.click(*CLICK)
    done = studio.preview.copy()
    studio.undo()
    studio.redo()
    np.testing.assert_array_equal(studio.preview, done)
    studio.undo()
    studio.click(2, 8, 8)
    assert studio.annotation.history.next is None


def test_a_walk_is_one_step(studio):
    studio.click(*CLICK)
    before = studio.preview.copy()
    studio.annotation.propagate()
    studio.work()
    studio.undo()
    np.testing.assert_array_equal(studio.preview, before)
    assert len(studio.points.data) == 1


def test_undo_during_a_walk_stops_it(studio):
    studio.click(*CLICK)
    before = studio.preview.copy()
    studio.annotation.propagate()
    studio.work(steps=3)
    studio.undo()
    np.testing.assert_array_equal(studio.preview, before)
    assert studio.annotation.walking is None


def test_all_dabs_of_a_stroke_are_one_step(studio):
    preview = studio.annotation.stage.preview
    for _ in range(2):
        studio.annotation.stage.stroke = object()  # as a drag of the mouse does
        for column in range(10, 20):
            preview.paint((2, 10, column), 1)
        studio.annotation.stage.stroke = None
        preview.brush_size += 4
    stroked = studio.preview.copy()
    studio.undo()
    assert 0 < studio.preview.sum() < stroked.sum()
    studio.undo()
    assert not studio.preview.any()


def test_a_commit_and_the_prompts_after_it_are_taken_back_in_their_order(studio):
    studio.click(*CLICK)
    studio.commit()
    studio.click(2, 8, 8)
    studio.undo()
    np.testing.assert_array_equal(studio.labels.data[2], disc(CLICK[1:], SHAPE[1:]))
    assert len(studio.points.data) == 0
    studio.undo()
    assert not studio.labels.data.any()
    np.testing.assert_array_equal(studio.points.data, [CLICK])
    studio.undo()
    assert len(studio.points.data) == 0


def test_a_commit_can_be_taken_again(studio):
    studio.click(*CLICK)
    studio.commit()
    committed = studio.labels.data.copy()
    studio.undo()
    studio.redo()
    np.testing.assert_array_equal(studio.labels.data, committed)
    assert not studio.preview.any()
    assert studio.annotation.object_id == 2
    studio.undo()
    assert not studio.labels.data.any()


def test_a_brush_on_the_labels_after_a_commit_is_undone_before_the_commit(studio):
    studio.click(*CLICK)
    studio.commit()
    committed = studio.labels.data.copy()
    studio.labels.paint((0, 3, 3), 7)
    studio.undo()
    np.testing.assert_array_equal(studio.labels.data, committed)
    studio.undo()
    assert not studio.labels.data.any()


def test_a_commit_that_changed_no_voxel_is_undone_too(studio):
    studio.annotation.set_result(studio.viewer.add_labels(np.full(SHAPE, 9, np.uint8)))
    studio.work()
    studio.click(*CLICK)
    studio.commit()
    studio.undo()
    assert len(studio.points.data) == 1
    assert studio.preview.any()


def test_the_brush_of_the_user_and_commits_are_undone_in_their_order(studio):
    studio.click(*CLICK)
    studio.commit()
    studio.labels.paint((0, 3, 3), 7)
    studio.click(2, 8, 8)
    studio.commit()
    done = studio.labels.data.copy()
    for _ in range(4):  # the second commit and its click, the brush, the first commit
        studio.undo()
    assert not studio.labels.data.any()
    for _ in range(4):
        studio.redo()
    np.testing.assert_array_equal(studio.labels.data, done)


def test_what_somebody_else_wrote_since_a_commit_survives_its_undo(studio):
    studio.click(*CLICK)
    studio.commit()
    studio.labels.data[CLICK] = 7  # by a script, which no history knows
    studio.undo()
    assert np.argwhere(studio.labels.data).tolist() == [list(CLICK)]


def test_undo_right_after_a_commit_waits_for_the_voxels_to_be_written(studio):
    studio.click(*CLICK)
    studio.annotation.commit()
    studio.annotation.undo()
    studio.annotation.redo()
    studio.annotation.undo()
    studio.work()
    assert not studio.labels.data.any()
    assert len(studio.points.data) == 1


def test_a_reopened_and_a_discarded_object_can_be_taken_back(studio):
    studio.click(*CLICK)
    studio.commit()
    studio.annotation.reopen(1)
    assert len(studio.points.data) == 1
    studio.annotation.discard()
    assert len(studio.points.data) == 0
    studio.undo()
    assert len(studio.points.data) == 1
    studio.undo()
    assert len(studio.points.data) == 0
    assert studio.labels.data.any()


def test_a_removed_layer_of_prompts_comes_back_with_them(studio):
    studio.click(*CLICK)
    points = studio.points
    studio.viewer.layers.remove(points)
    studio.annotation.forget(points)
    assert not studio.preview.any()
    studio.undo()
    np.testing.assert_array_equal(studio.points.data, [CLICK])
    assert studio.preview.any()
