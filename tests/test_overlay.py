"""Contours over planes."""

import numpy as np

from napari_sam.overlay import PALETTE, draw_contours, montage

PLANE = np.linspace(0, 100, 80).reshape(8, 10)
LABELS = np.zeros((8, 10), int)
LABELS[2:6, 2:5] = 1
LABELS[2:6, 5:8] = 2


def test_contours_are_drawn_inside_objects_and_between_those_that_touch():
    picture = draw_contours(PLANE, LABELS, limits=(0, 100))
    assert picture.shape == (16, 20, 3)
    np.testing.assert_array_equal(picture[4, 5], PALETTE[0])
    np.testing.assert_array_equal(picture[7, 9], PALETTE[0])
    np.testing.assert_array_equal(picture[7, 10], PALETTE[1])


def test_what_is_not_contour_is_the_stretched_plane():
    picture = draw_contours(PLANE, LABELS, limits=(50, 100))
    assert (picture[0, 0] == 0).all()
    assert (picture[-1, -1] == 255).all()
    assert (picture[7, 6] == picture[7, 6, 0]).all()


def test_a_colour_plane_keeps_its_colours():
    red = np.zeros((8, 10, 3))
    red[..., 0] = 200
    np.testing.assert_array_equal(draw_contours(red, LABELS * 0, limits=(0, 200))[0, 0], (255, 0, 0))


def test_a_montage_holds_all_pictures_in_order():
    pictures = [np.full((3, 4, 3), grey, np.uint8) for grey in (10, 20, 30)]
    sheet = montage(pictures, gap=1)
    assert sheet.shape == (7, 9, 3)
    assert [sheet[0, 0, 0], sheet[0, 5, 0], sheet[4, 0, 0], sheet[4, 5, 0]] == [10, 20, 30, 255]
