"""Tables of walks with known scores."""

from napari_sam.evaluation.reliability import PlaneScore
from napari_sam.evaluation.throughput import Throughput, measure_throughput
from napari_sam.evaluation.walk_report import (
    corrections_table,
    false_planes_table,
    mean_iou_table,
    reliability_table,
    throughput_table,
)
from napari_sam.evaluation.walks import WalkScore


def score(way, iou, object_id=1, before=0, after=0):
    return WalkScore(object_id, way, iou, before, after, 10)


SCORES = {
    "one": [
        score("click + box", 0.5, before=1),
        score("click + box", 0.7, object_id=2, after=3),
        score("re-prompted: box, overlap 0.5", 0.4),
        score("re-prompted: box, overlap 0.6", 0.45),
        score("weakest, 1 corrected", 0.8),
        score("random, 1 corrected", 0.5),
        score("random, 1 corrected", 0.7),
        score("random, 1 corrected", 1.0, object_id=2),
    ],
    "two": [score("click + box", 1.0)],
}


def test_means_are_listed_by_way_and_volume_and_settings_are_condensed():
    table = mean_iou_table(SCORES)
    assert "| way | one | two |" in table
    assert "| click + box | .600 | 1.000 |" in table
    assert "| re-prompted: box, best setting | .450 |  |" in table
    assert "corrected" not in table


def test_false_planes_are_counted_per_object_and_as_a_share():
    assert "| click + box | 0.5 / 1.5 (20%) | 0.0 / 0.0 (0%) |" in false_planes_table(SCORES)


def test_the_gain_by_corrections_is_told_and_objects_count_the_same():
    table = corrections_table(SCORES)
    assert "| weakest, 1 corrected | .800 (+0.200) |  |" in table
    assert "| random, 1 corrected | .800 (+0.200) |  |" in table


def test_speed_is_compared_with_one_at_a_time():
    speeds = {"one": [Throughput(1, 100, 11.0, 10.0), Throughput(20, 100, 3.0, 2.0)]}
    assert "| 20 | 50.0 (5.0x) |" in throughput_table(speeds)


def test_confidence_is_compared_with_what_is_true():
    table = reliability_table({"one": [PlaneScore(1, 0, 0.9, 0.7)], "two": []})
    assert "| 0.8 to 1.0 | .700 (1) |  |" in table
    assert "| calibration error | .200 |  |" in table


def test_all_objects_walk_in_groups_of_every_size(volume):
    speeds = list(measure_throughput(volume, objects=(1, 2, 50)))
    assert [speed.objects for speed in speeds] == [1, 2]
    assert speeds[0].masks == speeds[1].masks > 0
