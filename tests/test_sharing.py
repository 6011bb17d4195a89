"""Who gets a pixel of a plane."""

import numpy as np
import pytest

from napari_sam.crops import Crop
from napari_sam.image import Frame
from napari_sam.sharing import settle, warn_of_missing
from napari_sam.step import PlaneState

SIDE = 16
FRAME = Frame((SIDE, SIDE), (SIDE, SIDE), (SIDE, SIDE))


def an_object(object_id, rows):
    mask = np.zeros((SIDE, SIDE), bool)
    mask[rows, 4:8] = True
    logits = np.where(mask, np.float32(3), np.float32(-8))
    return PlaneState(object_id, (0,), Crop.of(mask), 0.9, Crop.around(logits, mask, outside=-8), FRAME)


@pytest.mark.parametrize(
    ("holder", "claim", "left"),
    [(0, 0.5, 16), (1, 0.5, 16), (2, 0.5, 16), (3, 0.5, 12), (3, 0.7, 16), (9, 0.7, 12)],
    ids=["nobody", "itself", "one of them", "a stronger rival", "a weaker rival", "a stranger"],
)
def test_voxels_go_to_whoever_has_the_better_claim_on_them(holder, claim, left):
    labels = np.zeros((SIDE, SIDE), np.uint32)
    labels[4, 4:8] = holder
    one, _ = settle([an_object(1, slice(1, 5)), an_object(2, slice(9, 12))], labels, claims=[claim, 0.1], held={3: 0.6})
    assert one.mask.area == left


def test_what_is_lost_is_background_in_the_logits_too():
    labels = np.zeros((SIDE, SIDE), np.uint32)
    labels[4, 4:8] = 9
    [one] = settle([an_object(1, slice(1, 5))], labels)
    np.testing.assert_array_equal(one.logits.full()[4, 4:8], -8)
    np.testing.assert_array_equal(one.logits.full()[3, 4:8], 3)


def test_many_objects_that_are_missing_are_one_sentence_that_names_some(caplog):
    """A table of 200 points on a plane without nuclei filled the terminal."""
    nothing = [an_object(object_id, slice(0)) for object_id in range(1, 13)]
    warn_of_missing([*nothing, an_object(13, slice(1, 5))])
    [record] = caplog.records
    told = "1 on plane (0,), 2 on plane (0,), 3 on plane (0,), 4 on plane (0,), 5 on plane (0,) and 7 more"
    assert record.getMessage() == f"12 objects were not found: {told}; show each with a box or more clicks"


def test_few_objects_that_are_missing_are_all_named(caplog):
    warn_of_missing([an_object(4, slice(0)), an_object(7, slice(0))])
    assert "2 objects were not found: 4 on plane (0,), 7 on plane (0,); " in caplog.text
