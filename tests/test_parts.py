"""An object is looked for near to where it was, and is never cut off by that."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sam.parts import comes_to_edge, in_view, part_near

CELL = 4  # low-res pixels
VIEW = (48, 64)  # cells
AREAS = st.tuples(st.integers(0, 190), st.integers(0, 254), st.integers(1, 60), st.integers(1, 60))


def logits(*areas):
    """Low-res logits of a view that are above 0 in areas of rows and columns."""
    values = np.full((VIEW[0] * CELL, VIEW[1] * CELL), -8, np.float32)
    for area in areas:
        values[area] = 8
    return values


def seen(part, *areas):
    """What is decoded in a part of a view that shows these areas."""
    rows, columns = (slice(cells.start * CELL, cells.stop * CELL) for cells in part)
    return in_view(logits(*areas)[rows, columns], part, VIEW)


@given(AREAS)
def test_a_part_shows_the_object_and_what_is_around_it(area):
    top, left, height, width = area
    part = part_near(logits(np.s_[top : top + height, left : left + width]), CELL)
    for cells, first, size, length in zip(part, (top, left), (height, width), VIEW, strict=True):
        last = min(first + size, length * CELL) - 1
        assert cells.start <= max(first // CELL - 3, 0)
        assert cells.stop >= min(last // CELL + 4, length)
        assert (cells.stop - cells.start) % 8 == 0
        assert cells.start >= 0
        assert cells.stop <= length


def test_an_object_that_is_nowhere_or_everywhere_is_looked_for_everywhere():
    assert part_near(logits(), CELL) is None
    assert part_near(logits(np.s_[20:170, 20:230]), CELL) is None


def test_what_is_seen_in_a_part_is_put_in_its_place():
    there = np.s_[100:120, 60:90]
    part = part_near(logits(there), CELL)
    np.testing.assert_array_equal(seen(part, there).full(), logits(there))


@pytest.mark.parametrize(
    ("areas", "cut_off"),
    [
        ([np.s_[70:90, 70:90]], False),
        ([np.s_[70:90, 70:150]], True),
        ([np.s_[10:90, 70:90]], True),
        ([np.s_[70:90, 70:90], np.s_[90:110, 104:150]], False),
    ],
    ids=["inside", "reaches right", "reaches up", "a smaller piece does"],
)
def test_an_object_that_comes_to_the_edge_of_a_part_may_be_cut_off(areas, cut_off):
    part = slice(14, 30), slice(12, 28)
    assert comes_to_edge(seen(part, *areas), CELL) is cut_off


def test_an_object_at_the_edge_of_the_view_is_not_cut_off():
    there = np.s_[0:20, 0:20]
    assert not comes_to_edge(seen(part_near(logits(there), CELL), there), CELL)
