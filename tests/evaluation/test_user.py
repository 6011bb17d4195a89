"""The simulated user: where it clicks and what it boxes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from napari_sam.evaluation.user import correction_click, interior_point, tight_box

SQUARE = np.zeros((20, 30), bool)
SQUARE[5:14, 8:17] = True


def test_the_first_click_is_in_the_middle_of_a_square():
    assert interior_point(SQUARE) == (9, 12)


def test_of_equally_deep_pixels_the_most_central_is_clicked():
    bar = np.zeros((20, 30), bool)
    bar[4:7, 2:27] = True
    assert interior_point(bar) == (5, 14)


def test_a_click_keeps_away_from_the_image_border():
    touching = np.zeros((20, 30), bool)
    touching[:9, :9] = True
    assert interior_point(touching) == (4, 4)


def test_a_ring_is_clicked_on_the_ring():
    ring = SQUARE.copy()
    ring[8:11, 11:14] = False
    assert ring[interior_point(ring)]


@given(arrays(bool, (6, 7)).filter(np.any))
def test_a_click_is_on_the_object_and_in_its_box(mask):
    click = interior_point(mask)
    (top, left), (bottom, right) = tight_box(mask)
    assert mask[click]
    assert top <= click[0] <= bottom
    assert left <= click[1] <= right


def test_a_box_is_made_of_the_outermost_pixels():
    assert tight_box(SQUARE) == ((5, 8), (13, 16))


def test_a_right_mask_is_not_corrected():
    assert correction_click(SQUARE, SQUARE) is None


def test_the_largest_error_is_clicked_with_what_it_should_be():
    mask = SQUARE.copy()
    mask[5:8, 8:17] = False  # 27 pixels are missing
    mask[16:19, 20:24] = True  # 12 are too many
    assert correction_click(SQUARE, mask) == ((6, 12), 1)
    mask[15:20, 18:28] = True
    assert correction_click(SQUARE, mask) == ((17, 22), 0)


def test_an_empty_mask_is_corrected_by_the_first_click():
    assert correction_click(SQUARE, np.zeros_like(SQUARE)) == (interior_point(SQUARE), 1)


def test_an_empty_object_cannot_be_clicked():
    with pytest.raises(ValueError, match="mask is empty"):
        interior_point(np.zeros((4, 5), bool))
