"""A crop is the plane it was cut from."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_sam.crops import Crop, crop_objects, iou

SHAPE = (6, 7)
MASKS = hnp.arrays(bool, SHAPE)


@given(MASKS)
def test_nothing_is_lost_by_cropping(mask):
    crop = Crop.of(mask)
    np.testing.assert_array_equal(crop.full(), mask)
    assert bool(crop) == mask.any()
    assert crop.area == mask.sum()


@given(MASKS, MASKS)
def test_overlap_is_that_of_the_whole_masks(one, other):
    union = (one | other).sum()
    assert iou(Crop.of(one), Crop.of(other)) == ((one & other).sum() / union if union else 0)


@given(MASKS, MASKS)
def test_part_of_a_mask_is_cropped_again(mask, keep):
    crop = Crop.of(mask)
    kept = crop.masked(keep[crop.window])
    np.testing.assert_array_equal(kept.full(), mask & keep)
    assert kept.pixels.shape == Crop.of(mask & keep).pixels.shape


@given(MASKS, st.integers(-8, 8), st.integers(-8, 8))
def test_what_is_moved_off_the_plane_is_gone(mask, rows, columns):
    padded = np.pad(mask, 8)
    expected = np.roll(padded, (rows, columns), (0, 1))[8:-8, 8:-8]
    np.testing.assert_array_equal(Crop.of(mask).shifted(rows, columns).full(), expected)


def test_what_lies_outside_is_what_it_was_said_to_be():
    logits = np.full(SHAPE, -9.0)
    logits[2, 3] = 4
    crop = Crop.around(logits, logits > 0, outside=-8)
    assert crop.full().min() == -8
    assert crop.within((slice(0, 3), slice(3, 4))).ravel().tolist() == [-8, -8, 4]


def test_the_border_is_touched_at_all_four_sides():
    touching = [Crop(SHAPE, top, left, np.ones((2, 2), bool)) for top, left in ((0, 2), (4, 2), (2, 0), (2, 5))]
    assert all(crop.touches_border for crop in touching)
    assert not Crop(SHAPE, 2, 2, np.ones((2, 2), bool)).touches_border
    assert not Crop.empty(SHAPE).touches_border


@given(hnp.arrays(np.uint16, SHAPE, elements=st.sampled_from([0, 0, 3, 7, 60_000])))
def test_the_objects_of_a_plane_are_those_of_its_ids(labels):
    found = dict(crop_objects(labels))
    assert found == {int(i): Crop.of(labels == i) for i in np.unique(labels[labels > 0])}


@given(MASKS, MASKS)
def test_two_masks_joined_are_true_where_either_is(one, other):
    np.testing.assert_array_equal(Crop.of(one).joined(Crop.of(other)).full(), one | other)


@given(MASKS, MASKS)
def test_crops_are_equal_when_their_planes_are(one, other):
    assert (Crop.of(one) == Crop.of(other)) == np.array_equal(one, other)
    assert hash(Crop.of(one)) == hash(Crop.of(one.copy()))
