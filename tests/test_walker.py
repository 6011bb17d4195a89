"""Where a walk in one direction goes on, what it keeps, and where it ends with which reason."""

from dataclasses import replace

import numpy as np
import pytest
from tests.worlds import SIDE, Hourglass, Remembering, World, anchor, as_logits, state, story, tubes

from napari_sam.crops import Crop
from napari_sam.evaluation.walks import ENDLESS
from napari_sam.sharing import settle
from napari_sam.step import StepPrompt, StopRules
from napari_sam.walker import moved_along


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


def test_an_object_of_one_plane_ends_on_both_sides():
    world = World(tubes(5, ends=(2, 3)))
    assert story(world.walk([anchor(world.truth, (2,), 1)])) == [(2, None), (3, "empty"), (1, "empty")]


def test_an_object_that_leaves_the_image_ends_at_the_border():
    truth = np.zeros((4, SIDE, SIDE), np.uint8)
    truth[:2, :5, 3:8] = 1
    world = World(truth)
    assert story(world.walk([anchor(truth, (0,), 1)])) == [(0, None), (1, None), (2, "border")]


def test_a_seed_without_pixels_does_not_walk():
    world = World(tubes())
    walked = world.walk([anchor(world.truth, (3,), 9)])
    assert story(walked) == [(3, "stop")]


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


def test_a_prompted_object_that_others_hold_is_reported():
    world = World(tubes())
    [eaten] = settle([anchor(world.truth, (3,), 1)], np.full((SIDE, SIDE), 7))
    assert story(world.walk([eaten])) == [(3, "taken")]


def test_walks_end_before_a_plane_on_which_the_object_is_said_not_to_be():
    world = World(tubes())
    not_here = state(np.zeros((SIDE, SIDE), bool), (5,), 1, score=1.0)
    walked = story(world.walk([anchor(world.truth, (3,), 1), not_here], start=2))
    assert walked == [(3, None), (5, "stop"), (4, "stop"), (2, "range")]
    assert not world.labels[5:].any()


def test_a_walk_ends_between_two_objects_although_the_model_sees_one_on_every_plane():
    """A user saw walks run on into the nucleus above."""
    world = Hourglass(tubes(9))
    walked = list(world.walk([anchor(world.truth, (0,), 1)]))
    assert [each.reason for each in walked[:4]] == [None] * 4
    assert (walked[-1].reason, walked[-1].plane) in {("presence", (z,)) for z in (4, 5, 6)}


def test_what_was_never_better_ends_nothing():
    """On poor images every predicted IoU is low: only a fall says something."""
    world = Hourglass(tubes(9), scores=[0.5] * 9)
    assert story(world.walk([anchor(world.truth, (0,), 1)]))[-1] == (8, "range")


def test_an_object_that_is_missing_on_a_plane_that_is_there_has_ended():
    world = World(tubes())
    world.truth[5][world.truth[5] == 1] = 0
    assert story(world.walk([anchor(world.truth, (4,), 1)], start=4)) == [(4, None), (5, "empty")]


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


def test_an_object_whose_place_on_a_missing_plane_others_hold_is_reported():
    world = World(tubes())
    world.labels[5][world.truth[5] == 1] = 7
    world.truth[5] = 0
    walked = list(world.walk([anchor(world.truth, (4,), 1)], start=4))
    assert story(walked) == [(4, None), (5, "taken"), (6, None), (7, "range")]
    assert not walked[1].mask.any()


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


@pytest.mark.parametrize("step", [StepPrompt(box=False), StepPrompt(mask=False), StepPrompt(mask=False, points=3)])
def test_the_policy_decides_what_is_sent(step):
    world = World(tubes())
    sent = []
    world.see = lambda plane, prompt, _: sent.append(prompt) or World.see(world, plane, prompt, _)
    list(world.walk([anchor(world.truth, (3,), 1)], step=step))
    assert {prompt.box is not None for prompt in sent} == {step.box}
    assert {prompt.mask is not None for prompt in sent} == {step.mask}
    assert {len(prompt.points) <= step.points for prompt in sent} == {True}


def test_every_plane_says_what_speaks_for_it():
    world = World(tubes(4))
    first, second, _ = (each.evidence for each in world.walk([anchor(world.truth, (1,), 1)], start=1))
    assert first.predicted_iou == 0.9
    assert np.isnan([first.overlap, first.area_ratio, first.presence, first.agreement]).all()
    assert (second.overlap, second.area_ratio) == (1.0, 1.0)
    assert 0.9 < second.presence < 1
    assert np.isnan(second.agreement)


@pytest.mark.parametrize(("apart", "left"), [(True, [1.0, 0.6]), (False, [np.nan, np.nan])])
def test_how_much_contrast_is_left_is_said_of_what_stands_apart(apart, left):
    world = Remembering(tubes(3))
    world.stands_apart = lambda plane, mask: apart
    world.truth[2, 4:9, 3:5] = 0
    walked = list(world.walk([anchor(world.truth, (0,), 1)]))
    assert [each.evidence.contrast for each in walked[1:]] == pytest.approx(left, nan_ok=True)


class Flickering(World):
    """A model that sees only the left half of what it was told on the second plane, and all of the truth elsewhere."""

    def see(self, plane, prompt, logits):
        seen = self.truth[plane] == 1
        if plane == (1,):
            seen[:, 9:] = False
        return as_logits(seen), 0.9


@pytest.mark.parametrize(("drift", "width"), [(None, 6), (0.3, 6), (0.05, 12)])
def test_what_is_missing_on_one_plane_alone_is_remembered(drift, width):
    truth = np.zeros((3, SIDE, SIDE), np.uint8)
    truth[:, 4:9, 3:15] = 1
    walked = Flickering(truth).walk([anchor(truth, (0,), 1)], step=StepPrompt(drift=drift), rules=ENDLESS)
    assert [int(found.mask.any(axis=0).sum()) for found in walked] == [12, width, 12]


def test_what_ends_is_not_remembered():
    world = World(tubes(5, ends=(0, 3)))
    walked = world.walk([anchor(world.truth, (0,), 1)], step=StepPrompt(drift=0.0))
    assert story(walked) == [(0, None), (1, None), (2, None), (3, "empty")]


class Drifting(World):
    """Two columns to the right on every plane, which shows in the image."""

    def __init__(self):
        truth = np.zeros((5, SIDE, SIDE), np.uint8)
        for z in range(5):
            truth[z, 4:9, 2 * z : 2 * z + 5] = 1
        super().__init__(truth)
        self.told = []

    def follow(self, plane, states):
        by = 2 * (plane[0] - states[0].plane[0])
        return [
            replace(each, plane=plane, mask=each.mask.shifted(0, by), logits=each.logits.shifted(0, by))
            for each in states
        ]

    def see(self, plane, prompt, logits):
        self.told.append(int(np.flatnonzero((logits > 0).any(axis=0))[0]))
        return as_logits(self.truth[plane] == 1), 0.9


def test_what_is_left_of_a_memory_and_a_mask_beside_it_is_not_said_to_be_taken():
    """Walks ended as "taken" on planes where there was no other object."""

    class Beside(World):
        def see(self, plane, prompt, logits):
            beside = np.zeros((SIDE, SIDE), bool)
            beside[4:9, 7:12] = True
            return np.where(beside, 2, -8).astype(np.float32), 0.87

    world = Beside(tubes(2))
    world.truth[world.truth == 2] = 0
    rules = StopRules(min_presence=0, min_faded_presence=0)
    walked = world.walk([anchor(world.truth, (0,), 1)], step=StepPrompt(drift=0.15), rules=rules)
    assert story(walked) == [(0, None), (1, "area")]


@pytest.mark.parametrize(("follow", "told"), [(True, [2, 4, 6, 8]), (False, [0, 2, 4, 6])])
def test_a_mask_is_looked_for_where_the_image_has_gone(follow, told):
    world = Drifting()
    walked = list(world.walk([anchor(world.truth, (0,), 1)], step=StepPrompt(follow=follow)))
    assert world.told == told
    assert [each.evidence.overlap for each in walked[1:]] == [1.0 if follow else pytest.approx(3 / 7)] * 4


def test_a_shape_that_would_leave_the_plane_with_all_its_pixels_stays_where_it_was():
    """Two specks were followed into a corner: their contrast there was the mean of nothing, and numpy warned."""
    specks, corner = np.zeros((2, SIDE, SIDE), bool)
    specks[[4, 12], [12, 4]] = corner[0, 0] = True
    assert moved_along(Crop.of(specks), Crop.of(corner)) == Crop.of(specks)
