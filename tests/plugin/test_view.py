"""Any image layer is a stack of planes, however its axes are turned."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.layers import Image

from napari_sam.plugin.view import LARGEST_SIDE, view_image
from napari_sam.prompts import Prompt
from napari_sam.selection import resample

SHAPE = (2, 3, 5, 7)
orders = st.permutations(range(4)).map(tuple)


@given(orders)
def test_a_plane_holds_what_the_viewer_would_show(order):
    data = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    view = view_image(Image(data), order)
    for plane in np.ndindex(*view.stack_shape):
        np.testing.assert_array_equal(view.array[plane], data[view.index(plane)])
    assert set(view.order[-2:]) == set(order[-2:])


@given(orders, st.tuples(*(st.floats(0, n - 1) for n in SHAPE)))
def test_to_plane_and_back_moves_a_point_by_less_than_half_a_plane(order, point):
    view = view_image(Image(np.zeros(SHAPE)), order)
    planes, rows_columns = view.to_plane(np.array([point]))
    back = view.to_data(planes[0], rows_columns)[0]
    np.testing.assert_allclose(back[list(order[-2:])], np.array(point)[list(order[-2:])])
    assert np.abs(back - point).max() <= 0.5


def test_axes_of_a_lazy_array_turn_without_reading_it():
    class Lazy:
        shape, dtype, ndim = SHAPE, np.dtype("uint8"), 4
        reads = 0
        values = np.arange(np.prod(SHAPE), dtype="uint8").reshape(SHAPE)

        def __getitem__(self, key):
            self.reads += 1
            return self.values[key]

    lazy = Lazy()
    layer_like = type("L", (), {"data": lazy, "multiscale": False, "ndim": 4, "rgb": False})
    view = view_image(layer_like, (3, 0, 1, 2))
    assert lazy.reads == 0
    np.testing.assert_array_equal(view.array[1, 6], lazy.values[1, :, :, 6])


def test_colours_stay_last_when_axes_are_rolled():
    view = view_image(Image(np.zeros((4, 5, 6, 3)), rgb=True), (2, 0, 1))
    assert view.array.shape == (6, 4, 5, 3)
    assert view.plane_shape == view.level_shape == (4, 5)


def test_the_axes_of_a_smaller_layer_are_the_last_of_the_viewer():
    assert view_image(Image(np.zeros((5, 7))), (0, 1, 3, 2)).order == (0, 1)


def test_an_image_that_is_not_displayed_is_refused():
    with pytest.raises(ValueError, match="displayed axes"):
        view_image(Image(np.zeros((5, 7))), (1, 2, 0))


def test_a_pyramid_is_read_at_the_finest_level_that_fits():
    side = 2 * LARGEST_SIDE
    levels = [np.broadcast_to(np.uint8(0), (3, side // n, side // n)) for n in (1, 2, 4)]
    view = view_image(Image(levels, multiscale=True), (0, 1, 2))
    assert (view.level, view.level_shape, view.plane_shape) == (1, (side // 2, side // 2), (side, side))


def test_a_pyramid_that_loses_planes_is_read_at_full_resolution():
    levels = [np.broadcast_to(np.uint8(0), (8 // n, 4096 // n, 4096 // n)) for n in (1, 2, 4)]
    assert view_image(Image(levels, multiscale=True), (0, 1, 2)).level == 0


@settings(max_examples=30)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 4))
def test_a_mask_made_larger_and_smaller_again_is_the_same(height, width, factor):
    mask = np.random.default_rng(0).random((height, width)) > 0.5
    larger = resample(mask, (height * factor, width * factor))
    np.testing.assert_array_equal(resample(larger, mask.shape), mask)


def test_a_prompt_goes_to_a_coarser_level_by_its_edges():
    levels = [np.broadcast_to(np.uint8(0), (4096 // n, 4096 // n)) for n in (1, 2)]
    view = view_image(Image(levels, multiscale=True), (0, 1))
    coarse = view.to_level(Prompt((), [[0.5, 2.5]], box=[[10, 20], [13, 29]], mask=np.eye(4096, dtype=bool)))
    assert coarse.points == ((0.0, 1.0),)
    assert coarse.box == ((5.0, 10.0), (6.0, 14.0))
    assert coarse.mask.shape == (2048, 2048)
