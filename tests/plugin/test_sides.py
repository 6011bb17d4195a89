"""An image from other sides, flat, or as a pyramid."""

import numpy as np
import pytest
from tests.plugin.fakes import CLICK, RADIUS, Studio, disc


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
