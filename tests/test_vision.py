"""Contrast is what a person sees: brighter or darker than around it."""

from math import isnan

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, gaussian_filter

from napari_sam.crops import Crop
from napari_sam.vision import SamVision, contrast_left, contrast_of, stands_apart

MASK = np.zeros((20, 20), bool)
MASK[5:12, 6:14] = True
CROP = Crop.of(MASK)


def contrast_in(pixels, mask=CROP, *, least=0.0):
    return contrast_of(mask, pixels.__getitem__, least=least)


def stands_apart_in(pixels, mask=CROP):
    return stands_apart(mask, pixels.__getitem__)


def test_contrast_is_the_difference_to_what_is_around():
    assert contrast_in(np.where(MASK, 200, 50).astype(np.uint8)) == pytest.approx([150])
    assert contrast_in(np.where(MASK, 50, 200).astype(np.uint8)) == pytest.approx([-150])


def test_each_channel_has_its_own():
    pixels = np.stack([MASK * 5.0, MASK * -2.0], axis=-1)
    assert contrast_in(pixels) == pytest.approx([5, -2])


def test_far_away_pixels_do_not_count():
    pixels = MASK * 10.0
    pixels[:, 18:] = 1000
    assert contrast_in(pixels) == pytest.approx([10])


def test_a_contrast_that_is_lost_in_the_texture_counts_as_none():
    """A cell in phase contrast is about as bright as what is around it: its brightness must not end a walk."""
    plane, rng = MASK * 10.0, np.random.default_rng(0)
    assert contrast_in(plane + rng.normal(0, 100, MASK.shape), least=1.0) == [0]
    assert contrast_in(plane + rng.normal(0, 1, MASK.shape), least=1.0) == pytest.approx([10], abs=2)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan, 1e300])
def test_pixels_that_are_no_light_make_no_noise(odd):
    """A ratio image holds infinities where it was divided by nothing."""
    plane = MASK * 10.0
    plane[3, 8] = plane[7, 9] = odd
    assert np.isfinite(contrast_in(plane)).all()
    stands_apart_in(plane)  # a warning would be an error


def test_a_mask_that_fills_the_plane_has_no_contrast():
    assert contrast_in(np.arange(16.0).reshape(4, 4), Crop.of(np.ones((4, 4), bool))) == pytest.approx([0])


def textured(plane):
    return plane + np.random.default_rng(0).normal(0, 1, plane.shape)


def test_a_nucleus_in_the_dark_stands_apart_and_a_dark_one_in_the_light_too():
    assert stands_apart_in(textured(MASK * 10.0))
    assert stands_apart_in(textured(~MASK * 10.0))


def test_a_nucleus_whose_mask_was_painted_too_generously_stands_apart():
    """Painted masks often take in the blurred rim and more; the walks from them must end like any other."""
    nucleus = np.zeros((40, 40), bool)
    nucleus[14:24, 15:26] = True
    generous = Crop.of(binary_dilation(nucleus, iterations=4))
    noise = np.random.default_rng(0).normal(0, 3, nucleus.shape)
    assert stands_apart_in(gaussian_filter(nucleus * 10.0, 1.5) + noise, generous)


def test_a_cell_behind_its_membrane_does_not_stand_apart():
    """A neurite stands out from the membrane around it, but beyond that are others like it."""
    membrane = np.zeros((20, 20), bool)
    membrane[4:13, 5:15] = True
    plane = np.where(membrane & ~MASK, 0.0, 10.0)
    assert abs(contrast_in(plane)[0]) > 1
    assert not stands_apart_in(textured(plane))


def test_what_fills_the_plane_does_not_stand_apart():
    assert not stands_apart_in(np.arange(16.0).reshape(4, 4), Crop.of(np.ones((4, 4), bool)))


def test_what_is_left_of_a_contrast_has_a_sign():
    origin = np.array([4.0, 3.0])
    assert contrast_left(origin / 2, origin) == pytest.approx(0.5)
    assert contrast_left(-origin, origin) == pytest.approx(-1)
    assert isnan(contrast_left(origin, np.zeros(2)))


def test_a_blank_plane_resembles_nothing():
    stack = np.random.default_rng(0).normal(size=(3, 30, 30))
    stack[1], stack[2] = 0, stack[0] + 0.1
    vision = SamVision(None, None, lambda plane, window: stack[plane][window])
    assert vision.resemblance((0,), (1,)) == 0
    assert vision.resemblance((0,), (2,)) == pytest.approx(1)


@pytest.mark.parametrize("unit", [1e-90, 1e-9, 1e90])
def test_planes_are_as_alike_in_any_unit(unit):
    stack = np.random.default_rng(0).normal(size=(2, 30, 30))
    stack[1] += stack[0]
    alike = SamVision(None, None, lambda plane, window: stack[plane][window]).resemblance((0,), (1,))
    vision = SamVision(None, None, lambda plane, window: unit * stack[plane][window])
    assert vision.resemblance((0,), (1,)) == pytest.approx(alike)


def test_of_a_plane_only_what_is_around_the_masks_is_read():
    plane, read = np.random.default_rng(0).normal(size=(20, 20)), []
    vision = SamVision(None, None, lambda plane_index, window: read.append(window) or plane[window])
    masks = [CROP, Crop((20, 20), 0, 17, np.ones((2, 3), bool))]
    expected = [contrast_in(plane, mask) for mask in masks]
    np.testing.assert_allclose([vision.contrast((0,), mask) for mask in masks], expected)
    assert read == [(slice(2, 15), slice(3, 17)), (slice(0, 5), slice(14, 20))]
