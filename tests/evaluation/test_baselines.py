"""What needs no model."""

import numpy as np
import pytest

from napari_sam.evaluation.baselines import ellipse_in_box, otsu_components, otsu_in_box, to_grey
from napari_sam.evaluation.user import tight_box

ROWS, COLUMNS = np.ogrid[:30, :40]
DISC = (ROWS - 12) ** 2 + (COLUMNS - 15) ** 2 <= 49
OTHER = (ROWS - 24) ** 2 + (COLUMNS - 33) ** 2 <= 16


@pytest.mark.parametrize("polarity", [1, -1])
def test_the_component_under_a_click_is_the_object_bright_or_dark(polarity):
    components = otsu_components(100 + polarity * 50 * (DISC | OTHER))
    np.testing.assert_array_equal(components == components[12, 15], DISC)
    np.testing.assert_array_equal(components == components[24, 33], OTHER)


@pytest.mark.parametrize("polarity", [1, -1])
def test_the_object_in_a_box_is_the_side_that_is_in_the_middle(polarity):
    mask = otsu_in_box(100 + polarity * 50 * DISC, tight_box(DISC))
    np.testing.assert_array_equal(mask, DISC)


def test_an_ellipse_fills_its_box():
    np.testing.assert_array_equal(
        ellipse_in_box((30, 40), ((5, 8), (19, 22))), (ROWS - 12) ** 2 + (COLUMNS - 15) ** 2 <= 56
    )
    assert tight_box(ellipse_in_box((30, 40), ((3, 4), (8, 20)))) == ((3, 4), (8, 20))
    assert ellipse_in_box((30, 40), ((3, 4), (3, 4))).sum() == 1


def test_a_constant_plane_is_one_component():
    assert len(np.unique(otsu_components(np.full((4, 5), 7)))) == 1
    assert otsu_in_box(np.full((4, 5), 7), ((1, 1), (2, 3))).sum() == 6


def test_colours_are_averaged():
    assert to_grey(np.dstack([np.full((4, 5), value) for value in (0, 30, 60)]))[1, 2] == 30
