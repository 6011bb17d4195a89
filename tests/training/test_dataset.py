"""Crops: they show objects, their two views share ids, and a batch has about its number of pixels."""

from itertools import pairwise

import numpy as np
import pytest

from napari_sam.training import dataset
from napari_sam.training.dataset import CROP, Source, draw_batch, draw_crop


@pytest.fixture
def stack():
    """Two bright squares that shift by a pixel from plane to plane; ids 1 and 2."""
    labels = np.zeros((6, 90, 90), np.int32)
    for z in range(6):
        labels[z, 20 + z : 40 + z, 20:40] = 1
        labels[z, 50:80, 50 + z : 80 + z] = 2
    return Source("squares", [labels * 100 + 20], [labels], weight=1.0, zoom=1.0)


def test_a_crop_shows_an_object(stack):
    for seed in range(10):
        crop = draw_crop([stack], views=1, size=64, rng=np.random.default_rng(seed))
        assert crop.images.shape == (1, 3, 64, 64)
        assert crop.labels.any()


def test_the_views_of_a_chain_share_ids(stack, monkeypatch):
    monkeypatch.setattr(dataset, "_GONE", 0)
    for seed in range(10):
        first, second = draw_crop([stack], views=2, size=64, rng=np.random.default_rng(seed)).labels
        ids = set(first.unique().tolist()) & set(second.unique().tolist()) - {0}
        assert ids
        for i in ids:
            moved = (first == i).nonzero().float().mean(0) - (second == i).nonzero().float().mean(0)
            assert moved.norm() < 40


def test_a_chain_goes_on_in_one_direction(stack, monkeypatch):
    """The squares shift with the plane, so the order of the planes can be read off the first one's centre."""
    monkeypatch.setattr(dataset, "_GONE", 0)
    monkeypatch.setattr(dataset.Pose, "moved", lambda pose, *_, **__: pose)
    for seed in range(10):
        labels = draw_crop([stack], views=4, size=64, rng=np.random.default_rng(seed)).labels
        assert len(labels) == 4
        areas = [(view > 0).nonzero().float().mean(0) for view in labels if view.any()]
        moves = [later - earlier for earlier, later in pairwise(areas) if (later - earlier).norm() > 0.5]
        assert all((one * other).sum() > -1 for one, other in pairwise(moves))


def test_the_second_view_may_be_far_away_where_objects_have_ended(stack, monkeypatch):
    monkeypatch.setattr(dataset, "_GONE", 1)
    lone = Source("lone", [stack.images[0][:1]], [stack.labels[0][:1]], weight=1.0, zoom=1.0)
    chains = [draw_crop([lone], views=2, size=64, rng=np.random.default_rng(seed)).labels for seed in range(5)]
    assert any(set(first.unique().tolist()) - set(second.unique().tolist()) for first, second in chains)


def test_a_lone_plane_is_followed_by_itself_moved(rng, stack):
    lone = Source("lone", [stack.images[0][:1]], [stack.labels[0][:1]], weight=1.0, zoom=1.0)
    first, second = draw_crop([lone], views=2, size=64, rng=rng).labels
    assert (first != second).any()


def test_empty_planes_are_passed_over(rng, stack):
    labels = stack.labels[0].copy()
    labels[1:] = 0
    sparse = Source("sparse", stack.images, [labels], weight=1.0, zoom=1.0)
    assert draw_crop([sparse], views=1, size=64, rng=rng).labels.any()


def test_colour_sources_give_colour_crops(rng, stack):
    image = np.stack([stack.images[0].astype(np.uint8)] * 3, axis=-1)
    crop = draw_crop([Source("colour", [image], stack.labels, 1.0, 1.0)], views=1, size=64, rng=rng)
    assert crop.images.shape == (1, 3, 64, 64)


@pytest.mark.parametrize("seed", range(5))
def test_a_batch_has_about_as_many_pixels_as_asked_for(stack, seed):
    crops = draw_batch([stack], batch=4, chain_share=0.5, rng=np.random.default_rng(seed))
    assert len({crop.images.shape for crop in crops}) == 1
    assert sum(crop.labels.numel() for crop in crops) == pytest.approx(4 * CROP**2, rel=0.4)


def test_the_same_chance_gives_the_same_batch(stack):
    one, other = (draw_batch([stack], batch=1, chain_share=1, rng=np.random.default_rng(7))[0] for _ in range(2))
    assert (one.images == other.images).all()
    assert (one.labels == other.labels).all()
