"""What the user vouches for: right as it is, not on this plane, a label of mine."""

from dataclasses import replace

import numpy as np
import pytest
from tests.plugin.fakes import CLICK, SHAPE, object_on

from napari_sam.crops import Crop
from napari_sam.plugin.status import describe


def test_an_object_that_ends_on_a_plane_is_not_behind_it_either(studio):
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work()
    studio.viewer.dims.set_point(0, 4)
    studio.annotation.end_here()
    np.testing.assert_array_equal(studio.preview, object_on(0, 1, 2, 3))
    studio.annotation.propagate()
    studio.work()
    prompts, _, start, stop = studio.segmenter.walks[-1]
    assert [prompt.plane for prompt in prompts if prompt.mask is not None and not prompt.mask] == [(4,)]
    assert (start, stop) == (2, 6)
    studio.commit()
    np.testing.assert_array_equal(studio.labels.data, object_on(0, 1, 2, 3))


def test_a_plane_between_two_anchors_is_emptied_alone(studio):
    studio.click(*CLICK)
    studio.click(5, 20, 25)
    studio.annotation.propagate()
    studio.work()
    studio.viewer.dims.set_point(0, 3)
    studio.annotation.end_here()
    np.testing.assert_array_equal(studio.preview, object_on(0, 1, 2, 4, 5))
    studio.undo()
    np.testing.assert_array_equal(studio.preview, object_on(*range(6)))


def test_a_plane_that_is_right_becomes_an_anchor_as_it_is(studio):
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work()
    studio.viewer.dims.set_point(0, 4)
    studio.annotation.confirm()
    np.testing.assert_array_equal(studio.preview, object_on(*range(6)))
    assert [one.position for one in studio.annotation.curve if one.is_anchor] == [2, 4]
    studio.annotation.propagate()
    studio.work()
    prompts, _, start, stop = studio.segmenter.walks[-1]
    np.testing.assert_array_equal(prompts[-1].mask.full(), object_on(4)[4])
    assert (prompts[-1].plane, start, stop) == ((4,), 2, 6)
    studio.annotation.go_to_weakest()
    assert studio.annotation.plane not in [(2,), (4,)]


def test_a_plane_where_the_walk_found_nothing_can_be_right_and_says_so(studio):
    """The weakest plane is often the one where a walk has ended, and nothing said what that meant."""
    planes = studio.segmenter.propagate

    def propagate(*args, **options):
        return (
            replace(one, crop=Crop.empty(SHAPE[1:])) if one.plane == (5,) else one for one in planes(*args, **options)
        )

    studio.segmenter.propagate = propagate
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work()
    studio.annotation.go_to_weakest()
    assert studio.annotation.plane == (5,)
    assert describe(studio.annotation, {"confirm": "Shift+W"}).startswith(
        "Propagation ended before this plane: if the object is here, click on it; if not, press Shift+W."
    )
    studio.annotation.confirm()
    assert not studio.annotation.prompts()[-1].mask
    studio.segmenter.propagate = planes  # which would find something there
    studio.annotation.propagate()
    studio.work()
    np.testing.assert_array_equal(studio.preview, object_on(*range(5)))
    studio.annotation.go_to_weakest()
    assert studio.annotation.plane != (5,)
    assert "ended before" not in describe(studio.annotation, {"confirm": "Shift+W"})


def test_a_plane_that_was_found_right_can_be_taken_back(studio):
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work()
    studio.viewer.dims.set_point(0, 4)
    studio.annotation.confirm()
    studio.undo()
    assert not studio.annotation.draft.is_anchor


def test_a_plane_without_a_mask_cannot_be_right_and_says_what_to_do(studio):
    with pytest.raises(ValueError, match="object 1 has no mask on this plane: click on it"):
        studio.annotation.confirm()


def test_an_object_that_has_not_begun_cannot_end(studio):
    with pytest.raises(ValueError, match="has not begun"):
        studio.annotation.end_here()


def test_saved_prompts_hold_commits_too(studio):
    studio.click(*CLICK)
    studio.commit()
    studio.click(3, 8, 8)
    assert [(prompt.object_id, prompt.plane) for prompt in studio.annotation.prompts()] == [(1, (2,)), (2, (3,))]


def test_a_label_of_the_result_becomes_an_anchor(studio):
    mine = np.zeros(SHAPE, int)
    mine[2, 5:9, 5:9] = 3
    studio.annotation.set_result(studio.viewer.add_labels(mine))
    studio.work()
    studio.viewer.dims.set_point(0, 2)
    with pytest.raises(ValueError, match="not on this plane"):
        studio.annotation.take_labels()
    studio.labels.selected_label = 3
    studio.annotation.take_labels()
    (prompt,) = studio.annotation.prompts()
    np.testing.assert_array_equal(prompt.mask.full(), mine[2] == 3)
