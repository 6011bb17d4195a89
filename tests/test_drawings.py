"""What is drawn covers the pixels whose centres lie inside, and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sam import drawings

PLANE = (40, 50)


def _rectangle(top, left, bottom, right):
    return np.array([[top, left], [top, right], [bottom, right], [bottom, left]], float)


def test_a_rectangle_around_voxels_is_the_box_of_these_voxels():
    assert drawings.shape("rectangle", _rectangle(2.5, 9.5, 7.5, 20.5), PLANE).box.tolist() == [[3, 10], [7, 20]]


ends = st.floats(-5, 45).map(lambda end: round(end, 2))  # on an edge of a pixel or clearly beside it
edges = st.tuples(ends, ends).map(sorted).filter(lambda pair: pair[1] - pair[0] >= 1)


@given(edges, edges)
def test_a_box_holds_the_pixels_whose_centres_are_inside_and_on_the_plane(rows, columns):
    low = np.maximum(np.ceil([rows[0], columns[0]]), 0)
    high = np.minimum(np.floor([rows[1], columns[1]]), np.subtract(PLANE, 1))
    corners = _rectangle(rows[0], columns[0], rows[1], columns[1])
    if (low > high).any():
        with pytest.raises(ValueError, match="covers no pixel"):
            drawings.shape("rectangle", corners, PLANE)
    else:
        np.testing.assert_array_equal(drawings.shape("rectangle", corners, PLANE).box, [low, high])


@given(edges, edges)
def test_the_mask_of_an_ellipse_is_that_of_its_equation(rows, columns):
    middle, half = np.array([sum(rows), sum(columns)]) / 2, np.array([rows[1] - rows[0], columns[1] - columns[0]]) / 2
    squared = sum(((axis - m) / h) ** 2 for axis, m, h in zip(np.indices(PLANE), middle, half, strict=True))
    expected = squared <= 1
    if np.abs(squared - 1).min() > 1e-9 and expected.any():
        drawn = drawings.shape("ellipse", _rectangle(rows[0], columns[0], rows[1], columns[1]), PLANE)
        np.testing.assert_array_equal(drawn.mask.full(), expected)


def test_a_shape_smaller_than_a_pixel_is_that_pixel():
    drawn = drawings.shape("ellipse", _rectangle(5.6, 7.6, 5.7, 7.7), PLANE)
    assert np.argwhere(drawn.mask.full()).tolist() == [[6, 8]]


def test_a_negative_box_is_a_click_on_its_middle_pixel():
    drawn = drawings.shape("rectangle", _rectangle(10.5, 20.5, 15.5, 25.5), PLANE, on_object=False)
    assert drawn.negative.tolist() == [[13, 23]]
