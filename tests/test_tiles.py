"""Where tiles and views are: every place is covered, and whatever is to be seen has a view."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sam.image import Frame
from napari_sam.model.config import CONFIGS
from napari_sam.tiles import TileGrid

NAMES = st.sampled_from(["nano", "vit_b"])
SHAPES = st.tuples(st.integers(40, 900), st.integers(300, 900))


def tiles_of(shape, name="nano", tile=128, overlap=None):
    return TileGrid.choose(shape, CONFIGS[name], tile, overlap)


def inside(frame, grid):
    return all(
        origin >= 0 and origin + size <= length
        for origin, size, length in zip(frame.origin, frame.original_size, grid.plane_shape, strict=True)
    )


@pytest.mark.parametrize(
    ("shape", "name", "tile", "side"),
    [
        ((1024, 1024), "nano", "auto", None),
        ((1000, 1100), "nano", "auto", 512),
        ((1000, 2048), "vit_b", "auto", None),
        ((1000, 2049), "vit_b", "auto", 1024),
        ((5000, 5000), "nano", None, None),
        ((700, 600), "nano", 256, 256),
        ((700, 600), "vit_b", 700, None),
        ((2000, 2000), "nano", 5000, 1024),
    ],
)
def test_a_plane_is_tiled_where_shrinking_it_would_cost_detail_or_as_asked_for(shape, name, tile, side):
    grid = tiles_of(shape, name, tile)
    assert side == (grid.side if grid else None)


@given(shape=SHAPES, name=NAMES, overlap=st.integers(0, 64))
def test_every_level_is_covered_by_tiles_that_overlap_as_asked_for(shape, name, overlap):
    grid = tiles_of(shape, name, overlap=overlap)
    for level in range(grid.levels):
        here = [tile for tile in grid.tiles if grid.level(tile) == level]
        covered = np.zeros(shape, int)
        for tile in here:
            assert inside(tile, grid)
            covered[tile.window] += 1
        assert covered.min() == 1 or len(here) == covered.max()
    starts = sorted({tile.origin[1] for tile in grid.tiles if grid.level(tile) == 0})
    assert all(128 - (b - a) >= overlap for a, b in itertools.pairwise(starts))


@given(shape=SHAPES, name=NAMES, data=st.data())
def test_whatever_is_asked_for_is_in_the_view(shape, name, data):
    grid = tiles_of(shape, name)
    rows, columns = (sorted(data.draw(st.tuples(*[st.integers(0, n - 1)] * 2))) for n in shape)
    view = grid.first_view((rows[0], columns[0], rows[1], columns[1]))
    assert inside(view, grid)
    assert view.window[0].start <= rows[0] <= rows[1] < view.window[0].stop
    assert view.window[1].start <= columns[0] <= columns[1] < view.window[1].stop


@given(shape=SHAPES, name=NAMES, row=st.floats(0, 1), column=st.floats(0, 1))
def test_looking_further_ends_at_the_whole_plane(shape, name, row, column):
    grid = tiles_of(shape, name)
    point = (row * (shape[0] - 1), column * (shape[1] - 1)) * 2
    everything = (0.0, 0.0, shape[0] - 1.0, shape[1] - 1.0)
    view, following = None, grid.first_view(point)
    for _ in range(20):
        view, following = following, grid.next_view(following, point, everything)
        if following is None:
            break
    assert following is None
    assert view.original_size == shape


def test_a_window_deep_in_a_tile_needs_that_tile_alone():
    grid = tiles_of((2000, 2000), tile="auto")
    view = Frame((256, 256), (256, 256), (256, 256), origin=(128, 64), plane_shape=(2000, 2000))
    assert list(grid.tiles_under(view)) == [(grid.tiles[0], 0)]
    on_the_seam = replace(view, origin=(128, 300))
    assert len(list(grid.tiles_under(on_the_seam))) > 1


def test_a_tile_of_a_coarser_level_shows_a_larger_window():
    grid = tiles_of((4000, 4000), tile="auto")
    tile = next(tile for tile in grid.tiles if grid.level(tile) == 1)
    assert (tile.original_size, tile.input_size, grid.reduction(tile)) == ((1024, 1024), (512, 512), 2)


@pytest.mark.parametrize(
    ("tile", "overlap", "complaint"),
    [
        ("all", None, "'auto', None"),
        (0, None, "at least"),
        (-5, None, "at least"),
        (256, 200, "half"),
        (256, -1, "half"),
        ("auto", -3, "half"),
        ("auto", 1000, "half"),
        (None, 64, "overlap is that of tiles"),
    ],
)
@pytest.mark.parametrize("side", [200, 2000])
def test_sizes_that_make_no_sense_are_refused_for_planes_of_any_size(tile, overlap, complaint, side):
    """On small planes, which are not tiled, nobody was told that -3 is no overlap."""
    with pytest.raises(ValueError, match=complaint):
        tiles_of((side, side), "nano", tile, overlap)
