"""A window of the plane must look as it does on the whole plane."""

import numpy as np
import pytest
import torch

from napari_sam.crops import Crop
from napari_sam.image import Frame
from napari_sam.upscaling import upscaled, upscaled_mask

SIZE = (37, 53)


@pytest.fixture
def frame(tiny_sam):
    return Frame.for_plane(SIZE, tiny_sam.config.grid)


@pytest.fixture
def logits(frame):
    rng = np.random.default_rng(0)
    values = rng.normal(size=tuple(side // 4 for side in frame.padded_size)).astype(np.float32)
    values[:3] = -5  # nothing at the upper edge
    return values


@pytest.fixture
def whole(tiny_sam, frame, logits):
    """The logits on the whole plane, upscaled as Meta does."""
    low_res = torch.from_numpy(logits)[None, None]
    upscaled = tiny_sam.postprocess(low_res, input_size=frame.input_size, original_size=frame.original_size)
    return upscaled[0, 0].numpy()


def test_a_window_is_what_the_model_gives_for_the_whole_plane(frame, logits, whole):
    window = slice(5, 20), slice(11, 53)
    found = upscaled(Crop(logits.shape, 0, 0, logits), frame, window)
    np.testing.assert_allclose(found, whole[window], atol=1e-5)


def test_the_mask_is_that_of_the_whole_plane(frame, logits, whole):
    mask = upscaled_mask(Crop(logits.shape, 0, 0, logits), frame)
    np.testing.assert_array_equal(mask.full()[np.abs(whole) > 1e-5], (whole > 0)[np.abs(whole) > 1e-5])
    assert mask.pixels.size < whole.size


def test_logits_that_are_nowhere_positive_give_no_mask(frame, logits):
    assert not upscaled_mask(Crop(logits.shape, 0, 0, -np.abs(logits)), frame)


def test_what_lies_in_the_padding_alone_gives_no_mask(frame, logits):
    assert frame.input_size[0] < frame.padded_size[0] - 4
    values = np.full_like(logits, -5)
    values[-1:] = 5
    assert not upscaled_mask(Crop(logits.shape, 0, 0, values), frame)


def test_a_window_costs_no_array_of_the_plane(frame, logits):
    found = upscaled(Crop(logits.shape, 0, 0, logits), frame, (slice(2, 4), slice(3, 6)))
    assert found.base is None
    assert found.shape == (2, 3)
