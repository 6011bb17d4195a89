"""Scores of walks that are known beforehand."""

from dataclasses import replace

import numpy as np
import pytest

from napari_sam.crops import Crop
from napari_sam.evaluation.reliability import PlaneScore, calibration_error, reliability, score_confidence
from napari_sam.evaluation.scores import Target
from napari_sam.evaluation.walks import by_position, score_walk

ONE = Target(1, (3,))


def score(volume, masks):
    return score_walk(volume, (ONE, "some way", masks))


def test_the_truth_scores_one_and_has_no_false_planes(volume):
    result = score(volume, {z: volume.mask(ONE, z) for z in range(8)})
    assert (result.iou, result.before, result.after, result.claimed) == (1, 0, 0, 6)


def test_planes_beyond_the_true_ends_are_false_and_cost_iou(volume):
    mask = volume.mask(ONE, 3)
    result = score(volume, dict.fromkeys(range(8), mask))
    assert (result.before, result.after, result.claimed) == (1, 1, 8)
    assert result.iou == 6 / 8


def test_planes_without_a_mask_are_missing(volume):
    assert score(volume, {3: volume.mask(ONE, 3)}).iou == 1 / 6
    assert score(volume, {}).iou == 0


def test_the_extent_of_an_object_ends_at_a_gap(volume):
    volume.truth.setflags(write=True)
    apart = volume.truth.copy()
    apart[5] = 0
    assert type(volume)(volume.seg, apart).extent(ONE) == range(1, 5)
    assert volume.extent(ONE) == range(1, 7)


def test_each_walk_begins_with_empty_labels(volume):
    for _ in range(2):
        found = volume.walk([volume.first_prompt(ONE)])
    assert sorted(by_position(found, 1)) == list(range(8))
    assert by_position(found, 2) == {}


def test_the_confidence_of_every_plane_but_the_prompted_is_scored(volume):
    planes = list(score_confidence(volume, [ONE]))
    assert [plane.position for plane in planes] == [0, 1, 2, 4, 5, 6, 7]
    assert [plane.iou for plane in planes if plane.position in (2, 4)] == [1, 1]
    assert min(p.confidence for p in planes if p.iou == 1) > max(p.confidence for p in planes if p.iou < 1)


def test_a_mask_that_a_walk_has_taken_back_is_not_scored(volume, monkeypatch):
    """Each counted as a false plane that was trusted fully, so that walks with dips seemed to be overconfident."""
    found = volume.walk([volume.first_prompt(ONE)])
    gone = [replace(each, crop=Crop.empty(each.crop.shape), reason="dip") for each in found if each.plane == (6,)]
    monkeypatch.setattr(type(volume), "walk", lambda *args: [*found, *gone])
    assert [plane.position for plane in score_confidence(volume, [ONE])] == [0, 1, 2, 4, 5, 7]


def test_reliability_compares_confidence_and_iou_in_fifths():
    planes = [
        PlaneScore(1, z, confidence, iou) for z, (confidence, iou) in enumerate([(0.1, 0), (0.9, 0.7), (0.9, 0.9)])
    ]
    bins = reliability(planes)
    assert [count for _, _, count in bins] == [1, 0, 0, 0, 2]
    assert bins[-1][:2] == pytest.approx((0.9, 0.8))
    assert calibration_error(planes) == pytest.approx(0.1)
    assert calibration_error([]) is None
    assert np.isfinite(reliability([])).all()
