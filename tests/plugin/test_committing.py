"""Commits go into the labels and come out again, and take nothing that belongs to others."""

import numpy as np
import pytest
from tests.plugin.fakes import CLICK, SHAPE, disc, object_on

from napari_sam.cleanup import Cleanup


def test_the_next_click_after_the_first_commit_is_a_prompt_again(studio):
    """The new Labels layer became the active one, and the next click on the image went to it."""
    studio.click(*CLICK)
    studio.commit()
    assert studio.viewer.layers.selection.active is studio.points
    assert studio.points.mode == "add"
    assert [layer.name for layer in studio.viewer.layers][1:3] == ["SAM labels", "SAM preview"]


def test_after_a_commit_with_the_brush_at_hand_the_next_click_is_a_prompt(studio):
    studio.annotation.use("brush")
    studio.annotation.stage.preview.data_setitem((np.array([2]), np.array([5]), np.array([6])), 1)
    studio.commit()
    assert studio.annotation.stage.tool == "point"
    studio.annotation.use("box")
    studio.click(*CLICK)
    studio.commit()
    assert studio.annotation.stage.tool == "box"


def test_an_object_that_was_not_committed_here_cannot_be_reopened_and_says_what_to_do(studio):
    with pytest.raises(ValueError, match="press Use label"):
        studio.annotation.reopen(7)


def test_undo_in_the_labels_layer_brings_voxels_and_prompts_back_byte_for_byte(studio):
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work()
    before, clicks = studio.preview.copy(), studio.points.data.copy()
    studio.commit()
    studio.press("Ctrl+Z", studio.labels)
    assert not studio.labels.data.any()
    np.testing.assert_array_equal(studio.preview, before)
    np.testing.assert_array_equal(studio.points.data, clicks)
    assert studio.annotation.object_id == 1


def test_painting_in_the_labels_layer_is_undone_without_touching_commits(studio):
    studio.click(*CLICK)
    studio.commit()
    studio.labels.paint((0, 3, 3), 7)
    studio.press("Ctrl+Z", studio.labels)
    np.testing.assert_array_equal(studio.labels.data, object_on(2))
    assert len(studio.points.data) == 0


def test_a_commit_never_takes_voxels_of_others(studio):
    mine = np.zeros(SHAPE, np.uint8)
    mine[:, 20:] = 9
    studio.annotation.set_result(studio.viewer.add_labels(mine.copy()))
    studio.work()
    assert studio.annotation.object_id == 10
    studio.click(*CLICK)
    studio.commit()
    np.testing.assert_array_equal(studio.labels.data == 9, mine == 9)
    assert (studio.labels.data == 10).any()


def test_others_are_overwritten_only_if_asked_and_not_preserved(studio):
    studio.annotation.set_result(studio.viewer.add_labels(np.full(SHAPE, 9, np.uint8)))
    studio.work()
    studio.annotation.result.overlap = "replace"
    studio.labels.preserve_labels = True
    studio.click(*CLICK)
    studio.commit()
    assert (studio.labels.data == 9).all()
    studio.labels.preserve_labels = False
    studio.click(*CLICK)
    studio.commit()
    assert (studio.labels.data[2] == 11).sum() == disc(CLICK[1:], SHAPE[1:]).sum()


def test_an_id_that_the_labels_cannot_hold_writes_nothing_and_says_so(studio):
    studio.annotation.set_result(studio.viewer.add_labels(np.zeros(SHAPE, np.uint8)))
    studio.annotation.aim(object_id=300)
    studio.click(*CLICK)
    with pytest.raises(ValueError, match="300 does not fit"):
        studio.commit()
    assert not studio.labels.data.any()
    assert studio.preview.any()


def test_an_object_without_a_mask_is_not_committed_and_says_what_to_do(studio):
    """An empty step came into the history, and the number of the object was used up."""
    studio.annotation.paint((2,), disc(CLICK[1:], SHAPE[1:]).astype(int))
    studio.annotation.paint((2,), np.zeros(SHAPE[1:], int))
    with pytest.raises(ValueError, match="object 1 has no mask on any plane: click again"):
        studio.commit()
    assert studio.labels is None
    assert studio.annotation.object_id == 1


def test_an_object_without_a_mask_stays_behind_when_others_are_committed(studio):
    studio.click(*CLICK)
    studio.annotation.paint((4,), 2 * disc(CLICK[1:], SHAPE[1:]))
    studio.annotation.paint((4,), np.zeros(SHAPE[1:], int))
    studio.commit()
    np.testing.assert_array_equal(studio.labels.data, object_on(2))
    assert studio.annotation.session.object_ids == {2}


def test_a_committed_object_is_removed_by_committing_it_empty(studio):
    studio.click(*CLICK)
    studio.commit()
    studio.annotation.reopen(1)
    studio.annotation.paint((2,), np.zeros(SHAPE[1:], int))
    studio.commit()
    assert not studio.labels.data.any()


def test_an_object_that_the_clean_up_would_drop_is_a_draft_again(studio):
    studio.annotation.result.cleanup = Cleanup(min_size=10**5)
    studio.click(*CLICK)
    studio.commit()
    assert "lower Min. size" in str(studio.errors[0])
    np.testing.assert_array_equal(studio.preview, object_on(2))


def test_a_label_that_the_user_painted_is_not_given_to_the_next_object(studio):
    studio.click(*CLICK)
    studio.commit()
    studio.labels.selected_label = 2
    studio.labels.paint((0, 3, 3), 2)
    assert studio.annotation.object_id == 3


def test_a_commit_is_undone_in_a_layer_whose_type_was_converted(studio):
    mine = studio.viewer.add_labels(np.zeros(SHAPE, np.uint8))
    studio.annotation.set_result(mine)
    studio.click(*CLICK)
    studio.commit()
    mine.data = mine.data.astype(np.int32)  # as Convert data type does
    studio.undo()
    assert not mine.data.any()
    studio.redo()
    np.testing.assert_array_equal(mine.data, object_on(CLICK[0]))


def test_a_reopened_object_loses_the_voxels_that_it_lost(studio):
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work()
    studio.commit()
    studio.annotation.reopen(1)
    studio.points.data = np.array([[2, 8, 8]])
    studio.work()
    studio.annotation.propagate(limits=(2, 4))
    studio.work()
    studio.commit()
    assert studio.labels.data[2, 8, 8] == 1
    assert studio.labels.data[2, 20, 25] == 0
