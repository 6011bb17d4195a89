"""How a plane of any size becomes a model input."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sam.model.config import CONFIGS, InputGrid

SIZES = st.tuples(st.integers(1, 5000), st.integers(1, 5000))
OFFICIAL = InputGrid()
NANO = CONFIGS["nano"].grid


@pytest.mark.parametrize(
    ("original_size", "input_size"),
    [((1024, 1024), (1024, 1024)), ((512, 256), (1024, 512)), ((300, 400), (768, 1024)), ((1, 3000), (1, 1024))],
)
def test_the_longest_side_becomes_1024(original_size: tuple[int, int], input_size: tuple[int, int]) -> None:
    assert OFFICIAL.input_size(original_size) == input_size
    assert OFFICIAL.padded_size(original_size) == (1024, 1024)


@given(original_size=SIZES)
def test_sides_are_rounded_like_those_of_the_official_resize(original_size: tuple[int, int]) -> None:
    scale = 1024 / max(original_size)
    official = tuple(int(side * scale + 0.5) for side in original_size)
    assert OFFICIAL.input_size(original_size) == tuple(max(1, side) for side in official)


@given(original_size=SIZES)
def test_a_padded_plane_is_whole_cells_and_not_a_row_more(original_size: tuple[int, int]) -> None:
    for grid in (config.grid for config in CONFIGS.values()):
        for padded, side in zip(grid.padded_size(original_size), grid.input_size(original_size), strict=True):
            assert padded % grid.stride == padded % grid.low_res_stride == 0
            assert side <= padded < side + grid.multiple


@given(original_size=SIZES)
def test_nano_neither_shrinks_small_planes_nor_zooms_beyond_its_limit(original_size: tuple[int, int]) -> None:
    longest, resized = max(original_size), max(NANO.input_size(original_size))
    assert resized <= max(1, max(NANO.zooms) * longest)
    assert resized >= min(longest, NANO.longest)
