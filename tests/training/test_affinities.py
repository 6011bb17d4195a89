"""Affinities: a model learns which pixels belong together, and forgets the head for it afterwards."""

import numpy as np
import pytest
import torch

from napari_sam.training.affinities import _OFFSETS, Pupil, affinity_loss
from napari_sam.training.dataset import Source
from napari_sam.training.lesson import CropLesson
from napari_sam.training.recipe import Recipe
from napari_sam.training.trainer import Trainer

RECIPE = Recipe(steps=3, batch=1, objects=2, warmup=1, learning_rate=1e-3)


@pytest.fixture
def labels():
    """Two objects side by side on the left half, background on the right."""
    labels = torch.zeros(1, 64, 64, dtype=torch.int32)
    labels[:, :32, :32], labels[:, 32:, :32] = 1, 2
    return labels


def said(labels, offset, *, together):
    """Logits that are sure of one offset everywhere, and undecided about the others."""
    logits = torch.zeros(1, len(_OFFSETS), labels.shape[1] // 4, labels.shape[2] // 4)
    logits[:, _OFFSETS.index(offset)] = 9.0 if together else -9.0
    return affinity_loss(logits, labels)


def test_pixels_of_one_object_belong_together_and_others_do_not(labels):
    left, right = labels[:, :32, :32], labels[:, :32, 32:]
    assert said(left, (3, 0), together=True) < said(left, (3, 0), together=False)
    assert said(right, (3, 0), together=True) > said(right, (3, 0), together=False)  # background is no object


def test_neighbours_across_a_border_do_not_belong_together(labels):
    column = labels[:, 28:36, :32]  # two cells high: each object fills one of them
    assert said(column, (1, 0), together=False) < said(column, (1, 0), together=True)


def test_a_diagonal_that_goes_left_compares_with_what_lies_left_below():
    labels = torch.zeros(1, 16, 16, dtype=torch.int32)
    labels[0, :8, 8:], labels[0, 8:, :8] = 1, 1
    assert said(labels, (2, -2), together=True) < said(labels, (2, -2), together=False)
    assert said(labels, (2, 2), together=True) > said(labels, (2, 2), together=False)


def test_a_pupil_learns_affinities_and_leaves_a_model_without_them(fresh_nano, nuclei):
    source = Source("nuclei", [nuclei.stack.array], [nuclei.labels], 1.0, 1.0)
    pupil = Pupil(fresh_nano())
    names = fresh_nano().state_dict().keys()
    before = pupil.affinities.layers[0].weight.detach().clone()
    trainer = Trainer(pupil, CropLesson([source], RECIPE), RECIPE, seed=0)
    assert len(list(trainer.run())) == RECIPE.steps
    assert not torch.equal(pupil.affinities.layers[0].weight, before)
    assert trainer.averaged().sam().state_dict().keys() == names


def test_affinities_reach_the_image_encoder(fresh_nano):
    pupil = Pupil(fresh_nano())
    embeddings = torch.randn(2, pupil.config.image_encoder.out_chans, 8, 8)
    labels = torch.from_numpy(np.random.default_rng(0).integers(0, 3, (2, 64, 64)))
    gradient = pupil.affinity_gradient(embeddings, labels)
    assert gradient.shape == embeddings.shape
    assert gradient.abs().sum() > 0
