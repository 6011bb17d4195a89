"""Cells that move in time, with the model that comes with the package."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_sam import Prompt, Segmenter

WIDTH = 28


@pytest.fixture
def cells():
    """Return a function that makes three frames of a cell that moves so many widths between two of them, and of
    another one that stays.
    """

    def make(widths):
        rows, columns = np.ogrid[:256, :256]
        truth = np.zeros((3, 256, 256), np.uint8)
        for frame in range(3):
            for label, (row, column) in enumerate(((70, 50 + frame * widths * WIDTH), (170, 120)), start=1):
                truth[frame][(rows - row) ** 2 + (columns - column) ** 2 < (WIDTH / 2) ** 2] = label
        light = np.array([30.0, 160.0, 120.0])[truth]
        image = [gaussian_filter(frame, 1) for frame in light] + np.random.default_rng(0).normal(0, 5, light.shape)
        return image.clip(0, 255).astype(np.uint8), truth

    return make


def walked(image, truth):
    seg = Segmenter(image)
    box = [[70 - WIDTH / 2, 50 - WIDTH / 2], [70 + WIDTH / 2, 50 + WIDTH / 2]]
    found = list(seg.propagate([Prompt((0,), [[70, 50]], box=box, object_id=1)]))
    return seg.labels == 1, [each.reason for each in found]


def test_a_cell_that_moves_by_three_quarters_of_its_width_is_followed(cells):
    image, truth = cells(0.75)

    mask, reasons = walked(image, truth)

    assert (mask & (truth == 1)).sum() > 0.9 * (mask | (truth == 1)).sum()
    assert reasons == [None, None, "range"]


def test_a_cell_that_leaps_is_lost_and_no_other_one_taken_for_it(cells):
    image, truth = cells(2)

    mask, _ = walked(image, truth)

    assert mask[0].any()
    assert not mask[1:].any()
