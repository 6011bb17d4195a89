import numpy as np
import pytest

from napari_sam.contrast import Contrast, estimate_contrast, sample_planes
from napari_sam.stack import open_stack


class Counting:
    """An array-like that counts the planes that are read of it and refuses to be converted as a whole."""

    def __init__(self, array):
        self.shape, self.dtype, self._array, self.planes = array.shape, array.dtype, array, []

    def __getitem__(self, index):
        self.planes.append(index[0])
        return self._array[index]

    def __array__(self, *args, **kwargs):
        msg = "the whole array was converted"
        raise AssertionError(msg)


def noise(*shape, low=100, high=4000, dtype=np.uint16):
    return np.random.default_rng(1).uniform(low, high, shape).astype(dtype)


def estimate(image, limits=None, **options):
    return estimate_contrast(open_stack(image, **options), limits)


def test_12_bit_data_in_uint16_fills_the_range():
    contrast = estimate(noise(8, 64, 64))
    assert contrast.low[0] == pytest.approx(100, abs=40)
    assert contrast.high[0] == pytest.approx(4000, abs=40)


@pytest.mark.parametrize("shape", [(8, 64, 64), (64, 64), (20, 20)])
def test_a_hot_pixel_changes_nothing(shape):
    image = noise(*shape)
    before = estimate(image)
    image[(*(0,) * (len(shape) - 2), 3, 4)] = 65535
    assert estimate(image).high[0] == pytest.approx(before.high[0], rel=0.02)


def test_empty_planes_change_nothing():
    content = noise(5, 64, 64)
    image = np.zeros((100, 64, 64), np.uint16)
    image[40:45] = content
    assert estimate(image).high[0] == pytest.approx(estimate(content).high[0], rel=0.02)


def test_a_single_plane_with_content_among_a_thousand_is_found():
    image = np.zeros((1000, 16, 16), np.uint16)
    image[777] = noise(16, 16)
    assert estimate(image).high[0] > 3000


def test_background_of_one_value_does_not_hide_sparse_objects():
    image = np.zeros((4, 128, 128), np.uint16)
    image[:, 60:64, 60:64] = noise(4, 4, 4, low=500)
    contrast = estimate(image)
    assert contrast.low == (0,)
    assert 3000 < contrast.high[0] <= 4000


def test_a_constant_image_is_black():
    for value in (0, 7, 65535):
        image = np.full((3, 16, 16), value, np.uint16)
        assert estimate(image).apply(image[0]).max() == 0


def test_rounding_errors_of_a_constant_image_are_not_blown_up_to_noise():
    image = np.float32(0.1) + np.random.default_rng(0).uniform(0, 1e-8, (3, 16, 16)).astype(np.float32)
    assert estimate(image).apply(image[0]).max() < 3


def test_planes_that_are_constant_one_by_one_are_told_apart():
    image = np.stack([np.full((8, 8), 5), np.full((8, 8), 7)])
    assert (estimate(image).low, estimate(image).high) == ((5,), (7,))


def test_a_mask_is_black_and_white():
    image = np.zeros((3, 32, 32), bool)
    image[:, 5:8, 5:8] = True
    assert set(np.unique(estimate(image).apply(image[0]))) == {0, 255}


def test_signed_integers_keep_their_order():
    image = noise(3, 32, 32, low=-2000, high=2000, dtype=np.int16)
    contrast = estimate(image)
    assert contrast.low[0] < -1900
    assert contrast.high[0] > 1900


def test_nan_and_infinity_do_not_count():
    image = noise(4, 64, 64, dtype=np.float32)
    before = estimate(image)
    image[:, :20] = np.nan
    image[:, 20:22] = np.inf
    image[:, 22:24] = -np.inf
    assert estimate(image).low[0] == pytest.approx(before.low[0], abs=20)
    assert estimate(image).high[0] == pytest.approx(before.high[0], abs=20)


def test_an_image_of_nothing_but_nan_is_black():
    image = np.full((2, 8, 8), np.nan)
    assert estimate(image).apply(image[0]).max() == 0


def test_channels_of_a_fluorescence_image_are_stretched_one_by_one():
    image = np.stack([noise(4, 64, 64), noise(4, 64, 64, high=200)])
    assert estimate(image, channel_axis=0).high == pytest.approx((4000, 200), rel=0.02)


def test_colours_share_one_contrast():
    image = np.stack([noise(64, 64), noise(64, 64, high=200), noise(64, 64)], axis=-1)
    assert len(estimate(image, rgb=True).high) == 1


def test_a_slide_with_little_tissue_keeps_its_white():
    image = np.full((128, 128, 3), 240, np.uint8)
    image[:4, :4] = (120, 60, 130)
    assert estimate(image, rgb=True) == Contrast("percentile", (0,), (255,))


def test_a_dim_rgb_picture_is_brightened():
    assert estimate(noise(64, 64, 3, low=0, high=50, dtype=np.uint8), rgb=True).high[0] == pytest.approx(50, abs=2)


def test_limits_of_the_user_are_taken_as_they_are():
    assert estimate(noise(2, 8, 8), (10, 20)) == Contrast("limits", (10,), (20,))
    two = noise(2, 8, 8)
    assert estimate(two, [(1, 2), (3, 4)], channel_axis=0) == Contrast("limits", (1, 3), (2, 4))


@pytest.mark.parametrize("limits", [(5, 5), (9, 1), (0, np.nan), (1, 2, 3), [(0, 1), (0, 1)], "ab"])
def test_limits_that_make_no_sense_are_refused(limits):
    with pytest.raises(ValueError, match=r"contrast|convert"):
        estimate(noise(2, 8, 8), limits)


def test_given_limits_read_nothing():
    image = Counting(noise(10, 8, 8))
    estimate(image, (0, 1))
    assert image.planes == []


def test_few_planes_of_a_long_stack_are_read_all_over_it():
    image = Counting(noise(1000, 8, 8))
    estimate(image)
    assert len(image.planes) == 32
    assert np.diff(sorted({0, *image.planes, 1000})).max() < 64


def test_of_a_large_plane_only_windows_are_read():
    image = Counting(np.broadcast_to(noise(1, 1), (1, 3000, 5000)))
    list(sample_planes(open_stack(image)))
    assert len(image.planes) == 9


def test_the_estimate_is_the_same_each_time():
    image = noise(50, 300, 300)
    assert estimate(image) == estimate(image)


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
def test_small_differences_on_a_large_offset_survive(dtype):
    image = noise(2, 16, 16, low=0, high=255, dtype=dtype) + dtype(10**12)
    contrast = Contrast("limits", (10.0**12,), (10.0**12 + 255,))
    np.testing.assert_allclose(contrast.apply(image[0]), image[0] - 10**12, atol=1e-3)
