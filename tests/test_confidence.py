"""Walks with known evidence: what is trusted, and where to look first."""

import numpy as np
import pytest

from napari_sam import Evidence, PlaneMask, confidences, weakest
from napari_sam.crops import Crop

FULL, EMPTY = Crop.of(np.ones((4, 4), bool)), Crop.empty((4, 4))
GOOD = {"predicted_iou": 0.95, "overlap": 0.9, "area_ratio": 1.0}
BAD = {"predicted_iou": 0.5, "overlap": 0.3, "area_ratio": 2.5}


def anchor(position, predicted_iou=1.0):
    return PlaneMask(1, (position,), FULL, predicted_iou, None, Evidence(predicted_iou=predicted_iou))


def step(position, evidence=GOOD, mask=FULL, object_id=1, **more):
    return PlaneMask(object_id, (position,), mask, evidence["predicted_iou"], None, Evidence(**{**evidence, **more}))


def positions(chosen):
    return [each.plane[0] for each in chosen]


def test_confidences_lie_between_0_and_1_and_keep_the_order():
    walk = [anchor(0), step(1), step(2, BAD), step(3, BAD, EMPTY)]
    one, good, bad, end = confidences(walk)
    assert one == 1
    assert 0 < bad < good < 1
    assert 0 < end < 1
    assert confidences(walk[::-1]) == pytest.approx([end, bad, good, one])


def test_a_prompted_anchor_is_trusted_as_the_model_trusts_it():
    assert confidences([anchor(0, 0.7)]) == [0.7]


def test_a_mask_behind_a_weak_one_is_trusted_less():
    strong = confidences([anchor(0), step(1), step(2)])[2]
    weak = confidences([anchor(0), step(1, BAD), step(2)])[2]
    assert weak < strong


def test_a_mask_far_from_an_anchor_is_trusted_less_until_there_is_one_nearby():
    walk = [anchor(0), *(step(z) for z in range(1, 10))]
    assert np.all(np.diff(confidences(walk)) < 0)
    assert confidences([*walk, anchor(10)])[9] > confidences(walk)[9]


def test_walks_that_agree_are_trusted_more():
    apart, alike = (confidences([anchor(0), step(1, agreement=a), anchor(2)])[1] for a in (0.1, 0.9))
    assert apart < alike


def test_a_bridged_plane_is_trusted_as_the_less_trusted_one_beside_it():
    """A plane that was missing was the surest of all."""
    bridged = PlaneMask(1, (2,), FULL, 0.9, "bridged")
    walk = [anchor(0), step(1), bridged, step(3, BAD), step(4)]
    trust = confidences(walk)
    assert trust[2] == trust[3] < trust[1]
    assert confidences(walk[::-1]) == trust[::-1]


def test_what_was_taken_back_is_not_sure():
    """The first mask of a plane that came twice had a confidence of 1."""
    trust = confidences([anchor(0), step(1), step(1, BAD)])
    assert trust[1] == trust[2] < 1


def test_evidence_that_is_not_finite_gives_a_number():
    odd = step(1, {"predicted_iou": 0.9, "overlap": 0.0, "area_ratio": 0.0})
    assert np.isfinite(confidences([odd])).all()


def test_the_weakest_plane_is_where_a_doubtful_stretch_begins():
    walk = [anchor(0), *(step(z) for z in range(1, 6)), *(step(z, BAD) for z in range(6, 12))]
    assert positions(weakest(walk, 1))[0] in (5, 6, 7)


def test_the_weakest_planes_are_not_neighbours():
    doubtful = [step(z, BAD if z in (3, 4, 5, 23, 24, 25) else GOOD) for z in range(1, 30) if z != 14]
    walk = [anchor(0), *doubtful, anchor(14), anchor(30)]
    first, second = sorted(positions(weakest(walk, 2)))
    assert first <= 6
    assert second >= 20


def test_anchors_are_never_chosen():
    walk = [anchor(0, 0.1), step(1), anchor(2, 0.1)]
    assert positions(weakest(walk, 5)) == [1]
    assert weakest([], 3) == []


def test_a_plane_where_no_walk_came_changes_nothing():
    walk = [anchor(0), *(step(z) for z in range(1, 10))]
    cleared = PlaneMask(1, (12,), EMPTY, 1.0, "cleared")
    assert confidences([*walk, cleared]) == [*confidences(walk), 1.0]
    assert 12 not in positions(weakest([*walk, cleared], 20))


def test_objects_are_compared_and_planes_of_other_axes_kept_apart():
    sure = [PlaneMask(2, (0,), FULL, 1.0, None, Evidence(predicted_iou=1.0)), step(1, object_id=2)]
    assert [each.object_id for each in weakest([anchor(0), step(1, BAD), *sure], 1)] == [1]
    in_time = [
        PlaneMask(1, (t, z), FULL, 0.9, None, Evidence(**(GOOD if t else {"predicted_iou": 0.9})))
        for z in (0, 1)
        for t in (0, 1, 2)
    ]
    once = confidences(in_time[:3], axis=0)
    assert confidences(in_time, axis=0) == pytest.approx(once * 2)
