"""Looks: what they give is an image, and they take their limits from the stack."""

import numpy as np
import pytest
import torch

from napari_sam.training.augment import draw_look


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_every_look_stays_in_0_to_1(seed, dtype):
    rng = np.random.default_rng(seed)
    stack = (rng.random((2, 40, 40)) * 200).astype(dtype)
    look = draw_look(stack, rng).jittered(rng)
    shown = torch.from_numpy(look.contrast(stack[0, ..., None])).permute(2, 0, 1)
    finished = look.finish(shown.expand(3, -1, -1), rng)
    assert finished.shape == (3, 40, 40)
    assert 0 <= finished.min() <= finished.max() <= 1


def test_floats_within_0_to_1_keep_their_contrast(rng):
    stack = rng.random((2, 40, 40), dtype=np.float32)
    shown = draw_look(stack, rng).contrast(stack[0, ..., None])
    assert shown.std() > 0.15


def test_a_stack_of_one_value_is_no_error(rng):
    stack = np.full((1, 20, 20), 7, np.uint8)
    assert np.isfinite(draw_look(stack, rng).contrast(stack[0, ..., None])).all()


def test_the_same_chance_gives_the_same_look():
    stack = np.random.default_rng(0).integers(0, 255, (1, 20, 20, 3)).astype(np.uint8)
    assert draw_look(stack, np.random.default_rng(3)) == draw_look(stack, np.random.default_rng(3))
