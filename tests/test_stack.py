from collections import Counter

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from napari_sam.stack import Stack, open_stack

WHOLE = slice(None)


class Counting(zarr.storage.MemoryStore):
    """Writes down which chunks are read."""

    def __init__(self):
        super().__init__()
        self.asked = []

    async def get(self, key, *args, **kwargs):
        self.asked.append(key)
        return await super().get(key, *args, **kwargs)


class Watched:
    """An array-like that writes down what is read of it, and is never converted as a whole."""

    def __init__(self, array):
        self.shape, self.dtype = array.shape, array.dtype
        self._array = array
        self.read = []

    def __getitem__(self, index):
        self.read.append(index)
        return self._array[index]

    def __array__(self, *args, **kwargs):
        msg = "the whole array was converted"
        raise AssertionError(msg)


def numbered(*shape):
    return np.arange(np.prod(shape), dtype=np.int32).reshape(shape)


def test_a_2d_image_is_one_plane_without_an_index():
    stack = open_stack(numbered(5, 7))
    assert (list(stack.planes()), stack.stack_shape, stack.plane_shape) == ([()], (), (5, 7))
    np.testing.assert_array_equal(stack.read(()), numbered(5, 7))


def test_planes_of_a_time_lapse_have_two_indices_the_last_one_fastest():
    stack = open_stack(numbered(2, 3, 5, 7))
    assert list(stack.planes()) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    np.testing.assert_array_equal(stack.read((1, 2)), numbered(2, 3, 5, 7)[1, 2])


@given(position=st.integers(0, 4), negative=st.booleans())
def test_the_channel_axis_may_be_anywhere(position, negative):
    channels_last = numbered(2, 3, 5, 7, 2)
    image = np.moveaxis(channels_last, -1, position)
    stack = open_stack(image, channel_axis=position - 5 if negative else position)
    assert stack.spatial_shape == (2, 3, 5, 7)
    np.testing.assert_array_equal(stack.read((1, 2)), channels_last[1, 2])


def test_axes_are_named_after_what_they_hold():
    stack = open_stack(numbered(2, 3, 2, 5, 7), channel_axis=2)
    assert stack.axes == ("stack", "stack", "c", "y", "x")


def test_chosen_channels_come_in_the_order_asked_for():
    image = numbered(6, 4, 5, 7)
    stack = open_stack(image, channel_axis=0, channels=(4, 2))
    np.testing.assert_array_equal(stack.read((3,)), np.stack([image[4, 3], image[2, 3]], axis=-1))


def test_alpha_is_ignored():
    image = numbered(5, 7, 4)
    np.testing.assert_array_equal(open_stack(image, rgb=True).read(()), image[..., :3])


def test_a_window_is_a_part_of_the_plane():
    image = numbered(3, 4, 50, 70)
    stack = open_stack(image, channel_axis=0)
    window = (slice(10, 20), slice(30, 33))
    np.testing.assert_array_equal(
        stack.read((2,), window), np.moveaxis(stack.read((2,)), -1, 0)[:, *window].transpose(1, 2, 0)
    )


def test_only_the_plane_and_the_channels_asked_for_are_read():
    watched = Watched(numbered(10, 6, 5, 7))
    open_stack(watched, channel_axis=1, channels=(1, 2)).read((4,))
    assert watched.read == [(4, slice(1, 3), slice(None), slice(None))]


def test_opening_reads_nothing():
    watched = Watched(numbered(10, 5, 7))
    open_stack(watched)
    assert watched.read == []


def test_zarr_dask_and_memmap_planes_are_numpy_arrays(tmp_path):
    image = numbered(3, 5, 7)
    stored = zarr.create_array(tmp_path / "image.zarr", data=image)
    mapped = np.memmap(tmp_path / "image.raw", image.dtype, "w+", shape=image.shape)
    mapped[:] = image
    lazy = pytest.importorskip("dask.array").from_array(image)
    for array in (stored, mapped, lazy):
        plane = open_stack(array).read((1,))
        assert isinstance(plane, np.ndarray)
        np.testing.assert_array_equal(plane, image[1])


@given(st.integers(1, 5), st.sampled_from([1, 2, 3, 100]), st.sampled_from(["xy", "xz", "yz"]), st.integers(0, 10))
def test_a_block_holds_the_plane_and_others_of_its_chunks(depth, planes, orientation, position):
    image = numbered(2, 11, 12, 13)
    array = Watched(image)
    array.chunks = (1, depth, depth, depth)
    stack = open_stack(array, orientation=orientation)
    block = stack.read_block((1, position), planes * stack.plane_bytes)
    assert (1, position) in block
    assert len(block) <= min(depth, planes)
    assert {z // depth for _, z in block} == {position // depth}
    for plane, pixels in block.items():
        np.testing.assert_array_equal(pixels, stack.read(plane))


def test_all_blocks_together_read_each_chunk_once():
    store = Counting()
    array = zarr.create_array(store, data=numbered(8, 10, 12), chunks=(4, 5, 6))
    for orientation, blocks in (("xy", 2), ("xz", 2), ("yz", 2)):
        store.asked.clear()
        stack, read, seen = open_stack(array, orientation=orientation), 0, {}
        for plane in stack.planes():
            if plane not in seen:
                seen, read = stack.read_block(plane, 2**20), read + 1
        assert (read, Counter(store.asked).most_common(1)[0][1], len(store.asked)) == (blocks, 1, 8)


def test_an_h5py_data_set_is_read_plane_by_plane(tmp_path, monkeypatch):
    h5py = pytest.importorskip("h5py")
    image, read = numbered(3, 2, 5, 7), []
    take = h5py.Dataset.__getitem__
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda self, index: read.append(index) or take(self, index))
    with h5py.File(tmp_path / "image.h5", "w") as file:
        file.create_dataset("raw", data=image, chunks=(1, 1, 5, 7))
        stack = open_stack(file["raw"], channel_axis=1)
        side = open_stack(file["raw"], channel_axis=1, orientation="xz")
        np.testing.assert_array_equal(stack.read((2,)), np.moveaxis(image[2], 0, -1))
        np.testing.assert_array_equal(side.read((4,)), np.moveaxis(image[:, :, 4], 1, -1))
    assert read == [(2, slice(0, 2), WHOLE, WHOLE), (WHOLE, slice(0, 2), 4, WHOLE)]


def test_nested_lists_are_an_image():
    assert open_stack([[1, 2], [3, 4]]).plane_shape == (2, 2)


@pytest.mark.parametrize("plane", [(), (3,), (-1,), (0, 0), (1.5,), ("a",), 1])
def test_a_plane_that_does_not_exist_is_refused(plane):
    for read in (Stack.read, lambda stack, plane: stack.read_block(plane, 1)):
        with pytest.raises(ValueError, match="plane"):
            read(open_stack(numbered(3, 5, 7)), plane)


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ((5, 7), r"plane \(9,\) is not in the image, which is a single plane: its index is \(\)"),
        ((3, 5, 7), r"planes are \(0,\) to \(2,\): one number for each axis before \(row, column\)"),
        ((2, 3, 5, 7), r"planes are \(0, 0\) to \(1, 2\)"),
    ],
)
def test_who_asks_for_a_plane_that_is_not_there_is_told_which_are(shape, says):
    with pytest.raises(ValueError, match=says):
        open_stack(numbered(*shape)).check_plane((9,))


@pytest.mark.parametrize(
    ("image", "options", "says"),
    [
        (numbered(5), {}, "must be"),
        (numbered(0, 5, 7), {}, "empty"),
        (numbered(5, 7).astype(complex), {}, "complex"),
        (np.array([["a"]]), {}, "dtype"),
        ([numbered(4, 4), numbered(2, 2)], {}, "one level"),
        (numbered(5, 7, 3), {}, "rgb=True"),
        (numbered(5, 7, 3), {"rgb": True, "channel_axis": 2}, "one of them"),
        (numbered(5, 7, 8), {"rgb": True}, "3 or 4"),
        (numbered(4, 5, 7), {"channel_axis": 0}, "choose"),
        (numbered(4, 5, 7), {"channel_axis": 0, "channels": (0, 4)}, "choose"),
        (numbered(4, 5, 7), {"channel_axis": 0, "channels": ()}, "choose"),
        (numbered(4, 5, 7), {"channels": (0, 1)}, "channel_axis"),
        (numbered(4, 5, 7), {"channel_axis": 3}, "axis"),
        (numbered(3, 5), {"channel_axis": 0}, "must be"),
    ],
)
def test_what_is_no_stack_is_refused_with_advice(image, options, says):
    with pytest.raises(ValueError, match=says):
        open_stack(image, **options)
