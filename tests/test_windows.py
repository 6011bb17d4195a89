"""Where to look on a plane, and how closely."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sam.model.config import CONFIGS
from napari_sam.tiles import TileGrid
from napari_sam.windows import Windows

NANO = CONFIGS["nano"]
SHAPES = st.tuples(st.integers(20, 1500), st.integers(20, 1500))


def windows_of(shape, tile="auto"):
    return Windows.choose(shape, NANO, TileGrid.choose(shape, NANO, tile, None))


def draw_extent(data, shape):
    rows, columns = (sorted(data.draw(st.tuples(*[st.integers(0, n - 1)] * 2))) for n in shape)
    return float(rows[0]), float(columns[0]), float(rows[1]), float(columns[1])


def everything(shape):
    return 0.0, 0.0, shape[0] - 1.0, shape[1] - 1.0


@given(shape=SHAPES, sized=st.booleans(), data=st.data())
def test_whatever_is_asked_for_is_in_the_window(shape, sized, data):
    views, extent = windows_of(shape), draw_extent(data, shape)
    view = views.first_view(extent, sized=sized)
    assert views.shows(view, extent)
    for axis, part in enumerate(view.window):
        assert 0 <= part.start <= extent[axis] <= extent[axis + 2] < part.stop <= shape[axis]


def test_a_window_does_not_move_off_what_is_asked_for_to_lie_in_one_tile():
    views, clicks = windows_of((20, 1025)), (0.0, 147.0, 0.0, 466.0)
    assert views.shows(views.first_view(clicks, sized=False), clicks)


@given(shape=SHAPES, sized=st.booleans(), data=st.data())
def test_cells_of_a_window_begin_where_those_of_the_plane_do(shape, sized, data):
    """Otherwise nothing could be cut out of what is stored, and masks would be moved by a part of a pixel."""
    views = windows_of(shape)
    view = views.first_view(draw_extent(data, shape), sized=sized)
    level = views.level(view)
    scale = views.zoom * 2.0**-level
    for axis in (0, 1):
        assert view.origin[axis] * scale % NANO.grid.multiple == 0
        assert view.padded_size[axis] % NANO.grid.multiple == 0
        assert 0 <= view.input_size[axis] - view.original_size[axis] * scale < 1
    if level >= 0:
        assert all(views.level(stored) == level for stored, _ in views.tiles_under(view))


@given(shape=SHAPES, data=st.data())
def test_looking_further_ends_at_a_window_that_shows_all(shape, data):
    views = windows_of(shape)
    point = draw_extent(data, shape)[:2] * 2
    view, following = None, views.first_view(point, sized=False)
    for _ in range(30):
        view, following = following, views.next_view(following, point, everything(shape), closer=True)
        if following is None:
            break
    assert following is None
    assert view.original_size == shape


@pytest.mark.parametrize(
    ("shape", "size", "zoom"),
    [
        ((600, 600), 40, 1),
        ((600, 600), 10, 2),
        ((600, 600), 3, 4),
        ((250, 250), 10, 2),
        ((60, 60), 2, 4),
        ((3000, 3000), 9, 2),
    ],
)
def test_small_objects_are_shown_larger(shape, size, zoom):
    views = windows_of(shape)
    view = views.first_view((20.0, 20.0, 19.0 + size, 19.0 + size), sized=True)
    assert view.scale == (zoom, zoom)


def test_an_object_that_fills_its_window_is_not_chased_through_closer_and_wider_ones():
    views = windows_of((600, 600))
    point, large = (300.0, 300.0, 300.0, 300.0), (150.0, 150.0, 450.0, 450.0)
    first = views.first_view(point, sized=False)
    wider = views.next_view(first, point, large, closer=True)
    assert max(wider.original_size) > max(first.original_size)
    assert views.next_view(wider, point, large, closer=True) is None


@pytest.mark.parametrize(("shape", "name", "tile"), [((500, 500), "vit_b", "auto"), ((3000, 3000), "nano", None)])
def test_what_is_only_seen_whole_has_no_windows(shape, name, tile):
    config = CONFIGS[name]
    assert Windows.choose(shape, config, TileGrid.choose(shape, config, tile, None)) is None
