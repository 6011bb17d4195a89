"""Objects are carried through the stack, corrected, and carried again."""

import numpy as np
from tests.plugin.fakes import CLICK, SHAPE, disc, object_on


def test_propagation_fills_the_stack_and_commits_as_one_undo_step(studio):
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work()
    np.testing.assert_array_equal(studio.preview, object_on(*range(6)))
    studio.commit()
    np.testing.assert_array_equal(studio.labels.data, object_on(*range(6)))
    assert not studio.preview.any()
    assert len(studio.points.data) == 0
    assert studio.annotation.object_id == 2


def test_a_cancelled_walk_keeps_what_it_found(studio):
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work(steps=3)
    studio.annotation.cancel()
    studio.work()
    assert 0 < studio.preview.any(axis=(1, 2)).sum() < 6
    assert studio.annotation.walking is None


def test_a_corrected_plane_is_an_anchor_and_only_the_planes_beside_it_are_walked_again(studio):
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work()
    studio.annotation.stage.preview.paint((4, 5, 5), 1)
    assert studio.preview[4, 5, 5] == 1
    studio.annotation.propagate()
    studio.work()
    prompts, _, start, stop = studio.segmenter.walks[-1]
    assert {prompt.plane for prompt in prompts} == {(2,), (4,)}
    assert (start, stop) == (2, 6)
    assert studio.preview[4, 5, 5] == 1


def test_a_negative_click_on_a_walked_plane_refines_what_the_walk_found(studio):
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work()
    studio.annotation.aim(positive=False)
    studio.click(4, 22, 25)
    prompt, _ = studio.segmenter.asked[-1]
    np.testing.assert_array_equal(prompt.mask.full(), disc(CLICK[1:], SHAPE[1:]))
    assert prompt.point_labels == (0,)


def test_removing_a_correction_gives_back_what_the_walk_found(studio):
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work()
    before = studio.preview.copy()
    studio.click(4, 8, 8)
    assert not np.array_equal(studio.preview, before)
    studio.points.selected_data = {1}
    studio.points.remove_selected()
    np.testing.assert_array_equal(studio.preview, before)


def test_all_objects_with_new_prompts_walk_together(studio):
    studio.annotation.one_object_each = True
    studio.click(2, 8, 8)
    studio.click(2, 30, 30)
    studio.annotation.propagate()
    studio.work()
    assert studio.preview[5, 8, 8] == 1
    assert studio.preview[5, 30, 30] == 2
    studio.click(3, 20, 40)
    studio.annotation.propagate()
    assert {prompt.object_id for prompt in studio.segmenter.walks[-1][0]} == {1, 2}
    studio.work()
    assert {prompt.object_id for prompt in studio.segmenter.walks[-1][0]} == {3}


def test_a_walk_leaves_other_objects_alone(studio):
    taken = np.zeros(SHAPE, int)
    taken[4, :, 25:] = 5
    studio.annotation.set_result(studio.viewer.add_labels(taken))
    studio.work()
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work()
    assert not studio.preview[4, :, 25:].any()
    assert studio.preview[3, :, 25:].any()


def test_the_weakest_plane_is_one_step_away(studio):
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work()
    studio.annotation.go_to_weakest()
    assert studio.annotation.draft.origin == "walked"
    assert studio.annotation.plane != (2,)
