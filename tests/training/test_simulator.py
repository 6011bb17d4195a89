"""The simulated user never lies: clicks and boxes are where the truth and the error are."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_sam.training.simulator import (
    Simulator,
    displaced,
    draw_kind,
    interiority,
    tight_boxes,
    uncertain_logits,
)

STRIDE = 4


def discs(seed, count=3, size=24):
    """Random discs ``(P, h, w)``, none of them empty."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    rows, columns = rng.uniform(4, size - 4, (2, count, 1, 1))
    return torch.from_numpy(np.hypot(y - rows, x - columns) < rng.uniform(1, 6, (count, 1, 1)))


def cells(coords):
    """Row and column of the low-res cell that holds each (x, y)."""
    column, row = ((coords + 0.5) / STRIDE).floor().long().unbind(-1)
    return row, column


@given(st.integers(0, 10_000))
def test_a_correction_lies_in_the_error_and_has_the_label_of_the_truth(seed):
    truth, found = discs(seed), discs(seed + 1)
    simulator = Simulator(STRIDE, np.random.default_rng(seed))
    first = simulator.first("point", truth)
    prompts = simulator.correct(first, torch.where(found, 3.0, -3.0), truth)
    row, column = cells(prompts.point_coords[:, -1])
    here = torch.arange(len(truth)), row, column
    right = ~((truth != found).flatten(1).any(1))
    assert ((truth != found)[here] | right).all()
    assert (prompts.point_labels[:, -1].bool() == truth[here]).all()
    assert torch.equal(prompts.mask_input[:, 0] > 0, found)


@given(st.integers(0, 10_000), st.sampled_from(["point", "scribble", "box+point"]))
def test_first_clicks_lie_in_the_object(seed, kind):
    truth = discs(seed)
    prompts = Simulator(STRIDE, np.random.default_rng(seed)).first(kind, truth)
    for clicks, labels in zip(prompts.point_coords.unbind(1), prompts.point_labels.unbind(1), strict=True):
        row, column = cells(clicks)
        assert truth[torch.arange(len(truth)), row, column].all()
        assert (labels == 1).all()


@given(st.integers(0, 10_000))
def test_a_box_holds_the_object_but_for_a_sixteenth(seed):
    truth = discs(seed)
    x0, y0, x1, y1 = Simulator(STRIDE, np.random.default_rng(seed)).first("box", truth).boxes.T
    tight = tight_boxes(truth, STRIDE)
    width, height = (tight[:, 2:] - tight[:, :2]).T / 16
    outward = torch.stack([x0 - width, y0 - height, x1 + width, y1 + height], dim=1)
    assert ((outward - tight) * torch.tensor([-1, -1, 1, 1]) >= 0).all()


def test_a_tight_box_touches_the_outer_edges_of_the_object():
    mask = torch.zeros(1, 8, 8, dtype=torch.bool)
    mask[0, 2:4, 3:7] = True
    assert tight_boxes(mask, 2).tolist() == [[5.5, 3.5, 13.5, 7.5]]


def test_a_click_into_a_right_answer_confirms_it(rng):
    truth = discs(0)
    prompts = Simulator(STRIDE, rng).correct(
        Simulator(STRIDE, rng).first("box", truth), torch.where(truth, 1.0, -1.0), truth
    )
    assert (prompts.point_labels == 1).all()


def test_an_ended_object_that_is_not_found_gets_a_background_click(rng):
    nothing = torch.zeros(2, 8, 8, dtype=torch.bool)
    prompts = Simulator(STRIDE, rng).correct(
        Simulator(STRIDE, rng).first("mask", nothing, torch.zeros(2, 1, 8, 8)), torch.full((2, 8, 8), -1.0), nothing
    )
    assert (prompts.point_labels == 0).all()


def test_the_deepest_pixel_of_a_square_is_its_middle():
    mask = torch.zeros(1, 41, 41, dtype=torch.bool)
    mask[0, 10:31, 10:31] = True
    assert interiority(mask).flatten().argmax() == 20 * 41 + 20


def test_uncertain_logits_stay_within_what_a_painted_mask_has(rng):
    logits = uncertain_logits(discs(0), rng)
    assert logits.shape == (3, 1, 24, 24)
    assert logits.abs().max() <= 8


def test_a_displaced_mask_keeps_its_area(rng):
    assert displaced(discs(0), rng).sum() == discs(0).sum()


@pytest.mark.parametrize("kind", ["mask", "mask+box+point"])
def test_mask_kinds_carry_the_given_logits(rng, kind):
    previous = torch.randn(3, 1, 24, 24)
    assert Simulator(STRIDE, rng).first(kind, discs(0), previous).mask_input is previous


def test_kinds_are_drawn_by_their_shares(rng):
    drawn = [draw_kind({"point": 3.0, "box": 1.0}, rng) for _ in range(400)]
    assert drawn.count("point") == pytest.approx(300, abs=40)
