"""What one plane tells the next, and when a walk ends."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_sam.crops import Crop
from napari_sam.evidence import Evidence
from napari_sam.image import Frame
from napari_sam.model.config import CONFIGS
from napari_sam.step import PlaneState, StepPrompt, StopRules, interior_points, widened_box

SHAPE = (20, 30)
MASKS = hnp.arrays(bool, (9, 11)).filter(np.any)


def box(rows, columns):
    mask = np.zeros(SHAPE, bool)
    mask[rows, columns] = True
    return mask


def state(mask, score=0.9):
    logits = Crop(SHAPE, 0, 0, np.where(mask, 8, -8).astype(np.float32), -8)
    return PlaneState(1, (3,), Crop.of(mask), score, logits, Frame(SHAPE, SHAPE, SHAPE))


BEFORE = state(box(slice(5, 15), slice(5, 15)))
AT_BORDER = state(box(slice(0, 10), slice(5, 15)))


@given(MASKS, st.integers(1, 5))
def test_interior_points_are_distinct_and_inside(mask, count):
    points = interior_points(Crop.of(mask), count)
    assert 1 <= len(points) <= count
    assert len(set(points)) == len(points)
    assert all(mask[point] for point in points)


def test_the_deepest_point_comes_first():
    assert interior_points(Crop.of(box(slice(5, 10), slice(8, 13))), 1) == [(7, 10)]


def test_the_image_border_is_not_the_inside():
    assert interior_points(Crop.of(box(slice(0, 5), slice(0, 5))), 1) == [(2, 2)]


def test_each_of_two_components_gets_a_point():
    mask = box(slice(2, 9), slice(2, 9)) | box(slice(14, 17), slice(20, 23))
    assert interior_points(Crop.of(mask), 2) == [(5, 5), (15, 21)]


def test_a_mask_that_is_covered_gives_fewer_points():
    assert interior_points(Crop.of(box(4, 4)), 3) == [(4, 4)]
    assert interior_points(Crop.of(box(slice(0, 0), 0)), 3) == []


def test_a_box_is_widened_by_a_share_of_its_sides():
    assert widened_box(Crop.of(box(slice(5, 15), slice(10, 30))), 0.1) == [[4, 8], [15, 31]]
    assert widened_box(Crop.of(box(7, 8)), 0.0) == [[7, 8], [7, 8]]


def test_a_step_sends_what_the_policy_says():
    everything = StepPrompt(points=2).prompt(BEFORE)
    assert len(everything.points) == 2
    assert everything.box is not None
    assert everything.mask == BEFORE.mask
    mask_alone = StepPrompt(box=False, points=0).prompt(BEFORE)
    assert mask_alone.points == ()
    assert mask_alone.box is None


def test_a_step_that_sends_nothing_is_refused():
    with pytest.raises(ValueError, match="send something"):
        StepPrompt(mask=False, box=False, points=0)


def test_an_object_that_stays_goes_on():
    assert StopRules().reason(BEFORE, state(box(slice(6, 16), slice(5, 15)))) is None


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (BEFORE, state(box(slice(0, 0), 0)), "empty"),
        (AT_BORDER, state(box(slice(0, 0), 0)), "border"),
        (BEFORE, state(BEFORE.mask.full(), score=0.3), "predicted_iou"),
        (BEFORE, state(box(slice(5, 8), slice(5, 8))), "area"),
        (AT_BORDER, state(box(slice(0, 3), slice(5, 8))), "border"),
        (BEFORE, state(np.ones(SHAPE, bool)), "area"),
        (BEFORE, state(box(slice(5, 15), slice(14, 24))), "overlap"),
    ],
)
def test_every_end_has_its_reason(before, after, reason):
    assert StopRules().reason(before, after) == reason


def test_what_is_probably_another_object_has_ended():
    assert StopRules().reason(BEFORE, BEFORE, Evidence(presence=0.8)) is None
    assert StopRules().reason(BEFORE, BEFORE, Evidence(presence=0.3)) == "presence"


def test_what_has_faded_is_doubted_sooner():
    assert StopRules().reason(BEFORE, BEFORE, Evidence(presence=0.7, contrast=0.9)) is None
    assert StopRules().reason(BEFORE, BEFORE, Evidence(presence=0.7, contrast=0.2)) == "contrast"
    assert StopRules().reason(BEFORE, BEFORE, Evidence(presence=0.9, contrast=0.2)) is None


def test_a_lone_mask_is_only_sent_to_a_model_that_knows_it():
    assert StepPrompt.suited_to(CONFIGS["nano"]) == StepPrompt(box=False, points=0, drift=0.15)
    assert StepPrompt.suited_to(CONFIGS["vit_b"]) == StepPrompt()


@pytest.mark.parametrize("drift", [-0.1, 1.5, 1e200, np.inf, np.nan])
def test_a_drift_that_is_none_is_refused(drift):
    with pytest.raises(ValueError, match="drift must be a number from 0 to 1"):
        StepPrompt(drift=drift)


@pytest.mark.parametrize(("doubts", "kept"), [((0.0, 0.4), True), ((0.4, 0.05), False)])
def test_of_two_masks_the_one_that_is_surer_counts_more(doubts, kept):
    was, now = state(box(slice(5, 15), slice(5, 15))), state(box(slice(5, 15), slice(5, 11)))
    expected, seen = (replace(each, doubt=doubt) for each, doubt in zip((was, now), doubts, strict=True))

    after = seen.remembering(expected, drift=0.1)

    assert after.mask == (was.mask if kept else now.mask)
    assert after.doubt < min(0.1 + expected.doubt, seen.doubt)


def test_a_mask_that_is_poorer_than_usual_counts_as_usual():
    """Else an object that ends would be kept alive by the memory of it."""
    was, now = state(box(slice(5, 15), slice(5, 15))), state(box(slice(5, 15), slice(5, 11)))
    seen = replace(now, doubt=0.9)

    assert seen.remembering(replace(was, doubt=0.1), drift=0.1).mask == was.mask
    assert seen.remembering(replace(was, doubt=0.1), drift=0.1, doubt=0.05).mask == now.mask


def test_rules_can_be_switched_off():
    off = StopRules(min_predicted_iou=0, max_area_ratio=np.inf, min_overlap=0)
    elsewhere = replace(BEFORE, mask=Crop.of(box(19, 29)), score=0.0)
    assert off.reason(BEFORE, elsewhere) is None


@pytest.mark.parametrize(("said", "believed"), [(-0.07, 0), (0.5, 0.5), (1.02, 1)])
def test_a_score_is_an_iou_whatever_the_model_says(said, believed):
    frame = Frame((16, 16), (16, 16), (16, 16))
    assert PlaneState.decoded(1, (0,), np.ones((16, 16), np.float32), said, frame).score == believed
