"""Conversations: how many rounds, about which objects, and what their gradients reach."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_sam.training import rounds
from napari_sam.training.rounds import View, converse, object_masks


@pytest.fixture
def sam(fresh_sam):
    return fresh_sam()


def new_rng():
    return np.random.default_rng(0)


def view(sam, labels):
    embedding = torch.zeros(1, sam.config.image_encoder.out_chans, 4, 4)
    return View(embedding.requires_grad_(), torch.as_tensor(labels))


@pytest.fixture
def labels():
    """Two objects, and a speck that is too small to be prompted for."""
    labels = np.zeros((64, 64), np.int64)
    labels[8:32, 8:32], labels[40:60, 30:60], labels[1:3, 60:62] = 1, 2, 3
    return labels


def test_only_visible_objects_are_asked_for(sam, labels, rng):
    for answer in converse(sam, [view(sam, labels)], objects=6, rng=rng):
        assert answer.logits.shape == (2, 16, 16)


def test_no_more_objects_are_asked_for_than_allowed(sam, labels, rng):
    assert next(converse(sam, [view(sam, labels)], objects=1, rng=rng)).logits.shape[0] == 1


def test_a_view_without_objects_gives_no_round(sam, labels, rng):
    assert list(converse(sam, [view(sam, labels * 0)], objects=6, rng=rng)) == []


def test_an_object_gets_about_the_mean_number_of_rounds(sam, labels):
    counts = [
        len(list(converse(sam, [view(sam, labels)], objects=1, rng=np.random.default_rng(seed)))) for seed in range(60)
    ]
    assert {1, 2, 3, 5} >= set(counts)
    assert np.mean(counts) == pytest.approx(rounds.MEAN_ROUNDS, abs=0.4)


def test_a_second_view_is_answered_even_where_all_objects_have_ended(sam, labels, rng):
    views = [view(sam, labels), view(sam, labels * 0)]
    last = list(converse(sam, views, objects=6, rng=rng))[-1]
    assert last.iou == 0
    last.loss.backward()
    assert views[1].image_embedding.grad is not None


def test_an_object_that_has_ended_is_carried_no_further(sam, labels):
    ended = np.where(labels == 1, labels, 0)
    answers = list(converse(sam, [view(sam, each) for each in (labels, ended, labels)], objects=6, rng=new_rng()))
    assert len(answers[-1].logits) == 1


def test_masks_are_carried_as_the_image_moves(sam, labels, monkeypatch):
    texture = gaussian_filter(np.random.default_rng(0).random((64, 72)).astype(np.float32), 6)
    texture = torch.from_numpy((texture - texture.min()) / np.ptp(texture))
    still, moved = [view(sam, labels), view(sam, labels)], []
    for shift, each in zip((0, 8), still, strict=True):  # pixels to the right: two low-res cells
        moved.append(replace(each, brightness=texture[:, 8 - shift : 72 - shift]))
    monkeypatch.setattr(rounds, "_OWN_MASK", 0)
    monkeypatch.setattr(rounds, "_CARRIED", {"mask": 1.0})

    columns = [carried_column(sam, views, monkeypatch) for views in (still, moved)]

    assert columns[1] - columns[0] == pytest.approx(2, abs=0.6)


def carried_column(sam, views, monkeypatch):
    """Return the mean column of what the decoder is first told on the second view."""
    told = []

    def listen(embedding, **prompts):
        told.extend([prompts["mask_input"]] if embedding is views[1].image_embedding else [])
        return decode(embedding, **prompts)

    decode = type(sam).decode_every_mask.__get__(sam)
    monkeypatch.setattr(sam, "decode_every_mask", listen)
    list(converse(sam, views, objects=1, rng=new_rng()))
    return float((told[0][0, 0] > 0).nonzero()[:, 1].float().mean())


def test_pieces_of_one_label_are_objects_of_their_own(sam, labels, rng):
    labels[40:60, 2:20] = 1
    assert next(converse(sam, [view(sam, labels)], objects=6, rng=rng)).logits.shape[0] == 3


def test_a_walk_reaches_the_pieces_that_it_touches():
    masks = torch.zeros(2, 8, 8, dtype=torch.bool)
    masks[:, 1:3, 1:3] = masks[:, 1:3, 5:7] = masks[0, 6, :] = True
    carried = torch.zeros_like(masks)
    carried[0, 2, 2], carried[1, 2, 5] = True, True
    reached = rounds._reached(masks, carried)
    assert reached.nonzero()[:, 0].tolist() == [0] * 4 + [1] * 4
    assert reached[0, 1:3, 1:3].all()
    assert reached[1, 1:3, 5:7].all()


def test_a_mask_that_was_lost_is_replaced_by_the_truth(monkeypatch):
    monkeypatch.setattr(rounds, "_OWN_MASK", 1)
    truth = torch.zeros(2, 16, 16, dtype=torch.bool)
    truth[:, 4:12, 4:12] = True
    logits = torch.full((2, 16, 16), -3.0)
    logits[0, 4:12, 4:10], logits[1, :4] = 3.0, 3.0
    carried = rounds._carried(logits, truth, new_rng())
    assert torch.equal(carried[0, 0], logits[0])
    assert ((carried[1, 0] > 0) & truth[1]).sum() > 20


def test_a_round_reaches_only_its_own_view(sam, labels, rng):
    views = [view(sam, labels), view(sam, labels)]
    last = list(converse(sam, views, objects=6, rng=rng))[-1]
    last.loss.backward()
    assert views[0].image_embedding.grad is None
    assert views[1].image_embedding.grad is not None


def test_a_low_res_cell_is_object_where_at_least_half_of_it_is(labels):
    masks = object_masks(torch.as_tensor(labels), torch.tensor([1, 3]), 4)
    assert masks[0].sum() == 36
    assert not masks[1].any()
