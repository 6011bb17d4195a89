"""The longer and the worse a walk goes, the less likely is it that it still has its object."""

import pytest

from napari_sam.evidence import Evidence
from napari_sam.presence import Course

GOOD = Evidence(predicted_iou=0.9, overlap=0.9)


def along(*steps):
    course = Course()
    for step in steps:
        course = course.after(step)
    return course


def test_before_the_first_step_the_object_is_there():
    assert Course().presence == 1


def test_many_good_steps_are_hardly_doubted_and_one_bad_step_is():
    assert along(*[GOOD] * 5).presence > 0.8
    assert along(*[GOOD] * 4, Evidence(predicted_iou=0.5, overlap=0.3)).presence < 0.6


def test_a_long_walk_does_not_end_of_its_length():
    assert along(*[GOOD] * 200).presence == pytest.approx(along(*[GOOD] * 10).presence)


def test_a_fall_is_measured_from_the_best_of_the_walk():
    seen = along(GOOD, Evidence(predicted_iou=0.7, overlap=0.9)).features(Evidence(predicted_iou=0.74, overlap=0.9))
    assert seen["iou_fall"] == pytest.approx(0.16**0.5)
    assert seen["iou_change"] == pytest.approx(0.04)


def test_an_object_that_always_overlaps_little_is_not_doubted_for_it():
    fast = Evidence(predicted_iou=0.9, overlap=0.3)
    assert along(fast, fast).features(fast)["overlap_fall"] == 0
    assert along(GOOD, GOOD).features(fast)["overlap_fall"] == pytest.approx(0.6)


def test_a_step_as_before_has_nothing_but_the_constant():
    assert along(GOOD, GOOD).features(GOOD) == {
        "constant": 1,
        "iou_fall": 0,
        "iou_change": pytest.approx(0),
        "overlap_fall": pytest.approx(0),
    }
