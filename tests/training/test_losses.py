"""Losses against loops written by hand."""

import math

import pytest
import torch

from napari_sam.training.losses import mask_losses, promptable_loss, true_ious


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def loss_by_hand(logits, truth):
    focal, both, either = 0.0, 0.0, 0.0
    for logit, true in zip(logits.flatten().tolist(), truth.flatten().tolist(), strict=True):
        p = sigmoid(logit)
        right = p if true else 1 - p
        focal += -math.log(right) * (1 - right) ** 2 / truth.numel()
        both, either = both + p * true, either + p + true
    return 20 * focal + 1 - (2 * both + 10) / (either + 10)


def iou_by_hand(logits, truth):
    found = {i for i, logit in enumerate(logits.flatten().tolist()) if logit > 0}
    true = {i for i, here in enumerate(truth.flatten().tolist()) if here}
    return len(found & true) / len(found | true) if found | true else 0.0


@pytest.fixture
def answer():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, 5, 6, generator=generator) * 3
    truth = torch.rand(3, 5, 6, generator=generator) > 0.6
    truth[2] = False  # an object that has ended
    return logits, torch.rand(3, 4, generator=generator), truth


def test_mask_losses_are_those_of_the_loop(answer):
    logits, _, truth = answer
    expected = [[loss_by_hand(mask, true) for mask in masks] for masks, true in zip(logits, truth, strict=True)]
    torch.testing.assert_close(mask_losses(logits, truth), torch.tensor(expected))


def test_ious_are_those_of_the_loop(answer):
    logits, _, truth = answer
    expected = [[iou_by_hand(mask, true) for mask in masks] for masks, true in zip(logits, truth, strict=True)]
    torch.testing.assert_close(true_ious(logits, truth), torch.tensor(expected))


def test_nothing_found_where_an_object_has_ended_has_an_iou_of_zero():
    assert true_ious(torch.full((1, 1, 4, 4), -1.0), torch.zeros(1, 4, 4, dtype=torch.bool)).item() == 0


def test_an_unambiguous_prompt_teaches_the_single_mask_only(answer):
    logits, ious, truth = answer
    logits.requires_grad_()
    promptable_loss(logits, ious, truth, ambiguous=False).backward()
    assert logits.grad[:, 0].abs().sum() > 0
    assert logits.grad[:, 1:].abs().sum() == 0


def test_an_ambiguous_prompt_teaches_the_single_mask_and_the_best_of_three(answer):
    logits, ious, truth = answer
    logits.requires_grad_()
    promptable_loss(logits, ious, truth, ambiguous=True).backward()
    taught = logits.grad.abs().sum((2, 3)) > 0
    best = 1 + mask_losses(logits, truth)[:, 1:].argmin(1)
    assert taught[:, 0].all()
    assert (taught.sum(1) == 2).all()
    assert taught[torch.arange(3), best].all()


def test_the_loss_is_least_for_a_right_mask_with_a_right_iou(answer):
    _, _, truth = answer
    right = torch.where(truth, 20.0, -20.0)[:, None].expand(-1, 4, -1, -1)
    expected = true_ious(right, truth)
    assert promptable_loss(right, expected, truth, ambiguous=True) < 1e-3
    assert promptable_loss(right, expected + 0.5, truth, ambiguous=True) > 0.1
