"""Objects above each other are told apart by the light between them."""

import numpy as np
import pytest
from tests.worlds import SIDE, Remembering, anchor, as_logits, story, tubes

from napari_sam.step import StopRules


class Stacked(Remembering):
    """Bright objects above each other: the model sees one on every plane, but light tells where they part."""

    def __init__(self, truth, light):
        super().__init__(truth)
        self.light = light

    def contrast(self, plane, mask, *, least=0.0):
        return np.array([float(self.light[plane[0]])])

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
