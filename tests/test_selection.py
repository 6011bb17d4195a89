"""Between the full resolution and a level of a pyramid: every prompt means the same object."""

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from napari_sam.prompts import Prompt
from napari_sam.selection import Selection, enlarge, resample, to_level

FULL, LEVEL = (12, 40, 60), (6, 20, 15)


def test_the_full_resolution_changes_nothing():
    prompt = Prompt((1,), [[3, 4]])
    assert to_level(prompt, FULL, FULL) is prompt


@pytest.mark.parametrize("channel", [(3,), (3, 1)])
def test_chosen_channels_of_a_file_are_seen_and_others_are_not(tmp_path, channel):
    image = np.random.default_rng(0).integers(0, 9, (2, 5, 6, 7), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", image, metadata={"axes": "ZCYX"})
    plane = Selection(channel).open_stack(tmp_path / "a.tif").read((1,))
    np.testing.assert_array_equal(np.atleast_3d(plane), np.moveaxis(image[1, channel], 0, -1))


def test_channels_of_an_image_without_any_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 6, 7), np.uint8))
    for channel in ((1,), (0, 1)):
        with pytest.raises(ValueError, match="no channel axis"):
            Selection(channel).open_stack(tmp_path / "a.tif")


def test_a_note_says_what_is_looked_at():
    assert Selection().describe("a.tif") == "a.tif"
    assert Selection((0, 2), "xz", 2).describe("a.zarr") == "a.zarr, channel 0 + 2, xz planes, level 2"


@given(st.integers(0, 11), st.integers(0, 39), st.integers(0, 59))
def test_a_click_falls_into_the_pixel_that_shows_what_was_clicked(z, row, column):
    there = to_level(Prompt((z,), [[row, column]]), FULL, LEVEL)
    [point] = there.points
    assert (there.plane, *np.round(point)) == ((z // 2,), row // 2, column // 4)


@given(st.integers(0, 19), st.integers(0, 14), st.integers(1, 20), st.integers(1, 15))
def test_a_box_around_whole_pixels_of_the_level_holds_just_those(top, left, height, width):
    bottom, right = min(19, top + height - 1), min(14, left + width - 1)
    box = [[2 * top, 4 * left], [2 * bottom + 1, 4 * right + 3]]
    assert np.allclose(to_level(Prompt((0,), box=box), FULL, LEVEL).box, [[top, left], [bottom, right]])


def test_a_mask_comes_back_where_it_was():
    mask = np.zeros(FULL[1:], bool)
    mask[8:20, 12:36] = True
    small = to_level(Prompt((0,), mask=mask), FULL, LEVEL).mask
    assert small.shape == LEVEL[1:]
    np.testing.assert_array_equal(resample(small.full(), FULL[1:]), mask)


@pytest.mark.parametrize(("size", "left"), [(1, 1), (0, 0)], ids=["a speck", "nothing"])
def test_what_is_painted_never_vanishes_and_nothing_stays_nothing(size, left):
    mask = np.zeros(FULL[1:], bool)
    mask[20 : 20 + size, 33 : 33 + size] = True
    assert to_level(Prompt((0,), mask=mask), FULL, LEVEL).mask.area == left


def test_labels_of_a_level_fill_the_full_resolution_plane_by_plane():
    labels = np.random.default_rng(0).integers(0, 9, LEVEL, np.uint8)
    full = np.zeros(FULL, np.uint8)
    enlarge(labels, full)
    np.testing.assert_array_equal(full, resample(labels, FULL))
