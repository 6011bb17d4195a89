"""XZ and YZ planes: what is read, what is written, and that everything stays where it is in the volume."""

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from napari_sam import Prompt, Segmenter
from napari_sam.orientation import axis_order, turn
from napari_sam.prompt_files import read_prompts
from napari_sam.stack import open_stack

SHAPE = (6, 20, 28)  # z, y, x


@pytest.fixture
def volume():
    return np.random.default_rng(0).integers(0, 4000, SHAPE, np.uint16)


def stored(array, chunks=None):
    return zarr.create_array(zarr.storage.MemoryStore(), data=array, chunks=chunks or "auto")


def test_a_plane_has_its_name_and_keeps_the_order_of_its_axes(volume):
    xz, yz = (open_stack(volume, orientation=side) for side in ("xz", "yz"))
    assert (xz.stack_shape, xz.plane_shape) == ((20,), (6, 28))
    np.testing.assert_array_equal(xz.read((7,)), volume[:, 7])
    np.testing.assert_array_equal(yz.read((9,)), volume[:, :, 9])


def test_time_stays_in_front(volume):
    film = np.stack([volume, volume + 1])
    np.testing.assert_array_equal(open_stack(film, orientation="yz").read((1, 9)), film[1, :, :, 9])


@pytest.mark.parametrize("channel_axis", [0, 1, -1])
def test_channels_are_no_axis_of_a_plane(volume, channel_axis):
    two = np.stack([volume, volume + 1], channel_axis)
    plane = open_stack(two, channel_axis=channel_axis, orientation="xz").read((7,))
    np.testing.assert_array_equal(plane, np.stack([volume, volume + 1], -1)[:, 7])


@pytest.mark.parametrize(
    ("orientation", "ndim", "says"), [("zx", 3, "one of xy, xz, yz, got 'zx'"), ("xz", 2, r"need an image \(z, y, x\)")]
)
def test_a_side_that_there_is_not_is_refused(orientation, ndim, says):
    with pytest.raises(ValueError, match=says):
        axis_order(orientation, ndim)


POSITIONS = st.one_of(st.integers(0, 2), st.builds(slice, st.integers(0, 1), st.integers(2, 3)))


@given(st.permutations(range(4)), st.lists(POSITIONS, max_size=4))
def test_a_turned_array_reads_and_writes_as_numpy_does(order, index):
    numbers = np.arange(3**4).reshape(3, 3, 3, 3)
    turned, expected = turn(stored(numbers), order), numbers.transpose(order)
    index = (*index[:2], ..., *index[2:])
    np.testing.assert_array_equal(turned[index], expected[index])
    turned[index] = -expected[index]
    expected = expected.copy()
    expected[index] *= -1
    np.testing.assert_array_equal(np.asarray(turned), expected)


@pytest.mark.parametrize("make", [np.asarray, stored], ids=["numpy", "zarr"])
@pytest.mark.parametrize("side", ["xz", "yz"])
def test_labels_are_those_of_a_volume_that_was_turned_before(volume, tiny_sam, make, side):
    order = axis_order(side, 3)
    prompts = [Prompt((5,), [[2, 10]]), Prompt((9,), box=[[1, 2], [4, 12]], object_id=2)]
    before = Segmenter(volume.transpose(order).copy(), tiny_sam)
    labels = make(np.zeros(SHAPE, np.uint8))
    now = Segmenter(make(volume), tiny_sam, labels=labels, orientation=side)
    for seg in (before, now):
        seg.segment(prompts)
        list(seg.propagate(prompts[1:]))
    assert now.labels is labels
    assert np.any(labels[...])
    np.testing.assert_array_equal(np.transpose(labels[...], order), before.labels)


def test_labels_of_a_turned_shape_are_refused(volume, tiny_sam):
    with pytest.raises(ValueError, match=r"spatial shape \(6, 20, 28\)"):
        Segmenter(volume, tiny_sam, orientation="xz", labels=np.zeros((20, 6, 28), int))


def test_prompts_are_checked_against_the_planes_that_are_looked_at(volume, tiny_sam):
    seg = Segmenter(volume, tiny_sam, orientation="xz")
    seg.segment([Prompt((19,), [[5, 27]])])
    with pytest.raises(ValueError, match="outside the plane: expected rows 0 to 5 and columns 0 to 27"):
        seg.segment([Prompt((5,), [[6, 3]])])


def test_each_orientation_is_an_image_of_its_own_in_the_cache(tiny_sam, tmp_path):
    cube = np.random.default_rng(0).integers(0, 4000, (6, 6, 6), np.uint16)
    cube = np.pad(cube, 5)  # as long along all axes
    for side in ("xy", "xz", "yz"):
        assert len(list(Segmenter(cube, tiny_sam, cache=tmp_path, orientation=side).embed())) == 16
    for side in ("xy", "xz", "yz"):
        assert list(Segmenter(stored(cube), tiny_sam, cache=tmp_path, orientation=side).embed()) == []


def test_a_view_that_was_turned_by_hand_finds_the_same_planes(volume, tiny_sam, tmp_path):
    """What napari's rolled axes encode, the command line finds, and the other way round."""
    list(Segmenter(volume.transpose(1, 0, 2), tiny_sam, cache=tmp_path).embed())
    assert list(Segmenter(stored(volume), tiny_sam, cache=tmp_path, orientation="xz").embed()) == []


def test_a_table_of_napari_is_about_the_volume_however_it_is_looked_at(tmp_path):
    (tmp_path / "points.csv").write_text("index,axis-0,axis-1,axis-2\n0,2,7,11\n")
    for side, plane, point in (("xy", (2,), (7, 11)), ("xz", (7,), (2, 11)), ("yz", (11,), (2, 7))):
        [prompt] = read_prompts(tmp_path / "points.csv", orientation=side)
        assert (prompt.plane, *prompt.points) == (plane, point)
