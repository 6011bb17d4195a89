"""Objects that are followed to another plane as the image moves."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_sam.crops import Crop
from napari_sam.following import follow
from napari_sam.image import Frame
from napari_sam.low_res import mask_to_logits
from napari_sam.motion import flow
from napari_sam.step import PlaneState

SHAPE = (120, 150)
TEXTURE = gaussian_filter(np.random.default_rng(0).random((160, 190)), 3)
FRAMES = {
    "whole": Frame(SHAPE, (240, 300), (256, 320)),
    "window": Frame((64, 64), (128, 128), (128, 128), origin=(20, 30), plane_shape=SHAPE),
    "coarse": Frame(SHAPE, (60, 75), (64, 96)),
}


def shifted(rows, columns):
    """Return the texture after it has moved so many pixels down and to the right."""
    return TEXTURE[20 - rows : 140 - rows, 20 - columns : 170 - columns]


def disc(row, column, radius=9):
    y, x = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return (y - row) ** 2 + (x - column) ** 2 <= radius**2


def seen_in(frame, mask, plane=(0,)):
    crop = Crop.of(mask)
    logits = mask_to_logits(crop, frame, low_res_stride=2)
    return PlaneState(1, plane, crop, 0.9, Crop.around(logits, logits > -4, outside=-8), frame)


def overlap(state, mask):
    found = state.mask.full()
    return (found & mask).sum() / (found | mask).sum()


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
@pytest.mark.parametrize("motion", [(0, 0), (4, -3), (-5, 6)])
def test_a_mask_goes_where_the_image_goes(frame, motion):
    planes = {(0,): shifted(0, 0), (1,): shifted(*motion)}

    [moved] = follow([seen_in(frame, disc(50, 60))], (1,), lambda plane, window: planes[plane][window])

    assert moved.plane == (1,)
    assert overlap(moved, disc(50 + motion[0], 60 + motion[1])) > 0.85
    assert moved.logits.full().shape == (frame.padded_size[0] // 2, frame.padded_size[1] // 2)


def test_objects_that_move_apart_are_each_followed():
    y = np.arange(SHAPE[0])[:, None] < 60
    planes = {(0,): shifted(0, 0), (1,): np.where(y, shifted(0, 4), shifted(0, -4))}
    states = [seen_in(FRAMES["whole"], disc(row, 75)) for row in (25, 95)]

    upper, lower = follow(states, (1,), lambda plane, window: planes[plane][window])

    assert overlap(upper, disc(25, 79)) > 0.85
    assert overlap(lower, disc(95, 71)) > 0.85


@pytest.mark.parametrize("there", [np.zeros(SHAPE), np.full(SHAPE, np.nan), np.full(SHAPE, 7, np.uint16)])
def test_on_a_plane_without_an_image_nothing_moves(there):
    planes = {(0,): shifted(0, 0), (1,): there}
    state = seen_in(FRAMES["whole"], disc(50, 60))

    [moved] = follow([state], (1,), lambda plane, window: planes[plane][window])

    assert overlap(moved, disc(50, 60)) > 0.9


def test_an_object_at_the_border_stays_on_the_plane():
    planes = {(0,): shifted(0, 0), (1,): shifted(-5, 0)}

    [moved] = follow([seen_in(FRAMES["whole"], disc(4, 60))], (1,), lambda plane, window: planes[plane][window])

    assert overlap(moved, disc(-1, 60)) > 0.8


def test_channels_are_looked_at_together():
    planes = {(z,): np.stack([shifted(0, 3 * z)] * 3, axis=-1) for z in (0, 1)}

    [moved] = follow([seen_in(FRAMES["whole"], disc(50, 60))], (1,), lambda plane, window: planes[plane][window])

    assert overlap(moved, disc(50, 63)) > 0.85


def test_a_tiny_image_has_a_motion_too():
    assert flow(torch.rand(1, 1, 3, 2), torch.rand(1, 1, 3, 2)).shape == (1, 2, 3, 2)


def test_each_plane_is_read_in_one_go():
    read = []

    def get_pixels(plane, window):
        read.append(plane)
        return shifted(0, 0)[window]

    follow([seen_in(FRAMES["whole"], disc(row, 60)) for row in (30, 60, 90)], (1,), get_pixels)

    assert read == [(0,)] * 3 + [(1,)] * 3
