"""The usual way through a stack, with a tiny model."""

import numpy as np
import pytest

from napari_sam import Prompt, Segmenter
from napari_sam.evaluation.reprompting import PROJECTIONS, Reprompted, cut, project, reprompt

MASK = np.zeros((30, 40), bool)
MASK[10:20, 12:32] = True


def step(position, predicted, overlap=1.0):
    return Reprompted(position, MASK, {"predicted IoU": predicted, "overlap": overlap})


def test_a_walk_is_cut_at_the_first_low_score_of_each_side():
    walk = [step(3, 1), step(4, 0.9), step(5, 0.6), step(6, 0.9), step(2, 0.6, 0.9), step(1, 0.75, 0.3)]
    assert sorted(cut(walk, "predicted IoU", 0.7)) == [3, 4]
    assert sorted(cut(walk, "predicted IoU", 0.5)) == [1, 2, 3, 4, 5, 6]
    assert sorted(cut(walk, "overlap", 0.5)) == [2, 3, 4, 5, 6]


def test_a_mask_is_projected_to_what_the_name_says():
    box, point, both = (project(MASK, (1,), projection) for projection in PROJECTIONS)
    assert box.box is not None
    assert not box.points
    assert box.mask is None
    assert point.points == ((14, 21),) or MASK[tuple(map(int, point.points[0]))]
    assert len(point.points) == 1
    assert both.mask is not None
    assert [MASK[round(r), round(c)] for r, c in both.points] == [label == 1 for label in both.point_labels]
    assert 0 in both.point_labels


def test_points_beside_an_object_at_the_border_stay_in_the_image():
    everything = np.ones((20, 20), bool)
    assert project(everything, (0,), "points + mask").point_labels == (1,)


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_a_walk_begins_at_the_start_and_goes_outwards(tiny_sam, projection):
    image = np.random.default_rng(0).integers(0, 200, (5, 40, 48), np.uint8)
    walk = list(reprompt(Segmenter(image, tiny_sam).cache, Prompt((2,), box=[[10, 10], [20, 25]]), projection))
    assert walk[0].position == 2
    assert [w.position for w in walk if w.position > 2] == list(range(3, 3 + sum(w.position > 2 for w in walk)))
