"""The shape between two."""

import numpy as np

from napari_sam.blending import blend
from napari_sam.crops import Crop
from napari_sam.image import Frame
from napari_sam.low_res import crop_logits, mask_to_logits
from napari_sam.step import PlaneState

SIDE = 64
FRAME = Frame((SIDE, SIDE), (16, 16), (16, 16))  # a cell of the logits is 4 x 4 pixels


def painted(rows, columns, plane):
    mask = np.zeros((SIDE, SIDE), bool)
    mask[rows, columns] = True
    logits = mask_to_logits(Crop.of(mask), FRAME, low_res_stride=1)
    return PlaneState(1, plane, Crop.of(mask), 1.0, crop_logits(logits), FRAME)


def test_far_apart_shapes_meet_halfway_and_keep_their_size():
    """What was painted along the borders of cells came out smaller by a cell, for want of what lies around it."""
    left, right = painted(slice(8, 24), slice(0, 16), (0,)), painted(slice(8, 24), slice(32, 48), (2,))
    between = blend(left, right, 0.5, (1,)).mask
    np.testing.assert_allclose(between.centre, (15.5, 23.5), atol=1)
    assert between.area > 0.95 * left.mask.area  # corners get round


def test_an_object_smaller_than_a_cell_is_not_lost_between_planes():
    """A painted speck vanished, with warnings of a mean of nothing, where a missing plane behind it was bridged."""
    speck, large = painted(slice(34, 35), slice(34, 35), (0,)), painted(slice(8, 24), slice(8, 24), (2,))
    between = blend(speck, large, 0.5, (1,)).mask
    np.testing.assert_allclose(between.centre, (24.75, 24.75), atol=2)
