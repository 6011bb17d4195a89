"""Clean-up changes what it says and nothing else."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_sam.cleanup import Cleanup, clean, largest_piece

volumes = arrays(bool, (3, 8, 9))


def _square(*sides):
    mask = np.zeros((3, 20, 20), bool)
    for plane, low, high in sides:
        mask[plane, low:high, low:high] = True
    return mask


def test_the_largest_piece_may_run_through_planes():
    mask = _square((0, 2, 5), (1, 2, 5), (0, 10, 14))
    np.testing.assert_array_equal(clean(mask, Cleanup(largest=True)), _square((0, 2, 5), (1, 2, 5)))


def test_pieces_that_are_too_small_go():
    mask = _square((0, 2, 4), (2, 10, 14))
    np.testing.assert_array_equal(clean(mask, Cleanup(min_size=5)), _square((2, 10, 14)))
    assert not clean(mask, Cleanup(min_size=100)).any()
    assert not clean(mask, Cleanup(min_size=100, largest=True)).any()


def test_holes_are_filled_plane_by_plane():
    """A hole that is open to the next plane is still a hole on its own."""
    mask = _square((1, 2, 10))
    mask[1, 5, 5] = False
    np.testing.assert_array_equal(clean(mask, Cleanup(fill_holes=True)), _square((1, 2, 10)))


def test_smoothing_drops_a_spike_and_keeps_the_body():
    mask = _square((1, 4, 16))
    mask[1, 0:4, 10] = True
    smooth = clean(mask, Cleanup(smooth=1.5))
    assert not smooth[1, :3].any()
    assert smooth[1, 5:15, 5:15].all()


@given(volumes)
def test_nothing_asked_changes_nothing(mask):
    np.testing.assert_array_equal(clean(mask, Cleanup()), mask)


@settings(max_examples=40)
@given(volumes, st.booleans(), st.integers(0, 6), st.booleans())
def test_cleaning_twice_is_cleaning_once(mask, largest, min_size, fill_holes):
    options = Cleanup(largest=largest, min_size=min_size, fill_holes=fill_holes)
    once = clean(mask, options)
    np.testing.assert_array_equal(clean(once, options), once)


@given(volumes)
def test_a_crop_gives_the_same_as_the_whole(mask):
    padded = np.pad(mask, 2)
    options = Cleanup(largest=True, fill_holes=True)
    np.testing.assert_array_equal(clean(padded, options)[2:-2, 2:-2, 2:-2], clean(mask, options))


def test_a_single_plane_is_cleaned_as_well():
    assert clean(_square((0, 2, 5))[0], Cleanup(largest=True, fill_holes=True, smooth=0.5)).sum() == 9


@given(arrays(bool, (7, 9)))
def test_the_largest_piece_of_a_plane_is_that_of_the_clean_up(mask):
    np.testing.assert_array_equal(largest_piece(mask), clean(mask, Cleanup(largest=True)))
