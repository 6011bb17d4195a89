"""Walks that meet: between two anchors of one object, and between two objects above each other."""

import numpy as np
from tests.worlds import SIDE, Hourglass, Remembering, World, anchor, as_logits, state, story, tubes

from napari_sam.plane_mask import latest


def test_in_a_gap_the_agreement_of_both_walks_is_said():
    world = World(tubes(8))
    world.truth[4][world.truth[4] == 1] = 0
    walked = {each.plane[0]: each for each in world.walk([anchor(world.truth, (z,), 1) for z in (1, 3, 6)])}
    assert walked[2].evidence.agreement == 1
    assert walked[5].evidence.agreement == 0


def test_between_two_anchors_the_nearer_one_weighs_more():
    """Seen from below the object is wide, seen from above narrow: the border is where the weights are equal."""
    wide, narrow = np.zeros((2, SIDE, SIDE), bool)
    wide[4:9, 3:13] = narrow[4:9, 3:8] = True
    states = [state(mask, (z,), 1) for z, mask in ((0, wide), (5, narrow))]
    world = Remembering(np.zeros((6, SIDE, SIDE), np.uint8))
    list(world.walk(states))
    assert world.labels.sum((1, 2)).tolist() == [50, 50, 50, 25, 25, 25]


def test_where_an_object_is_absent_between_two_anchors_both_walks_end():
    truth = tubes(8, ends=(0, 5))
    truth[7, 4:9, 3:8] = 1
    walked = story(World(truth).walk([anchor(truth, (2,), 1), anchor(truth, (7,), 1)], start=2))
    assert walked == [(2, None), (7, None), (6, "empty"), (5, "empty"), (4, None), (3, "anchor")]


def test_between_anchors_far_apart_the_object_moves_from_one_to_the_other():
    """Averaged logits of two discs side by side would be nothing at all halfway."""
    left, right = np.zeros((2, SIDE, SIDE), bool)
    left[5:10, 1:6] = right[5:10, 9:14] = True
    world = Remembering(np.zeros((5, SIDE, SIDE), np.uint8))
    list(world.walk([state(left, (0,), 1), state(right, (4,), 1)]))
    centres = [np.argwhere(plane)[:, 1].mean() for plane in world.labels]
    assert np.allclose(centres, [3, 5, 7, 9, 11])
    assert (world.labels.sum((1, 2)) >= 20).all()


def stacked(world):
    """Walk from two objects above each other, where the model sees no end of either; return who is on each plane."""
    mask = world.truth[0] == 1
    walked = list(world.walk([state(mask, (1,), 1), state(mask, (8,), 2)]))
    last = {(each.object_id, each.plane[0]): each.crop.area for each in walked}
    for (object_id, z), area in last.items():
        assert (world.labels[z] == object_id).sum() == area
    return world.labels[:, 6, 6].tolist()


def test_objects_above_each_other_share_what_lies_between_them():
    """The first to walk does not take it all: the nearer anchor wins, and the model's doubt counts."""
    assert stacked(Remembering(tubes(10))) == [1] * 5 + [2] * 5
    scores = np.full(10, 0.9)
    assert stacked(Hourglass(tubes(10), np.where(np.arange(10) == 6, 0.7, scores))) == [1] * 6 + [2] * 4
    assert stacked(Hourglass(tubes(10), np.where(np.arange(10) == 3, 0.7, scores))) == [1] * 4 + [2] * 6


def test_an_object_that_lost_a_plane_keeps_nothing_beyond_it():
    """What the model saw of it there was the other one all along, even where that has not taken every pixel."""

    class Widening(World):
        def see(self, plane, prompt, logits):
            width = {1: 5, 2: 3 if plane[0] >= 6 else 4}[prompt.object_id]
            return as_logits((self.truth[plane] == 1) & (np.arange(SIDE) < 3 + width)), 0.9

    world = Widening(tubes(9))
    mask = world.truth[0] == 1
    last = {
        (each.object_id, each.plane[0]): (bool(each.crop), each.reason)
        for each in world.walk([state(mask, (1,), 1), state(mask & (np.arange(SIDE) < 6), (7,), 2)])
    }
    assert [z for z in range(9) if last.get((1, z), (False,))[0]] == [0, 1, 2, 3, 4]
    assert [last[1, z][1] for z in (5, 6)] == ["taken", "cleared"]


def test_the_last_word_on_a_plane_counts():
    world = Remembering(tubes(9))
    mask = world.truth[0] == 1
    walked = list(world.walk([state(mask, (1,), 1), state(mask, (7,), 2)]))
    last = latest(walked)
    assert len(last) < len(walked)
    for z in range(9):
        areas = {each.object_id: each.crop.area for each in last if each.plane == (z,)}
        assert areas.get(1, 0) == (world.labels[z] == 1).sum()
        assert areas.get(2, 0) == (world.labels[z] == 2).sum()
