"""What lies around an object walks along unseen, and keeps what is its own."""

import numpy as np
import pytest
from tests.worlds import SIDE, World, anchor, as_logits, tubes

from napari_sam import Prompt, Segmenter
from napari_sam.neighbours import find_neighbours
from napari_sam.vision import SamVision


class Leaking(World):
    """A model that takes both tubes for one object wherever the pixels between them are not known to be another's."""

    def see(self, plane, prompt, logits):
        if logits is None:
            return super().see(plane, prompt, logits)
        other = self.truth[plane] == 2
        is_other = (logits > 0)[other].any() and not (logits > 0)[self.truth[plane] == 1].any()
        return np.where(other, 4 + 4 * is_other, as_logits(self.truth[plane] > 0) - 2 * is_other), 0.9


def walked(world, **how):
    """Masks of object 1 by plane."""
    found = world.walk([anchor(world.truth, (0,), 1)], **how)
    return {each.plane[0]: each.mask for each in found if each.crop}


def test_what_lies_around_is_found_once_and_is_nobody_that_a_user_knows():
    world = World(tubes())
    (other,) = find_neighbours([anchor(world.truth, (0,), 1)], world, world.labels.__getitem__)
    assert other.object_id < 0
    np.testing.assert_array_equal(other.mask.full(), world.truth[0] == 2)


def test_what_was_committed_or_prompted_is_no_neighbour():
    world = World(tubes())
    both = [anchor(world.truth, (0,), 1), anchor(world.truth, (0,), 2)]
    assert find_neighbours(both, world, world.labels.__getitem__) == []
    world.labels[0][world.truth[0] == 2] = 7
    assert find_neighbours(both[:1], world, world.labels.__getitem__) == []


def test_around_what_stands_apart_nothing_is_looked_for(monkeypatch):
    world = World(tubes())
    monkeypatch.setattr(world, "stands_apart", lambda plane, mask: True)
    assert find_neighbours([anchor(world.truth, (0,), 1)], world, world.labels.__getitem__) == []
    assert not world.encoded


def test_what_is_behind_everything_is_no_neighbour():
    world = World(np.full((1, SIDE, SIDE), 2, np.uint8))
    world.truth[0, 7:9, 7:9] = 1
    assert find_neighbours([anchor(world.truth, (0,), 1)], world, world.labels.__getitem__) == []


def test_each_object_is_looked_around_where_it_is_largest_among_the_planes_that_count():
    world = World(tubes())
    world.truth[1, 4:9, 3:4] = 0
    anchors = [anchor(world.truth, (z,), 1) for z in (1, 0)]
    get_labels = world.labels.__getitem__
    assert {each.plane for each in find_neighbours(anchors, world, get_labels)} == {(0,)}
    assert {each.plane for each in find_neighbours(anchors, world, get_labels, changed={(1,)})} == {(1,)}


def test_an_object_does_not_run_over_into_a_neighbour_that_walks_along():
    world = Leaking(tubes())
    assert all((mask & (world.truth[z] == 2)).any() for z, mask in walked(world).items() if z > 0)

    world = Leaking(tubes())
    held = walked(world, neighbours=True)
    assert set(held) == set(range(len(world.truth)))
    assert not any((mask & (world.truth[z] == 2)).any() for z, mask in held.items())


def test_neighbours_are_neither_told_of_nor_written():
    world = Leaking(tubes())
    found = list(world.walk([anchor(world.truth, (3,), 1)], neighbours=True))
    assert {each.object_id for each in found} == {1}
    assert set(np.unique(world.labels)) == {0, 1}


def test_neighbours_go_no_farther_than_the_objects():
    world = World(tubes(ends=(0, 3)))
    list(world.walk([anchor(world.truth, (0,), 1)], neighbours=True))
    assert max(plane for (plane,) in world.encoded) == 3


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_two_spheres_that_touch_are_held_apart_by_the_model_in_the_package(dtype, monkeypatch):
    """The one that is prompted is cut off at the other one's outline; the labels hold nothing else."""
    monkeypatch.setattr(SamVision, "stands_apart", lambda self, plane, mask: False)  # in the dark, they do
    z, y, x = np.ogrid[:8, :64, :64]
    spheres = [(z - 4) ** 2 * 9 + (y - 32) ** 2 + (x - middle) ** 2 < 14**2 for middle in (19, 45)]
    image = np.where(spheres[0] | spheres[1], 200, 30) + np.random.default_rng(0).normal(0, 8, (8, 64, 64))
    seg = Segmenter(image.astype(np.float32), labels=np.zeros(image.shape, dtype))
    found = list(seg.propagate([Prompt((4,), box=[[18, 5], [45, 32]])], neighbours=True))
    assert {each.object_id for each in found} == {1}
    assert set(np.unique(seg.labels)) == {0, 1}
    assert (seg.labels == 1)[spheres[0]].mean() > 0.6
    assert (seg.labels == 1)[spheres[1]].mean() < 0.1
