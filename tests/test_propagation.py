"""Walks through a made-up world in which the model sees the truth, so that only the walk can be wrong."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import label
from tests.worlds import SIDE, World, anchor, state, story, tubes

from napari_sam.step import StopRules

ANYTHING_GOES = StopRules(
    min_predicted_iou=0,
    max_area_ratio=np.inf,
    min_overlap=0,
    min_presence=0,
    min_faded_presence=0,
)


class Noise(World):
    """A model that sees something else for every object on every plane, but always the same."""

    def see(self, plane, prompt, logits):
        rng = np.random.default_rng([*plane, prompt.object_id])
        return rng.normal(size=(SIDE, SIDE)).astype(np.float32), 0.9


def test_an_object_arrives_on_every_plane():
    world = World(tubes())
    list(world.walk([anchor(world.truth, (3,), 1)]))
    np.testing.assert_array_equal(world.labels, np.where(world.truth == 1, 1, 0))


def test_the_seed_comes_first_then_plane_by_plane_up_and_down():
    world = World(tubes(5))
    walked = world.walk([anchor(world.truth, (2,), 1)])
    assert story(walked) == [(2, None), (3, None), (4, "range"), (1, None), (0, "range")]


def test_objects_that_touch_everywhere_stay_what_they_are():
    world = World(np.zeros((5, SIDE, SIDE), np.uint8))
    for number in range(4):
        world.truth[:, 4 * number : 4 * number + 4] = number + 1
    list(world.walk([anchor(world.truth, (2,), i) for i in (1, 2, 3, 4)]))
    np.testing.assert_array_equal(world.labels, world.truth)


def test_all_objects_of_a_plane_are_decoded_in_one_batch():
    world = World(tubes(4))
    list(world.walk([anchor(world.truth, (0,), 1), anchor(world.truth, (0,), 2)]))
    assert world.batches == [((1,), 2), ((2,), 2), ((3,), 2)]


def test_a_voxel_of_another_object_is_never_claimed():
    world = World(tubes())
    world.labels[5, 4:6, 3:8] = 7
    before = world.labels.copy()
    walked = list(world.walk([anchor(world.truth, (3,), 1)]))
    np.testing.assert_array_equal(world.labels == 7, before == 7)
    assert all((world.labels[each.plane] == 1)[each.mask].all() for each in walked)


def test_an_anchor_is_never_overwritten_and_walks_meet_it():
    world = World(tubes())
    painted = np.zeros((SIDE, SIDE), bool)
    painted[5:8, 4:7] = True
    hand = state(painted, (5,), 1, score=1.0)
    walked = story(world.walk([anchor(world.truth, (2,), 1), hand]))
    np.testing.assert_array_equal(world.labels[5] == 1, painted)
    assert walked == [(2, None), (5, None), (6, None), (7, "range"), (4, None), (3, "anchor"), (1, None), (0, "range")]


def test_a_walk_keeps_the_other_axes_fixed():
    truth = np.stack([tubes(4), np.zeros_like(tubes(4)), tubes(4)])  # (t, z, y, x)
    world = World(truth)
    along_z = [each.plane for each in world.walk([anchor(truth, (2, 1), 1)], axis=1)]
    assert along_z == [(2, 1), (2, 2), (2, 3), (2, 0)]
    strict = StopRules(max_missing=0)
    along_t = [(each.plane, each.reason) for each in world.walk([anchor(truth, (2, 1), 2)], axis=0, rules=strict)]
    assert along_t == [((2, 1), None), ((1, 1), "empty")]


def test_objects_with_different_fixed_axes_walk_on_their_own():
    truth = np.stack([tubes(4), tubes(4)])
    world = World(truth)
    list(world.walk([anchor(truth, (0, 1), 1), anchor(truth, (1, 3), 1)], axis=1))
    np.testing.assert_array_equal(world.labels, np.where(truth == 1, 1, 0))


def test_closing_a_walk_stops_the_work():
    world = World(tubes())
    walk = world.walk([anchor(world.truth, (3,), 1)])
    next(walk), next(walk)
    walk.close()
    assert world.encoded == [(4,)]


STARTS = st.sets(st.tuples(st.integers(0, 5), st.integers(1, 4)), min_size=1, max_size=6)


def noisy_anchors(starts):
    """Anchors at (position, object id) that do not overlap on a plane: each object has its quarter."""
    for position, object_id in starts:
        mask = np.zeros((SIDE, SIDE), bool)
        mask[4 * object_id - 4 : 4 * object_id, 2:14] = True
        yield state(mask, (position,), object_id)


@given(STARTS, st.integers(0, 99))
def test_ids_never_merge_and_anchors_and_foreign_voxels_stay(starts, seed):
    world = Noise(np.zeros((6, SIDE, SIDE), np.uint8))
    world.labels[np.random.default_rng(seed).random(world.labels.shape) < 0.2] = 9
    anchors = list(noisy_anchors(starts))
    for each in anchors:
        world.labels[each.plane][each.mask.full()] = 0
    foreign = world.labels == 9
    walked = list(world.walk(anchors, rules=ANYTHING_GOES))
    np.testing.assert_array_equal(world.labels == 9, foreign)
    for (object_id, plane), mask in {(w.object_id, w.plane): w.mask for w in walked}.items():
        np.testing.assert_array_equal(world.labels[plane] == object_id, mask)
    for each in anchors:
        np.testing.assert_array_equal(world.labels[each.plane] == each.object_id, each.mask.full())


@given(STARTS)
def test_a_plane_of_an_object_comes_again_only_if_it_has_lost_something(starts):
    world = Noise(np.zeros((6, SIDE, SIDE), np.uint8))
    earlier = {}
    for each in world.walk(list(noisy_anchors(starts)), rules=ANYTHING_GOES):
        before = earlier.get((each.plane, each.object_id))
        assert before is None or (each.mask < before).any()
        assert before is None or not (each.mask > before).any()
        earlier[each.plane, each.object_id] = each.mask


@given(st.integers(0, 7), st.integers(0, 3), st.integers(5, 8))
def test_reversed_propagation_covers_the_same_planes(seed_plane, first, last):
    truth = tubes(8, ends=(min(first, seed_plane), max(last, seed_plane + 1)))
    world, mirrored = World(truth), World(truth[::-1])
    list(world.walk([anchor(truth, (seed_plane,), i) for i in (1, 2)]))
    list(mirrored.walk([anchor(truth[::-1], (7 - seed_plane,), i) for i in (1, 2)]))
    np.testing.assert_array_equal(world.labels, mirrored.labels[::-1])


def test_a_changed_anchor_walks_to_its_neighbours_only():
    world = World(tubes(12, ends=(0, 12)))
    anchors = [anchor(world.truth, (z,), 1) for z in (1, 4, 8, 11)]
    walked = [z for z, _ in story(world.walk(anchors, changed=[(4,)]))]
    assert walked == [1, 4, 8, 11, 7, 6, 5, 3, 2]


def test_an_object_without_a_changed_anchor_does_not_walk():
    world = World(tubes(4))
    anchors = [anchor(world.truth, (0,), 1), anchor(world.truth, (3,), 2)]
    walked = [(each.object_id, each.plane[0]) for each in world.walk(anchors, changed=[(3,)])]
    assert walked == [(1, 0), (2, 3), (2, 2), (2, 1), (2, 0)]


@given(STARTS, st.integers(0, 99))
def test_of_largest_components_there_is_one_on_a_plane(starts, seed):
    """Whatever splits an object: the model, voxels of others, objects beside it, or the meeting of two walks."""
    world = Noise(np.zeros((6, SIDE, SIDE), np.uint8))
    world.labels[np.random.default_rng(seed).random(world.labels.shape) < 0.1] = 9
    anchors = list(noisy_anchors(starts))
    prompted = {(each.object_id, each.plane) for each in anchors}
    for found in world.walk(anchors, rules=ANYTHING_GOES, components="largest"):
        assert label(found.mask)[1] <= 1 or (found.object_id, found.plane) in prompted


def test_what_an_earlier_walk_has_left_is_cleared_where_the_new_one_does_not_come():
    world = World(tubes(8, ends=(2, 5)))
    world.labels[0, :2, :2] = world.labels[6:, 4:9, 3:8] = 1
    world.labels[7, 12, 12] = 5
    walked = story(world.walk([anchor(world.truth, (3,), 1)], stop=7))
    assert walked[-2:] == [(0, "cleared"), (6, "cleared")]
    np.testing.assert_array_equal(world.labels[:7] == 1, world.truth[:7] == 1)
    assert (world.labels[7] == 1).any()
    assert world.labels[7, 12, 12] == 5


def test_what_an_earlier_walk_has_left_of_an_object_stops_no_other_one():
    """A nucleus that had run over its neighbour was corrected, and the neighbour still ended there as "taken"."""
    world = World(tubes())
    world.labels[5][world.truth[5] == 1] = 2
    list(world.walk([anchor(world.truth, (3,), 1), anchor(world.truth, (7,), 2)]))
    np.testing.assert_array_equal(world.labels, world.truth)


@given(STARTS)
def test_walking_again_changes_nothing(starts):
    world = Noise(np.zeros((6, SIDE, SIDE), np.uint8))
    list(world.walk(list(noisy_anchors(starts)), rules=ANYTHING_GOES))
    before = world.labels.copy()
    list(world.walk(list(noisy_anchors(starts)), rules=ANYTHING_GOES))
    np.testing.assert_array_equal(world.labels, before)


def test_outside_of_a_gap_that_changed_nothing_is_cleared():
    world = World(tubes(12, ends=(0, 12)))
    world.labels[:] = world.truth == 1
    list(world.walk([anchor(world.truth, (z,), 1) for z in (1, 4, 8)], changed=[(4,)]))
    np.testing.assert_array_equal(world.labels, world.truth == 1)
