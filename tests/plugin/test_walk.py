"""Plans of walks: from what changed to what stays."""

import numpy as np
import pytest

from napari_sam.crops import Crop
from napari_sam.evidence import Evidence
from napari_sam.plugin import walk
from napari_sam.plugin.session import Draft, Session
from napari_sam.prompts import Prompt

MASK = Crop.of(np.ones((2, 2), bool))


def _session(anchors, walked=(), changed=()):
    prompts = {(1, (p,)): Prompt((p,), [[0, 0]]) for p in anchors}
    drafts = {key: Draft(MASK, Evidence(predicted_iou=1.0), "prompted", said=prompt) for key, prompt in prompts.items()}
    drafts |= {
        (1, (p,)): Draft(MASK, Evidence(predicted_iou=0.9, overlap=0.9 - p / 10, area_ratio=1.0), "walked")
        for p in walked
    }
    return Session(prompts, drafts, changed=frozenset((1, (p,)) for p in changed))


def _plan(session, **options):
    return walk.plan(session, [1], axis=0, stack_shape=(10,), plane=(5,), **options)[0]


def test_the_first_walk_goes_everywhere():
    way = _plan(_session([3, 6], changed=[3, 6]))
    assert (way.start, way.stop) == (0, 10)


@pytest.mark.parametrize(
    ("changed", "expected"), [([5], (2, 9)), ([2], (0, 6)), ([8], (5, 10)), ([2, 8], (0, 10)), ([], (0, 10))]
)
def test_a_later_walk_goes_between_the_anchors_beside_what_changed(changed, expected):
    way = _plan(_session([2, 5, 8], walked=[0, 1, 3, 4, 6, 7, 9], changed=changed))
    assert (way.start, way.stop) == expected


@pytest.mark.parametrize(("direction", "expected"), [("forward", (5, 10)), ("back", (0, 6)), ("both", (0, 10))])
def test_a_direction_starts_at_the_plane_that_is_shown(direction, expected):
    way = _plan(_session([5]), direction=direction)
    assert (way.start, way.stop) == expected


def test_a_range_without_a_prompt_says_what_to_do():
    with pytest.raises(ValueError, match="not marked on planes 4 to 7: click there first"):
        _plan(_session([2]), limits=(4, 8))


def test_the_weakest_plane_is_none_that_the_user_vouches_for():
    session = _session([2], walked=[1, 3, 4, 5, 6])
    assert [one.position for one in walk.scores(session, 1, axis=0, like=(0,))] == [1, 2, 3, 4, 5, 6]
    assert walk.worst(session, 1, axis=0, like=(0,)) > 2
    assert walk.worst(_session([2]), 1, axis=0, like=(0,)) is None


def test_a_plane_far_from_the_anchor_is_trusted_less_and_the_anchor_most():
    curve = walk.scores(_session([2], walked=[3, 4, 5, 6]), 1, axis=0, like=(0,))
    trust = [one.score for one in curve]
    assert trust == sorted(trust, reverse=True)
    assert curve[0].is_anchor


@pytest.mark.parametrize(
    ("stack_shape", "axis"),
    [((24,), 0), ((24, 2), 0), ((3, 24), 1), ((50, 24), 1), ((24, 1), 0), ((2, 3), 1), ((1,), 0), ((), 0)],
)
def test_objects_are_first_carried_along_the_last_axis_that_is_no_channel(stack_shape, axis):
    """Planes with two channels between them: G carried the nucleus from one dye to the other."""
    assert walk.likely_axis(stack_shape) == axis


def test_planes_come_nearest_first_and_all_of_them():
    assert walk.outward((2, 3), (4, 5), axis=1) == [(2, 3), (2, 2), (2, 4), (2, 1), (2, 0)]
    assert walk.outward((), (), axis=0) == [()]
