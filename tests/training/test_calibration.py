"""A head that was left behind catches up, and nothing else moves."""

import numpy as np
import pytest
import torch

from napari_sam.training.calibration import Examples, calibrate, collect_examples, refit
from napari_sam.training.rounds import View


@pytest.fixture
def scenes(fresh_sam):
    labels = torch.zeros(64, 64, dtype=torch.int64)
    labels[8:32, 8:32], labels[40:60, 30:60] = 1, 2
    embedding = torch.zeros(1, fresh_sam().config.image_encoder.out_chans, 4, 4)
    return [[View(embedding, labels)]] * 6


def test_each_mask_of_each_round_is_an_example(fresh_sam, scenes, rng):
    examples = collect_examples(fresh_sam(), scenes, objects=2, rng=rng)
    assert len(examples.inputs) == len(examples.ious) >= 12
    assert examples.ious.shape[1] == 4
    assert examples.ious.min() >= 0


def test_a_head_learns_what_its_inputs_tell(rng):
    inputs = torch.from_numpy(rng.random((400, 4), dtype=np.float32))
    _, before, after = refit(torch.nn.Linear(4, 4), Examples(inputs, inputs.flip(1)), rng=rng)
    assert after < 0.5 * before


def test_only_the_head_moves(fresh_sam, scenes, rng):
    sam, untouched = fresh_sam(), fresh_sam().state_dict()
    calibrate(sam, scenes, objects=2, rng=rng)
    moved = {name for name, value in sam.state_dict().items() if not torch.equal(value, untouched[name])}
    assert moved
    assert all(name.startswith("mask_decoder.iou_prediction_head.") for name in moved)
