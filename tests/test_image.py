import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sam.contrast import Contrast
from napari_sam.image import Frame, to_model_input
from napari_sam.model.config import CONFIGS, InputGrid

AS_IS = Contrast("limits", (0,), (255,))
SIDE = st.integers(1, 3000)


def frame(original_size, input_size):
    return Frame(original_size, input_size, input_size)


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_a_frame_takes_its_sizes_from_the_grid():
    made = Frame.for_plane((600, 800), InputGrid())
    assert made == Frame((600, 800), (768, 1024), (1024, 1024))
    assert made.scale == (1.28, 1.28)


@given(height=SIDE, width=SIDE, name=st.sampled_from(sorted(CONFIGS)))
def test_edges_of_plane_and_model_input_coincide(height, width, name):
    made = Frame.for_plane((height, width), CONFIGS[name].grid)
    outer = (np.array(made.original_size) - 0.5 + 0.5) * made.scale - 0.5
    np.testing.assert_allclose(outer, np.array(made.input_size) - 0.5)


def test_a_grey_plane_becomes_three_equal_channels():
    plane = noise(8, 9)
    made = to_model_input(plane, AS_IS, frame((8, 9), (8, 9)))
    assert (made.dtype, made.shape) == (np.float32, (3, 8, 9))
    np.testing.assert_array_equal(made, np.stack([plane] * 3))


def test_two_channels_are_red_and_green():
    plane = noise(8, 9, 2)
    made = to_model_input(plane, AS_IS, frame((8, 9), (8, 9)))
    np.testing.assert_array_equal(made[:2], plane.transpose(2, 0, 1))
    assert not made[2].any()


def test_each_channel_has_its_own_contrast():
    plane = np.full((4, 4, 2), 100, np.uint16)
    made = to_model_input(plane, Contrast("limits", (0, 0), (200, 400)), frame((4, 4), (4, 4)))
    assert made[:, 0, 0].tolist() == [127.5, 63.75, 0]


def test_a_frame_that_spans_two_shows_both_at_the_detail_of_the_first():
    one = Frame((96, 96), (192, 192), (192, 192), origin=(32, 64), plane_shape=(600, 500))
    other = Frame((192, 200), (192, 200), (192, 224), origin=(96, 300), plane_shape=(600, 500))
    both = one.spanning(other)
    assert (both.origin, both.original_size, both.input_size) == ((32, 64), (256, 436), (512, 872))
    assert both.padded_size == (512, 896)
    assert both.spanning(both) == both


def test_pixels_beyond_the_contrast_are_clipped():
    made = to_model_input(np.array([[-5, 0, 300]]), AS_IS, frame((1, 3), (1, 3)))
    assert made[0].tolist() == [[0, 0, 255]]


def test_nan_becomes_black_and_is_said(caplog):
    plane = np.array([[np.nan, np.inf, -np.inf, 10.0]], np.float32)
    with caplog.at_level(logging.WARNING):
        made = to_model_input(plane, AS_IS, frame((1, 4), (1, 4)))
    assert made[0].tolist() == [[0, 255, 0, 10]]
    assert "1 of 4 pixels" in caplog.text


@pytest.mark.parametrize("input_size", [(64, 48), (300, 200), (171, 113), (64, 200)])
def test_the_resize_is_that_of_the_official_model_to_its_rounding(input_size):
    """Pillow rounds to uint8 after each of its two passes, so it may differ by one count."""
    image = pytest.importorskip("PIL.Image")
    plane = noise(171, 113, 3)
    official = np.asarray(image.fromarray(plane).resize(input_size[::-1], image.Resampling.BILINEAR))
    made = to_model_input(plane, AS_IS, frame((171, 113), input_size))
    assert np.abs(made.transpose(1, 2, 0) - official).max() <= 1.01


@pytest.mark.parametrize("factor", [0.25, 0.5, 1.7, 4])
def test_the_resize_shifts_nothing(factor):
    """The centre of mass of a blob moves as the pixel convention says."""
    rows, columns = np.mgrid[:64, :64]
    blob = 255 * np.exp(-((rows - 20.3) ** 2 + (columns - 41.6) ** 2) / (2 * 4.0**2))
    size = (round(64 * factor), round(64 * factor))
    geometry = frame((64, 64), size)
    made = to_model_input(blob, AS_IS, geometry)[0]
    found = [(made * index).sum() / made.sum() for index in np.indices(size)]
    expected = (np.array([20.3, 41.6]) + 0.5) * geometry.scale - 0.5
    np.testing.assert_allclose(found, expected, atol=0.02 * max(1, factor))


def test_shrinking_does_not_alias():
    stripes = np.tile([0, 255], (64, 32)).astype(np.uint8)
    made = to_model_input(stripes, AS_IS, frame((64, 64), (20, 20)))
    assert made[0, :, 1:-1].std() < 20
