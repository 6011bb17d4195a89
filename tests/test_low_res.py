"""Low-res logits: what a mask becomes, and what it comes back as."""

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_sam.crops import Crop
from napari_sam.image import Frame
from napari_sam.low_res import SURE_LOGIT, crop_logits, mask_to_logits, move_logits
from napari_sam.model.config import CONFIGS, InputGrid

SIZES = st.tuples(st.integers(1, 700), st.integers(1, 700))
GRIDS = st.sampled_from([config.grid for config in CONFIGS.values()])


def painted(shape, rows, columns):
    mask = np.zeros(shape, bool)
    mask[rows, columns] = True
    return Crop.of(mask)


@given(SIZES, GRIDS)
def test_the_mask_of_the_whole_plane_fills_the_input_and_leaves_the_padding_out(original_size, grid):
    frame = Frame.for_plane(original_size, grid)
    logits = mask_to_logits(Crop.of(np.ones(original_size, bool)), frame, low_res_stride=grid.low_res_stride)
    rows, columns = (side // grid.low_res_stride for side in frame.input_size)
    assert logits.shape == tuple(side // grid.low_res_stride for side in frame.padded_size)
    np.testing.assert_allclose(logits[:rows, :columns], 8, atol=1e-3)
    np.testing.assert_allclose(logits[rows + 1 :], -8)
    np.testing.assert_allclose(logits[:, columns + 1 :], -8)


def test_a_cell_half_covered_is_undecided():
    logits = mask_to_logits(
        painted((40, 60), slice(0, 4), slice(0, 6)), Frame((40, 60), (40, 60), (64, 64)), low_res_stride=4
    )
    np.testing.assert_allclose(logits[0, :3], [8, 0, -8])


def test_a_mask_comes_back_through_the_upscaling_of_the_logits():
    """Both ways share one pixel convention: a shift of half a voxel would show at the border."""
    grid = InputGrid(shortest=128, longest=128, multiple=32, stride=8, low_res_stride=2)
    frame = Frame.for_plane((32, 32), grid)
    mask = painted((32, 32), slice(5, 17), slice(9, 30))
    logits = torch.as_tensor(mask_to_logits(mask, frame, low_res_stride=2))[None, None]
    upscaled = torch.nn.functional.interpolate(logits, (32, 32), mode="bilinear", align_corners=False)
    np.testing.assert_array_equal(upscaled[0, 0].numpy() > 0, mask.full())


def test_a_window_shows_what_the_plane_shows_there():
    mask = painted((64, 64), slice(20, 37), slice(22, 45))
    plane, window = Frame((64, 64), (64, 64), (64, 64)), Frame((32, 32), (32, 32), (32, 32), (16, 16), (64, 64))
    whole, part = (mask_to_logits(mask, frame, low_res_stride=4) for frame in (plane, window))
    np.testing.assert_allclose(part, whole[4:12, 4:12])
    np.testing.assert_allclose(move_logits(whole, plane, window, low_res_stride=4), part, atol=1e-5)


def test_what_is_cropped_away_is_surely_background():
    logits = np.full((6, 7), -5, np.float32)
    logits[2:4, 3] = 4
    cropped = crop_logits(logits, least=-4)
    assert cropped.pixels.shape == (2, 1)
    assert cropped.full().min() == -8
    assert crop_logits(logits).pixels.shape == (6, 7)


def test_where_cells_coincide_logits_are_moved_without_a_change():
    before = Frame((16, 16), (32, 32), (32, 32), (8, 8), (64, 64))
    after = replace(before, origin=(4, 12))
    logits = np.random.default_rng(0).normal(size=(16, 16)).astype(np.float32)

    moved = move_logits(logits, before, after, low_res_stride=2)

    np.testing.assert_array_equal(moved[4:, :12], logits[:12, 4:])
    assert (moved[:4] == -SURE_LOGIT).all()
    assert (moved[:, 12:] == -SURE_LOGIT).all()


def test_where_cells_lie_between_others_logits_are_moved_as_their_mean():
    before = Frame((16, 16), (32, 32), (32, 32), (8, 8), (64, 64))
    after = replace(before, original_size=(32, 32), origin=(8, 8))
    logits = np.random.default_rng(0).normal(size=(16, 16)).astype(np.float32)

    moved = move_logits(logits, before, after, low_res_stride=2)

    np.testing.assert_allclose(moved[:8, :8], logits.reshape(8, 2, 8, 2).mean((1, 3)), atol=1e-5)
