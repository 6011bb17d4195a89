"""A commit changes what it says and nothing else, and can be taken back to the byte."""

from collections import Counter
from itertools import product

import dask.array
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.plugin.test_drafts import _drafts, _view, labels_of_objects, orders

from napari_sam.cleanup import Cleanup
from napari_sam.crops import Crop
from napari_sam.plugin.drafts import render
from napari_sam.plugin.view import ImageView
from napari_sam.plugin.writing import Writing

TWO_PLANES = ImageView(np.zeros((2, 6, 7)), (2, 6, 7), (0, 1, 2))
SQUARE = Crop.of(np.pad(np.ones((3, 3), bool), ((0, 3), (0, 4))))


def _do(job):
    for _ in job:
        pass


def _writing(labels, drafts, view, **options):
    return Writing(lambda: labels, drafts, view, cleanup=Cleanup(), **options)


@settings(max_examples=40)
@given(labels_of_objects, labels_of_objects, orders)
def test_a_commit_keeps_the_voxels_of_others(drafted, committed, order):
    view, after = _view(order), committed.copy()
    _do(_writing(after, _drafts(drafted, view), view).write())
    for plane in np.ndindex(*view.stack_shape):
        here = view.index(plane)
        free = np.isin(committed[here], [0, *np.unique(drafted[here])])
        np.testing.assert_array_equal(after[here], np.where(free, drafted[here], committed[here]))


@settings(max_examples=40)
@given(labels_of_objects, labels_of_objects, orders, st.sampled_from(["keep", "replace"]))
def test_what_is_taken_back_is_as_before_to_the_byte_and_comes_again(drafted, committed, order, overlap):
    view, labels = _view(order), committed.astype(np.int64) - 1
    before = labels.copy()
    writing = _writing(labels, _drafts(drafted, view), view, overlap=overlap)
    _do(writing.write())
    written = labels.copy()
    _do(writing.take_back())
    np.testing.assert_array_equal(labels, before)
    _do(writing.write_again())
    np.testing.assert_array_equal(labels, written)


@settings(max_examples=40)
@given(labels_of_objects, labels_of_objects, orders)
def test_fresh_objects_are_committed_the_same_without_a_search(drafted, committed, order):
    view, searched = _view(order), np.where(committed == 9, 7, 0).astype(np.uint8)
    direct, drafts = searched.copy(), _drafts(drafted, view)
    _do(_writing(searched, drafts, view).write())
    _do(_writing(direct, drafts, view, fresh={1, 2, 9}).write())
    np.testing.assert_array_equal(searched, direct)


def test_an_overlap_of_drafts_is_committed_as_it_is_seen():
    view = ImageView(np.zeros((6, 7)), (6, 7), (0, 1))
    one, two = np.zeros((6, 7), bool), np.zeros((6, 7), bool)
    one[:, :4], two[:, 2:] = True, True
    drafts = {(2, ()): Crop.of(two), (1, ()): Crop.of(one)}
    labels = np.zeros((6, 7), np.uint8)
    _do(_writing(labels, drafts, view).write())
    np.testing.assert_array_equal(labels, render(drafts, (), (6, 7)))


@pytest.mark.parametrize("kind", ["zarr", "dask"])
def test_labels_that_are_not_in_memory_are_written_by_windows(tmp_path, kind):
    zeros = np.zeros((2, 6, 7), np.uint16)
    labels = {
        "zarr": lambda: zarr.create_array(tmp_path / "labels.zarr", data=zeros, chunks=(1, 4, 4)),
        "dask": lambda: dask.array.from_array(zeros, chunks=(1, 4, 4)),
    }[kind]()
    writing = _writing(labels, {(3, (1,)): SQUARE}, TWO_PLANES)
    _do(writing.write())
    assert np.array_equal(np.asarray(labels[1]) == 3, SQUARE.full())
    _do(writing.take_back())
    assert not np.asarray(labels[:]).any()


class Breaking:
    """Labels on a disk that is full after the first plane."""

    def __init__(self, data):
        self.data, self.dtype, self.shape, self.writes = data, data.dtype, data.shape, 0

    def __getitem__(self, key):
        return self.data[key]

    def __setitem__(self, key, value):
        self.writes += 1
        if self.writes == 2:
            self.data[key][:, :1] = value[:, :1]  # a part was written
            msg = "no space left on device"
            raise OSError(msg)
        self.data[key] = value


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 0, 1)])
@pytest.mark.parametrize("fresh", [{}, {3}])
def test_a_chunk_is_written_once_for_all_its_planes(order, fresh):
    before = np.zeros((8, 8, 8), np.uint16)
    before[5:] = 7
    labels = Chunked(before.copy(), chunks=(4, 4, 4))
    view = ImageView(labels.data, labels.shape, order)
    drafts = {(3, (plane,)): Crop.of(np.pad(np.ones((3, 3), bool), ((1, 4), (1, 4)))) for plane in range(1, 7)}
    writing = _writing(labels, drafts, view, fresh=fresh)
    _do(writing.write())
    expected = np.zeros((8, 8, 8), bool)
    expected.transpose(order)[1:7, 1:4, 1:4] = True
    np.testing.assert_array_equal(labels.data, np.where(expected & (before == 0), 3, before))
    assert set(labels.written.values()) == {1}
    _do(writing.take_back())
    np.testing.assert_array_equal(labels.data, before)


class Chunked:
    """Labels that count how often each of their chunks is written."""

    def __init__(self, data, chunks):
        self.data, self.dtype, self.shape, self.chunks = data, data.dtype, data.shape, chunks
        self.written = Counter()

    def __getitem__(self, key):
        return self.data[key]

    def __setitem__(self, key, value):
        self.data[key] = value
        touched = [range(part.start // n, (part.stop - 1) // n + 1) for part, n in zip(key, self.chunks, strict=True)]
        self.written.update(product(*touched))


def test_a_commit_that_fails_half_way_leaves_every_voxel_as_it_was():
    labels = Breaking(np.full((2, 6, 7), 5, np.uint8))
    writing = _writing(labels, {(3, (0,)): SQUARE, (3, (1,)): SQUARE}, TWO_PLANES, overlap="replace")
    with pytest.raises(OSError, match="no space"):
        _do(writing.write())
    assert labels.writes == 4  # two to write, two to take back
    assert (labels.data == 5).all()
    assert not writing.is_done


def test_clean_up_does_not_fill_a_plane_that_the_user_said_is_empty():
    labels = np.zeros((3, 6, 7), np.uint8)
    view = ImageView(labels, (3, 6, 7), (0, 1, 2))
    drafts = {(1, (0,)): SQUARE, (1, (1,)): Crop.empty((6, 7)), (1, (2,)): SQUARE}
    _do(Writing(lambda: labels, drafts, view, cleanup=Cleanup(smooth=0.5)).write())
    assert labels.any(axis=(1, 2)).tolist() == [True, False, True]
