"""What is compared with a walk must do what it says."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_sam.evaluation.baselines import interpolate
from napari_sam.evaluation.corrections import correct, correct_at_random, correct_the_weakest
from napari_sam.evaluation.scores import Target
from napari_sam.evaluation.walks import score_walk
from napari_sam.evaluation.ways import WAYS

ONE, TWO = Target(1, (3,)), Target(2, (3,))
NEED_A_MODEL = {"rival"}


def ious(volume, way):
    scores = [score_walk(volume, found) for found in way(volume, [ONE, TWO])]
    return {(score.way, score.object_id): score.iou for score in scores}


@pytest.mark.parametrize("name", sorted(WAYS.keys() - NEED_A_MODEL))
def test_every_way_finds_both_objects(volume, name):
    found = ious(volume, WAYS[name])
    assert {object_id for _, object_id in found} == {1, 2}
    assert min(found.values()) > 0


def test_what_is_given_the_true_extent_is_perfect_on_a_straight_object(volume):
    perfect = {}
    for name in ("copied", "copied by one step", "interpolated", "model"):
        perfect |= ious(volume, WAYS[name])
    assert set(perfect.values()) == {1.0}


def test_a_copy_is_moved_as_the_image_moves(volume):
    texture = gaussian_filter(np.random.default_rng(0).random((40, 80)), 2)
    volume.seg.cache.pixels = lambda plane, window: texture[5:35, 30 - 2 * plane[0] : 70 - 2 * plane[0]][window]

    (_, _, masks) = next(
        found for found in WAYS["copied"](volume, [ONE]) if found[1] == "copied mask, moved (true extent)"
    )

    columns = [np.nonzero(masks[z].any(axis=0))[0].mean() for z in (2, 3, 4, 5)]
    assert np.diff(columns) == pytest.approx(2, abs=0.6)


def test_more_true_planes_are_at_least_as_good(volume):
    assert ious(volume, WAYS["between truths"])["3 true planes", 1] > ious(volume, WAYS["true mask"])["true mask", 1]


def test_a_walk_with_known_ends_goes_neither_beyond_them_nor_less_far(volume):
    for target, _, masks in WAYS["ends known"](volume, [ONE, TWO]):
        assert sorted(masks) == list(volume.extent(target))


def test_corrections_bring_a_walk_to_the_truth(volume):
    scores = [score_walk(volume, found) for found in correct_the_weakest(volume, [ONE])]
    assert [score.way for score in scores] == [f"weakest, {count} corrected" for count in (1, 2, 4)]
    assert scores[0].iou < scores[-1].iou == 1


def test_a_corrected_plane_without_the_object_ends_the_walk(volume):
    def ends(found, count):
        return [each for each in found if each.plane[0] in (0, 7)]

    (_, _, masks) = next(correct(volume, ONE, ends, counts=[2]))
    assert sorted(masks) == [1, 2, 3, 4, 5, 6]


def test_random_corrections_are_the_same_each_time_and_counted_per_draw(volume):
    first, again = (
        [score_walk(volume, found) for found in correct_at_random(volume, [ONE], draws=2)] for _ in range(2)
    )
    assert first == again
    assert [score.way for score in first].count("random, 1 corrected") == 2


def test_no_plane_is_corrected_twice_if_the_walk_has_changed_its_mind(volume):
    propagate, corrected = volume.seg.propagate, []

    def twice(prompts, **options):
        corrected.append([prompt.plane for prompt in prompts])
        found = list(propagate(prompts, **options))
        return [*found, *found]

    volume.seg.propagate = twice
    assert len(list(correct_at_random(volume, [ONE], draws=5))) == 15
    assert all(len(set(planes)) == len(planes) for planes in corrected)


def test_interpolation_moves_the_outline_evenly():
    small, large = np.zeros((2, 21, 21), bool)
    small[8:13, 8:13] = True
    large[4:17, 4:17] = True
    between = interpolate({0: small, 4: large})
    assert sorted(between) == [0, 1, 2, 3, 4]
    assert between[0] is small
    areas = [int(between[z].sum()) for z in range(5)]
    assert areas == sorted(areas)
    assert between[2][6:15, 10].all()
    assert not between[2][5, 10]
