"""Walks through a made-up world in which the model sees the truth, so that only the walk can be wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import label

from napari_sam.crops import Crop
from napari_sam.image import Frame
from napari_sam.labels import write_masks
from napari_sam.plane_mask import latest
from napari_sam.propagation import propagate
from napari_sam.sharing import settle
from napari_sam.step import PlaneState, StepPrompt, StopRules
from napari_sam.views import Decoded

SIDE = 16
FRAME = Frame((SIDE, SIDE), (SIDE, SIDE), (SIDE, SIDE))
ANYTHING_GOES = StopRules(
    min_predicted_iou=0,
    max_area_ratio=np.inf,
    min_overlap=0,
    min_presence=0,
    min_faded_presence=0,
)


def as_logits(mask):
    return np.where(mask, 8, -8).astype(np.float32)


def state(mask, plane, object_id, score=0.9):
    logits = Crop.around(as_logits(mask), mask, outside=-8)
    return PlaneState(object_id, plane, Crop.of(mask), score, logits, FRAME)


def anchor(truth, plane, object_id):
    return state(truth[plane] == object_id, plane, object_id)


class World:
    """Truth, labels and a model that segments what lies under the first point of a prompt."""

    def __init__(self, truth):
        self.truth = truth
        self.labels = np.zeros_like(truth)
        self.encoded = []
        self.batches = []

    def decode(self, plane, prompts, mask_input):
        self.encoded.append(plane)
        self.batches.append((plane, len(prompts)))
        told = [None if given is None else given.low_res_logits for given in mask_input]
        return [Decoded(*self.see(plane, *each), FRAME) for each in zip(prompts, told, strict=True)]

    def see(self, plane, prompt, logits):
        row, column = (int(x) for x in prompt.points[0])
        under = self.truth[plane][row, column]
        return as_logits((self.truth[plane] == under) & (under != 0)), 0.9 if under else 0.1

    def contrasts(self, plane, masks, *, least=0.0):
        """Objects are as bright as the part of them that is there."""
        return [np.array([(self.truth[plane][mask.full()] > 0).mean()]) for mask in masks]

    def stands_apart(self, plane, mask):
        return False

    def resemblance(self, plane, other):
        return 1.0 if self.truth[plane].any() == self.truth[other].any() else 0.0

    def walk(self, anchors, *, axis=0, start=0, stop=None, **options):
        positions = range(start, self.truth.shape[axis] if stop is None else stop)
        get_labels = self.labels.__getitem__
        for found in propagate(anchors, self, axis=axis, positions=positions, get_labels=get_labels, **options):
            write_masks(self.labels, found[0].plane, {each.object_id: each.crop for each in found})
            yield from found


class Noise(World):
    """A model that sees something else for every object on every plane, but always the same."""

    def see(self, plane, prompt, logits):
        rng = np.random.default_rng([*plane, prompt.object_id])
        return rng.normal(size=(SIDE, SIDE)).astype(np.float32), 0.9


class Remembering(World):
    """A model that sees on every plane what it was told."""

    def see(self, plane, prompt, logits):
        return logits, 0.9


class Hourglass(Remembering):
    """One object passes into the next: the model is less sure on the planes between them, and sure again behind."""

    def __init__(self, truth, scores=(0.9, 0.9, 0.9, 0.9, 0.75, 0.65, 0.7, 0.85, 0.9)):
        super().__init__(truth)
        self.scores = scores

    def see(self, plane, prompt, logits):
        return logits, self.scores[plane[0]]


def tubes(planes=8, ends=(0, 8)):
    """Object 1 runs through the planes from ``ends[0]`` to ``ends[1]``, object 2 beside it through all."""
    truth = np.zeros((planes, SIDE, SIDE), np.uint8)
    truth[ends[0] : ends[1], 4:9, 3:8] = 1
    truth[:, 4:9, 8:13] = 2
    return truth


def story(walked):
    return [(each.plane[0], each.reason) for each in walked]


def test_an_object_arrives_on_every_plane():
    world = World(tubes())
    list(world.walk([anchor(world.truth, (3,), 1)]))
    np.testing.assert_array_equal(world.labels, np.where(world.truth == 1, 1, 0))


def test_the_seed_comes_first_then_plane_by_plane_up_and_down():
    world = World(tubes(5))
    walked = world.walk([anchor(world.truth, (2,), 1)])
    assert story(walked) == [(2, None), (3, None), (4, "range"), (1, None), (0, "range")]


def test_a_walk_ends_where_the_object_ends_and_says_why():
    world = World(tubes(8, ends=(2, 5)))
    walked = list(world.walk([anchor(world.truth, (3,), 1)]))
    assert story(walked) == [(3, None), (4, None), (5, "empty"), (2, None), (1, "empty")]
    assert not walked[2].mask.any()


def test_a_walk_keeps_to_its_range_and_encodes_nothing_else():
    world = World(tubes())
    walked = world.walk([anchor(world.truth, (3,), 1)], start=2, stop=5)
    assert story(walked) == [(3, None), (4, "range"), (2, "range")]
    assert set(world.encoded) == {(2,), (4,)}


def test_a_blank_plane_is_bridged():
    world = World(tubes())
    world.truth[5] = 0
    walked = story(world.walk([anchor(world.truth, (4,), 1)], start=4))
    assert walked == [(4, None), (5, "bridged"), (6, None), (7, "range")]
    np.testing.assert_array_equal(world.labels[5] == 1, world.truth[4] == 1)


def test_more_blank_planes_than_asked_for_end_a_walk():
    world = World(tubes())
    world.truth[4:6] = 0
    assert story(world.walk([anchor(world.truth, (3,), 1)], start=3, rules=StopRules(max_missing=1)))[-1] == (
        4,
        "empty",
    )
    assert story(world.walk([anchor(world.truth, (3,), 1)], start=3))[1:3] == [(4, "bridged"), (5, "bridged")]


def test_an_object_that_is_not_found_behind_a_blank_plane_has_ended_before_it():
    world = World(tubes(8, ends=(0, 4)))
    world.truth[4] = 0
    assert story(world.walk([anchor(world.truth, (2,), 1)], start=2))[-1] == (4, "empty")


def test_a_blank_plane_beside_an_anchor_is_bridged():
    world = World(tubes())
    world.truth[4] = 0
    list(world.walk([anchor(world.truth, (z,), 1) for z in (3, 5)]))
    np.testing.assert_array_equal(world.labels[4] == 1, world.truth[3] == 1)


def test_an_object_that_is_missing_on_a_plane_that_is_there_has_ended():
    world = World(tubes())
    world.truth[5][world.truth[5] == 1] = 0
    assert story(world.walk([anchor(world.truth, (4,), 1)], start=4)) == [(4, None), (5, "empty")]


def test_an_object_of_one_plane_ends_on_both_sides():
    world = World(tubes(5, ends=(2, 3)))
    assert story(world.walk([anchor(world.truth, (2,), 1)])) == [(2, None), (3, "empty"), (1, "empty")]


def test_objects_that_touch_everywhere_stay_what_they_are():
    world = World(np.zeros((5, SIDE, SIDE), np.uint8))
    for number in range(4):
        world.truth[:, 4 * number : 4 * number + 4] = number + 1
    list(world.walk([anchor(world.truth, (2,), i) for i in (1, 2, 3, 4)]))
    np.testing.assert_array_equal(world.labels, world.truth)


def test_an_object_that_leaves_the_image_ends_at_the_border():
    truth = np.zeros((4, SIDE, SIDE), np.uint8)
    truth[:2, :5, 3:8] = 1
    world = World(truth)
    assert story(world.walk([anchor(truth, (0,), 1)])) == [(0, None), (1, None), (2, "border")]


def test_a_seed_without_pixels_does_not_walk():
    world = World(tubes())
    walked = world.walk([anchor(world.truth, (3,), 9)])
    assert story(walked) == [(3, "stop")]


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


def test_an_object_eaten_by_another_one_is_reported():
    world = World(tubes())
    world.labels[5][world.truth[5] == 1] = 7
    assert story(world.walk([anchor(world.truth, (3,), 1)], start=3))[-1] == (5, "taken")


def test_an_object_eaten_by_one_that_walks_beside_it_is_reported():
    world = World(tubes())
    world.truth[5:, 4:9, 3:8] = 2
    walked = list(world.walk([anchor(world.truth, (3,), i) for i in (2, 1)], start=3))
    assert [(each.plane[0], each.reason) for each in walked if each.object_id == 1][-1] == (5, "taken")
    np.testing.assert_array_equal(world.labels[3:], world.truth[3:])


def test_an_object_whose_place_on_a_missing_plane_others_hold_is_reported():
    world = World(tubes())
    world.labels[5][world.truth[5] == 1] = 7
    world.truth[5] = 0
    walked = list(world.walk([anchor(world.truth, (4,), 1)], start=4))
    assert story(walked) == [(4, None), (5, "taken"), (6, None), (7, "range")]
    assert not walked[1].mask.any()


def test_a_prompted_object_that_others_hold_is_reported():
    world = World(tubes())
    [eaten] = settle([anchor(world.truth, (3,), 1)], np.full((SIDE, SIDE), 7))
    assert story(world.walk([eaten])) == [(3, "taken")]


def test_an_anchor_is_never_overwritten_and_walks_meet_it():
    world = World(tubes())
    painted = np.zeros((SIDE, SIDE), bool)
    painted[5:8, 4:7] = True
    hand = state(painted, (5,), 1, score=1.0)
    walked = story(world.walk([anchor(world.truth, (2,), 1), hand]))
    np.testing.assert_array_equal(world.labels[5] == 1, painted)
    assert walked == [(2, None), (5, None), (6, None), (7, "range"), (4, None), (3, "anchor"), (1, None), (0, "range")]


def test_every_plane_says_what_speaks_for_it():
    world = World(tubes(4))
    first, second, _ = (each.evidence for each in world.walk([anchor(world.truth, (1,), 1)], start=1))
    assert first.predicted_iou == 0.9
    assert np.isnan([first.overlap, first.area_ratio, first.presence, first.agreement]).all()
    assert (second.overlap, second.area_ratio) == (1.0, 1.0)
    assert 0.9 < second.presence < 1
    assert np.isnan(second.agreement)


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


@pytest.mark.parametrize("step", [StepPrompt(box=False), StepPrompt(mask=False), StepPrompt(mask=False, points=3)])
def test_the_policy_decides_what_is_sent(step):
    world = World(tubes())
    sent = []
    world.see = lambda plane, prompt, _: sent.append(prompt) or World.see(world, plane, prompt, _)
    list(world.walk([anchor(world.truth, (3,), 1)], step=step))
    assert {prompt.box is not None for prompt in sent} == {step.box}
    assert {prompt.mask is not None for prompt in sent} == {step.mask}
    assert {len(prompt.points) <= step.points for prompt in sent} == {True}


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


@given(st.integers(0, 7), st.integers(0, 3), st.integers(5, 8))
def test_reversed_propagation_covers_the_same_planes(seed_plane, first, last):
    truth = tubes(8, ends=(min(first, seed_plane), max(last, seed_plane + 1)))
    world, mirrored = World(truth), World(truth[::-1])
    list(world.walk([anchor(truth, (seed_plane,), i) for i in (1, 2)]))
    list(mirrored.walk([anchor(truth[::-1], (7 - seed_plane,), i) for i in (1, 2)]))
    np.testing.assert_array_equal(world.labels, mirrored.labels[::-1])


def test_walks_end_before_a_plane_on_which_the_object_is_said_not_to_be():
    world = World(tubes())
    not_here = state(np.zeros((SIDE, SIDE), bool), (5,), 1, score=1.0)
    walked = story(world.walk([anchor(world.truth, (3,), 1), not_here], start=2))
    assert walked == [(3, None), (5, "stop"), (4, "stop"), (2, "range")]
    assert not world.labels[5:].any()


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


def test_between_anchors_far_apart_the_object_moves_from_one_to_the_other():
    """Averaged logits of two discs side by side would be nothing at all halfway."""
    left, right = np.zeros((2, SIDE, SIDE), bool)
    left[5:10, 1:6] = right[5:10, 9:14] = True
    world = Remembering(np.zeros((5, SIDE, SIDE), np.uint8))
    list(world.walk([state(left, (0,), 1), state(right, (4,), 1)]))
    centres = [np.argwhere(plane)[:, 1].mean() for plane in world.labels]
    assert np.allclose(centres, [3, 5, 7, 9, 11])
    assert (world.labels.sum((1, 2)) >= 20).all()


def test_a_part_that_the_plane_before_does_not_support_is_dropped():
    world = World(tubes(3))
    world.truth[1, 12:15, 12:15] = 1
    list(world.walk([anchor(world.truth, (0,), 1)]))
    assert not world.labels[1, 12:15, 12:15].any()


def test_both_parts_of_an_object_go_on():
    world = World(np.zeros((4, SIDE, SIDE), np.uint8))
    world.truth[:, 3:7, 3:7] = world.truth[:, 3:7, 10:14] = 1
    list(world.walk([anchor(world.truth, (0,), 1)]))
    np.testing.assert_array_equal(world.labels, world.truth)


def test_one_part_of_an_object_goes_on_if_asked_to():
    world = World(np.zeros((4, SIDE, SIDE), np.uint8))
    world.truth[:, 3:8, 3:8] = world.truth[:, 3:7, 10:14] = 1
    list(world.walk([anchor(world.truth, (0,), 1)], components="largest"))
    np.testing.assert_array_equal(world.labels[0], world.truth[0])
    assert (world.labels[1:, 3:8, 3:8] == 1).all()
    assert not world.labels[1:, :, 10:].any()


def test_whatever_the_model_sees_goes_on_if_asked_to():
    world = World(tubes(3))
    world.truth[1, 12:15, 12:15] = 1
    list(world.walk([anchor(world.truth, (0,), 1)], components="all"))
    np.testing.assert_array_equal(world.labels == 1, world.truth == 1)


@given(STARTS, st.integers(0, 99))
def test_of_largest_components_there_is_one_on_a_plane(starts, seed):
    """Whatever splits an object: the model, voxels of others, objects beside it, or the meeting of two walks."""
    world = Noise(np.zeros((6, SIDE, SIDE), np.uint8))
    world.labels[np.random.default_rng(seed).random(world.labels.shape) < 0.1] = 9
    anchors = list(noisy_anchors(starts))
    prompted = {(each.object_id, each.plane) for each in anchors}
    for found in world.walk(anchors, rules=ANYTHING_GOES, components="largest"):
        assert label(found.mask)[1] <= 1 or (found.object_id, found.plane) in prompted


def test_a_walk_ends_between_two_objects_although_the_model_sees_one_on_every_plane():
    """A user saw walks run on into the nucleus above."""
    world = Hourglass(tubes(9))
    walked = list(world.walk([anchor(world.truth, (0,), 1)]))
    assert [each.reason for each in walked[:4]] == [None] * 4
    assert (walked[-1].reason, walked[-1].plane) in {("presence", (z,)) for z in (4, 5, 6)}


class Stacked(Remembering):
    """Bright objects above each other: the model sees one on every plane, but light tells where they part."""

    def __init__(self, truth, light):
        super().__init__(truth)
        self.light = light

    def contrasts(self, plane, masks, *, least=0.0):
        return [np.array([float(self.light[plane[0]])]) for _ in masks]

    def stands_apart(self, plane, mask):
        return True


TWO_PEAKS = (9, 10, 8, 5, 7, 9, 10, 9)  # the first one ends on plane 3


def test_light_that_falls_and_rises_again_is_that_of_the_next_object():
    world = Stacked(tubes(8), TWO_PEAKS)
    last = {each.plane[0]: (bool(each.crop), each.reason) for each in world.walk([anchor(world.truth, (1,), 1)])}
    assert [z for z, (found, _) in last.items() if found] == [1, 2, 0]
    assert last[3] == (False, "dip")
    assert {last[z] for z in last if z > 3} == {(False, "cleared")}
    assert max(last) < 7
    assert [z for z in range(8) if (world.labels[z] == 1).any()] == [0, 1, 2]


def test_it_is_the_same_on_the_way_down():
    world = Stacked(tubes(8), TWO_PEAKS)
    last = {each.plane[0]: each.reason for each in world.walk([anchor(world.truth, (6,), 1)]) if not each.crop}
    assert last[3] == "dip"
    assert [z for z in range(8) if (world.labels[z] == 1).any()] == [4, 5, 6, 7]


@pytest.mark.parametrize(
    "light",
    [
        pytest.param((9, 10, 9, 8.5, 9, 10, 10, 10), id="a slight dip"),
        pytest.param((10, 9, 8, 7, 6, 5, 5, 5), id="a fall alone"),
        pytest.param((10, 10, 12, 14, 15, 15, 15, 15), id="a rise alone"),
    ],
)
def test_light_that_does_not_fall_and_rise_ends_nothing(light):
    world = Stacked(tubes(8), light)
    walked = list(world.walk([anchor(world.truth, (0,), 1)], rules=StopRules(min_faded_presence=0)))
    assert [bool(each.crop) for each in walked] == [True] * 8


def test_objects_among_others_as_bright_are_not_judged_by_light():
    """The brightness of a neurite changes along its way."""
    world = Stacked(tubes(8), TWO_PEAKS)
    world.stands_apart = lambda plane, mask: False
    list(world.walk([anchor(world.truth, (1,), 1)]))
    assert (world.labels == 1).any((1, 2)).all()


def test_behind_an_anchor_at_the_dim_end_of_an_object_a_rise_is_enough():
    """A user corrected the last plane of a nucleus, and the walk ran into the next one from there."""
    world = Stacked(tubes(8), TWO_PEAKS)
    list(world.walk([anchor(world.truth, (1,), 1), anchor(world.truth, (3,), 1)]))
    assert [z for z in range(8) if (world.labels[z] == 1).any()] == [0, 1, 2, 3]


def test_it_may_rise_on_the_first_plane_behind_an_anchor():
    world = Stacked(tubes(8), (9, 10, 8, 5, 12, 12, 12, 12))
    walked = list(world.walk([anchor(world.truth, (1,), 1), anchor(world.truth, (3,), 1)]))
    assert (4, "dip") in story(walked)
    assert [z for z in range(8) if (world.labels[z] == 1).any()] == [0, 1, 2, 3]


def test_a_dip_between_two_anchors_ends_nothing():
    """The user has said that it is one object."""
    world = Stacked(tubes(8), TWO_PEAKS)
    list(world.walk([anchor(world.truth, (1,), 1), anchor(world.truth, (6,), 1)]))
    assert (world.labels == 1).any((1, 2)).all()


def test_a_dip_can_be_ignored():
    world = Stacked(tubes(8), TWO_PEAKS)
    list(world.walk([anchor(world.truth, (1,), 1)], rules=StopRules(dip=False)))
    assert (world.labels == 1).any((1, 2)).all()


def test_what_was_bridged_behind_a_dip_is_taken_back_too():
    class WithBlank(Stacked):
        def see(self, plane, prompt, logits):
            return (logits, 0.9) if self.truth[plane].any() else (as_logits(np.zeros((SIDE, SIDE), bool)), 0.1)

    world = WithBlank(tubes(8), (10, 9, 5, 0, 6, 9, 10, 10))
    world.truth[3] = 0
    walked = list(world.walk([anchor(world.truth, (0,), 1)]))
    assert (3, "bridged") in story(walked)
    assert [z for z in range(8) if (world.labels[z] == 1).any()] == [0, 1]


def test_how_much_contrast_is_left_is_said():
    world = Remembering(tubes(3))
    world.truth[2, 4:9, 3:5] = 0
    walked = list(world.walk([anchor(world.truth, (0,), 1)]))
    assert [each.evidence.contrast for each in walked[1:]] == [1.0, 0.6]


def test_what_was_never_better_ends_nothing():
    """On poor images every predicted IoU is low: only a fall says something."""
    world = Hourglass(tubes(9), scores=[0.5] * 9)
    assert story(world.walk([anchor(world.truth, (0,), 1)]))[-1] == (8, "range")


def test_what_an_earlier_walk_has_left_is_cleared_where_the_new_one_does_not_come():
    world = World(tubes(8, ends=(2, 5)))
    world.labels[0, :2, :2] = world.labels[6:, 4:9, 3:8] = 1
    world.labels[7, 12, 12] = 5
    walked = story(world.walk([anchor(world.truth, (3,), 1)], stop=7))
    assert walked[-2:] == [(0, "cleared"), (6, "cleared")]
    np.testing.assert_array_equal(world.labels[:7] == 1, world.truth[:7] == 1)
    assert (world.labels[7] == 1).any()
    assert world.labels[7, 12, 12] == 5


def test_outside_of_a_gap_that_changed_nothing_is_cleared():
    world = World(tubes(12, ends=(0, 12)))
    world.labels[:] = world.truth == 1
    list(world.walk([anchor(world.truth, (z,), 1) for z in (1, 4, 8)], changed=[(4,)]))
    np.testing.assert_array_equal(world.labels, world.truth == 1)


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
