"""Scores of models that know the truth, or nothing at all."""

from types import SimpleNamespace

import numpy as np
import pytest

from napari_sam import MaskPrediction, PlaneMask, Segmenter
from napari_sam.crops import Crop
from napari_sam.evaluation.scores import (
    Target,
    first_prompt,
    iou,
    plane_targets,
    score_plane,
    score_stack,
    score_volume,
    volume_targets,
)

TRUTH = np.zeros((8, 30, 40), np.uint16)
TRUTH[1:7, 4:14, 5:15] = 1
TRUTH[2:5, 18:26, 20:36] = 2
TRUTH[7, 0, 0] = 3
IMAGE = (TRUTH > 0) * 100.0


def decoder(answer, predicted=0.9):
    """Decode each prompt into what `answer` makes of its number of clicks and its true mask."""

    def decode(prompts, *, mask_input=None):
        masks = [answer(len(prompt.points), TRUTH[prompt.plane] == prompt.object_id) for prompt in prompts]
        logits = np.zeros((1, 8, 8), np.float32)
        return [MaskPrediction(mask[None], np.array([predicted], np.float32), logits, None) for mask in masks]

    return decode


def mean(scores, way):
    return np.mean([score.iou for score in scores if score.way == way])


class Oracle:
    """A segmenter that finds the truth, on the first `planes` planes of the stack."""

    def __init__(self, planes):
        self.labels = np.zeros_like(TRUTH)
        self.planes = planes

    def propagate(self, prompts):
        assert not self.labels.any()
        self.labels[:] = 1
        for z in range(self.planes):
            yield PlaneMask(prompts[0].object_id, (z,), Crop.of(TRUTH[z] == prompts[0].object_id), 0.8)


def test_iou_of_two_empty_masks_is_one():
    assert iou(TRUTH[0] == 1, TRUTH[0] == 2) == 1
    assert iou(TRUTH[3] == 1, TRUTH[3] == 2) == 0


def test_an_oracle_scores_one_in_every_way_of_prompting():
    scores = list(
        score_plane(decoder(lambda clicks, mask: mask), IMAGE[3], TRUTH[3], [Target(1, (3,)), Target(2, (3,))])
    )
    for way in ("1 click", "1 click, best mask", "3 clicks", "5 clicks", "box", "box + 1 click"):
        assert mean(scores, way) == 1
    assert [score.predicted for score in scores if score.way == "box"] == pytest.approx([0.9, 0.9])


def test_baselines_are_scored_beside_and_predict_nothing():
    scores = list(score_plane(decoder(lambda clicks, mask: ~mask), IMAGE[3], TRUTH[3], [Target(1, (3,))]))
    assert mean(scores, "box") == 0
    assert mean(scores, "Otsu under the click") == mean(scores, "Otsu in the box") == 1
    assert 0.7 < mean(scores, "ellipse in the box") < 0.85
    assert all(score.predicted is None for score in scores if "Otsu" in score.way)


def test_clicks_correct_the_mask_until_it_is_right():
    def halved(clicks, mask):
        return mask if clicks >= 3 else mask & (np.arange(40) < 10)

    scores = list(score_plane(decoder(halved), IMAGE[3], TRUTH[3], [Target(1, (3,))]))
    assert [mean(scores, way) for way in ("1 click", "3 clicks", "5 clicks")] == [0.5, 1, 1]


def test_clicks_refine_the_logits_of_the_mask_before():
    seen = []

    def decode(prompts, *, mask_input=None):
        seen.append((len(prompts[0].points), prompts[0].box is not None, mask_input and mask_input[0] is not None))
        return decoder(lambda clicks, mask: mask ^ True)(prompts)

    list(score_plane(decode, IMAGE[3], TRUTH[3], [Target(1, (3,))]))
    assert seen[:5] == [(n, False, n > 1) for n in range(1, 6)]
    assert seen[5:] == [(0, True, None), (1, True, None)]


def test_a_volume_is_scored_over_all_planes():
    scores = list(score_volume(Oracle(8), TRUTH, [Target(1, (4,)), Target(2, (3,))]))
    assert mean(scores, "3D, click + box") == mean(scores, "3D, click") == 1
    assert mean(scores, "3D, copied mask") == mean(scores, "3D, copied truth") == 1
    assert {score.predicted for score in scores if score.way == "3D, each plane"} == {0.8}


def test_planes_that_were_not_reached_count_as_missed():
    scores = list(score_volume(Oracle(5), TRUTH, [Target(1, (4,))]))
    assert mean(scores, "3D, click + box") == pytest.approx(4 / 6)
    assert mean(scores, "3D, copied mask") == 1


def test_a_given_click_is_used():
    assert first_prompt(TRUTH, Target(1, (3,), (5, 6)), box=False).points == ((5, 6),)
    assert first_prompt(TRUTH, Target(1, (3,))).box == ((4, 5), (13, 14))


def test_slivers_and_short_objects_are_left_out():
    assert {target.object_id for target in plane_targets(TRUTH)} == {1, 2}
    assert volume_targets(TRUTH) == [Target(1, (4,))]


def test_a_draw_is_deterministic_and_in_order():
    drawn = plane_targets(TRUTH, count=4, seed=5)
    assert drawn == plane_targets(TRUTH, count=4, seed=5)
    assert drawn == [target for target in plane_targets(TRUTH) if target in drawn]
    assert len(drawn) == 4


def test_a_stack_is_scored_with_a_real_model(tiny_sam):
    seg = Segmenter(IMAGE, tiny_sam)
    scores = list(score_stack(seg, TRUTH, objects=3, volumes=1))
    assert len([score for score in scores if score.way == "box"]) == 3
    assert len([score for score in scores if score.way == "3D, click"]) == 1
    assert all(0 <= score.iou <= 1 for score in scores)


def test_volumes_alone_can_be_scored(tiny_sam):
    scores = list(score_stack(Segmenter(IMAGE, tiny_sam), TRUTH, objects=0, volumes=1))
    assert {score.way[:2] for score in scores} == {"3D"}


@pytest.mark.parametrize(("truth", "volumes"), [(TRUTH, 0), (TRUTH[0], 20)])
def test_nothing_to_score_is_refused_by_the_numbers_and_not_by_the_labels(truth, volumes):
    """Who asked for no object was told that the labels hold none."""
    with pytest.raises(ValueError, match=f"objects 0 and volumes {volumes} .* ask for one or more"):
        score_stack(SimpleNamespace(labels=truth, orientation="xy"), truth, objects=0, volumes=volumes)


def test_labels_that_do_not_fit_the_image_are_refused_at_once():
    seg = SimpleNamespace(labels=np.zeros((8, 30, 41)))
    with pytest.raises(ValueError, match="must have the spatial shape"):
        score_stack(seg, TRUTH)
    with pytest.raises(ValueError, match="hold no object"):
        score_stack(SimpleNamespace(labels=TRUTH, orientation="xy"), np.zeros_like(TRUTH))
