"""What speaks for a mask must be said as it is."""

from math import isnan

import numpy as np

from napari_sam.crops import Crop, iou
from napari_sam.evidence import Evidence

SQUARE = np.zeros((10, 10), bool)
SQUARE[2:6, 2:6] = True
BEFORE, AFTER = Crop.of(SQUARE), Crop.of(np.roll(SQUARE, 2, axis=0))
NOTHING = Crop.empty((10, 10))


def test_a_step_is_compared_with_the_plane_before():
    evidence = Evidence.of_step(BEFORE, AFTER, predicted_iou=0.8)
    assert (evidence.predicted_iou, evidence.overlap, evidence.area_ratio) == (0.8, 8 / 24, 1.0)


def test_an_object_that_vanishes_overlaps_nothing():
    evidence = Evidence.of_step(BEFORE, NOTHING, predicted_iou=0.1)
    assert (evidence.overlap, evidence.area_ratio) == (0, 0)
    assert iou(NOTHING, NOTHING) == 0


def test_two_walks_are_averaged_by_their_weight():
    up, down = Evidence(predicted_iou=0.9, presence=0.4), Evidence(predicted_iou=0.5, overlap=0.7)
    both = up.blended(down, 0.75, agreement=0.6)
    assert both.predicted_iou == 0.8
    assert (both.overlap, both.presence, both.agreement) == (0.7, 0.4, 0.6)
    assert isnan(both.area_ratio)
