"""An image from other sides, flat, or as a pyramid."""

import numpy as np
import pytest
from tests.plugin.fakes import CLICK, RADIUS, SHAPE, Studio, disc


def test_rolled_axes_segment_the_planes_that_are_shown(studio):
    studio.viewer.dims.order = (1, 0, 2)
    studio.work()
    studio.click(*CLICK)
    prompt, _ = studio.segmenter.asked[-1]
    assert (prompt.plane, prompt.points) == ((20,), ((2, 25),))
    assert studio.preview[:, 20].any()
    assert not studio.preview[:, 19].any()


def test_rolling_the_axes_and_back_loses_nothing(studio):
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work()
    before = studio.preview.copy()
    for order in ((1, 0, 2), (0, 1, 2)):
        studio.viewer.dims.order = order
        studio.work()
    np.testing.assert_array_equal(studio.preview, before)


def test_a_resting_annotation_does_not_answer_when_the_axes_are_rolled(studio):
    studio.annotation.suspend()
    studio.viewer.dims.order = (1, 0, 2)
    assert studio.clicks.is_empty
    studio.annotation.resume()
    assert studio.annotation.view.order == (1, 0, 2)


def test_pixels_that_were_exchanged_are_what_is_segmented(studio):
    """After ``layer.data = smoothed`` masks were still those of the pixels before, and nothing said so."""
    studio.click(*CLICK)
    studio.annotation.next_choice()
    before = studio.preview.copy()
    studio.viewer.dims.order = (1, 0, 2)
    studio.work()
    studio.image.data = np.ones(SHAPE, np.uint8)
    studio.work()
    assert studio.segmenter.view.array[0].all()
    assert studio.preview[CLICK] == 1  # what was begun stays
    studio.viewer.dims.order = (0, 1, 2)
    studio.work()
    assert studio.segmenter.view.array[0].all()
    np.testing.assert_array_equal(studio.preview, before)


def test_a_movie_that_grows_while_it_is_taken_keeps_what_was_begun(studio):
    studio.click(*CLICK)
    studio.annotation.next_choice()
    before = studio.preview.copy()
    studio.image.data = np.zeros((SHAPE[0] + 2, *SHAPE[1:]), np.uint8)
    studio.work()
    np.testing.assert_array_equal(studio.preview[: SHAPE[0]], before)
    studio.click(SHAPE[0] + 1, 8, 8)
    assert studio.preview[SHAPE[0] + 1, 8, 8] == 1
    assert studio.errors == []


def test_clicks_on_planes_of_another_size_are_answered_anew(studio):
    studio.click(*CLICK)
    studio.commit()
    studio.click(2, 8, 8)
    committed = studio.labels
    studio.image.data = np.zeros((4, 30, 30), np.uint8)
    studio.work()
    np.testing.assert_array_equal(studio.preview[2] == 2, disc((8, 8), (30, 30)))
    assert (committed.data == 1).any()
    studio.commit()
    assert studio.labels.data.shape == (4, 30, 30)
    assert studio.errors == []


def test_a_2d_image_is_segmented_and_has_nowhere_to_propagate_to():
    studio = Studio(np.zeros((40, 50)))
    studio.click(20, 25)
    with pytest.raises(ValueError, match="single plane"):
        studio.annotation.propagate()
    studio.commit()
    np.testing.assert_array_equal(studio.labels.data == 1, disc((20, 25), (40, 50)))


def test_a_pyramid_is_labelled_at_full_resolution():
    levels = [np.zeros((2, 4096, 64), np.uint8), np.zeros((2, 2048, 32), np.uint8)]
    studio = Studio(levels, multiscale=True)
    studio.viewer.dims.set_point(0, 1)
    studio.click(1, 2000, 32)
    prompt, _ = studio.segmenter.asked[-1]
    assert prompt.points == ((999.75, 15.75),)
    assert studio.annotation.stage.preview.data.shape == (2, 4096, 64)
    assert studio.annotation.draft.mask.pixels.shape[0] == pytest.approx(4 * RADIUS, abs=2)
