"""A window of the plane must look as it does on the whole plane."""

import numpy as np
import pytest

from napari_sam.crops import Crop
from napari_sam.image import Frame
from napari_sam.predictor import upscale
from napari_sam.upscaling import upscaled, upscaled_mask

SIZE = (37, 53)


@pytest.fixture
def frame(tiny_sam):
    return Frame.for_plane(SIZE, tiny_sam.config.grid)


@pytest.fixture
def logits(frame):
    rng = np.random.default_rng(0)
    return rng.normal(size=tuple(side // 4 for side in frame.padded_size)).astype(np.float32)


def test_a_window_is_what_the_model_gives_for_the_whole_plane(tiny_sam, frame, logits):
    window = slice(5, 20), slice(11, 53)
    found = upscaled(Crop(logits.shape, 0, 0, logits), frame, window)
    np.testing.assert_allclose(found, upscale(tiny_sam, logits, frame)[window], atol=1e-5)


def test_the_mask_is_that_of_the_whole_plane(tiny_sam, frame, logits):
    logits[:3] = -5
    mask = upscaled_mask(Crop(logits.shape, 0, 0, logits), frame)
    whole = upscale(tiny_sam, logits, frame)
    np.testing.assert_array_equal(mask.full()[np.abs(whole) > 1e-5], (whole > 0)[np.abs(whole) > 1e-5])
    assert mask.pixels.size < whole.size


def test_logits_that_are_nowhere_positive_give_no_mask(frame, logits):
    assert not upscaled_mask(Crop(logits.shape, 0, 0, -np.abs(logits)), frame)


def test_a_window_costs_no_array_of_the_plane(frame, logits):
    found = upscaled(Crop(logits.shape, 0, 0, logits), frame, (slice(2, 4), slice(3, 6)))
    assert found.base is None
    assert found.shape == (2, 3)
