"""Drafts look like an array, and a commit changes what it says and nothing else."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_sam.cleanup import Cleanup
from napari_sam.crops import Crop
from napari_sam.plugin.drafts import DraftLabels, cleaned
from napari_sam.plugin.view import ImageView

SHAPE = (3, 4, 6, 7)
orders = st.permutations(range(4)).map(lambda order: (*sorted(order[:2]), *sorted(order[2:])))


def _view(order):
    return ImageView(np.zeros(SHAPE).transpose(order), SHAPE, order)


def _drafts(labels, view):
    planes = {plane: labels[view.index(plane)] for plane in np.ndindex(*view.stack_shape)}
    ids = sorted(set(np.unique(labels)) - {0})
    return {(int(i), plane): Crop.of(here == i) for plane, here in planes.items() for i in ids if (here == i).any()}


labels_of_objects = arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 0, 0, 1, 2, 9]))
keys = st.one_of(
    st.integers(-2, 2),
    st.slices(3),
    st.just(Ellipsis),
    st.just((slice(None), 1)),
    st.tuples(*(st.one_of(st.integers(-n, n - 1), st.slices(n)) for n in SHAPE)),
)
windows = st.tuples(
    *(st.tuples(st.integers(0, n), st.integers(0, n)).map(lambda ends: slice(*sorted(ends))) for n in (6, 7))
)


@given(arrays(bool, (6, 7)))
def test_a_crop_is_the_mask_without_its_margin(mask):
    crop = Crop.of(mask)
    np.testing.assert_array_equal(crop.full(), mask)
    assert bool(crop) == mask.any()


@given(arrays(bool, (6, 7)), arrays(bool, (6, 7)), windows)
def test_a_crop_with_a_window_of_another_is_the_other_there_and_itself_elsewhere(mask, other, window):
    expected = mask.copy()
    expected[window] = other[window]
    np.testing.assert_array_equal(Crop.of(mask).within(window), mask[window])
    np.testing.assert_array_equal(Crop.of(mask).with_window(window, other[window]).full(), expected)


@settings(max_examples=40)
@given(labels_of_objects, orders, keys)
def test_drafts_are_indexed_like_an_array(labels, order, key):
    view = _view(order)
    drafts = _drafts(labels, view)
    array = DraftLabels(view, lambda: drafts, lambda *painted: None)
    np.testing.assert_array_equal(array[key], labels[key])
    np.testing.assert_array_equal(np.asarray(array), labels)


@settings(max_examples=40)
@given(labels_of_objects, orders, st.lists(st.tuples(*(st.integers(0, n - 1) for n in SHAPE)), min_size=1, max_size=9))
def test_painting_voxels_tells_the_planes_as_they_are_now(labels, order, voxels):
    view, told = _view(order), {}
    drafts = _drafts(labels, view)
    array = DraftLabels(view, lambda: drafts, lambda plane, here, corner: told.update({plane: (here, corner)}))
    index = tuple(np.array(voxels).T)
    np.testing.assert_array_equal(array[index], labels[index])
    array[index] = 5
    labels[index] = 5
    assert set(told) == {tuple(voxel[axis] for axis in order[:-2]) for voxel in voxels}
    for plane, (painted, (top, left)) in told.items():
        height, width = painted.shape
        window = slice(top, top + height), slice(left, left + width)
        np.testing.assert_array_equal(painted, labels[view.index(plane, window)])


def test_painting_a_window_tells_every_plane_of_it():
    view, told = _view((0, 1, 2, 3)), {}
    array = DraftLabels(view, dict, lambda plane, here, corner: told.update({plane: (here, corner)}))
    array[1, 1:3, 2:4, 2:4] = np.ones((2, 2, 2), int)
    assert set(told) == {(1, 1), (1, 2)}
    assert (told[1, 1][0].tolist(), told[1, 1][1]) == ([[1, 1], [1, 1]], (2, 2))


def test_cleaning_sees_an_object_through_all_its_planes():
    small, large = np.zeros((6, 7), bool), np.zeros((6, 7), bool)
    small[5, 6], large[:3, :3] = True, True
    drafts = {(1, (0,)): Crop.of(large | small), (1, (1,)): Crop.of(large)}
    result = cleaned(drafts, Cleanup(largest=True))
    np.testing.assert_array_equal(result[1, (0,)].full(), large)
    np.testing.assert_array_equal(result[1, (1,)].full(), large)
