"""Three walks through one volume and their vote."""

import numpy as np
import pytest
import zarr

from napari_sam import Prompt, Segmenter
from napari_sam.fuse import propagate_and_vote, vote

CLICK = Prompt((3,), [[20, 24]], object_id=5)


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 4000, (8, 40, 48), np.uint16)


def test_two_of_three_decide():
    one, two, three = (np.array(labels) for labels in ([1, 1, 1, 1, 0], [1, 2, 0, 2, 0], [2, 1, 0, 3, 4]))
    assert vote(one, two, three).tolist() == [1, 1, 0, 0, 0]


def test_the_vote_of_all_walks_is_written(image, tiny_sam):
    seg = Segmenter(image, tiny_sam)
    walks = np.zeros((3, *image.shape), bool)
    for axis, found in propagate_and_vote(seg, [CLICK]):
        np.moveaxis(walks[axis], axis, 0)[found.plane[0]] = found.mask
    assert {int(axis) for axis in range(3) if walks[axis].any()} == {0, 1, 2}
    expected = walks.sum(axis=0) >= 2
    expected[3] = walks[0, 3]  # the prompted plane
    assert np.array_equal(seg.labels == 5, expected)


def test_other_objects_keep_their_voxels(image, tiny_sam):
    labels = np.zeros(image.shape, np.uint16)
    labels[:, 18:22] = 9
    seg = Segmenter(image, tiny_sam, labels=labels)
    for _ in propagate_and_vote(seg, [CLICK]):
        pass
    assert (seg.labels[:, 18:22] == 9).all()
    assert set(np.unique(seg.labels)) <= {0, 5, 9}


def test_only_a_grey_volume_can_be_walked_along_three_axes(image, tiny_sam):
    with pytest.raises(ValueError, match=r"must be \(z, y, x\) without channels"):
        propagate_and_vote(Segmenter(image[0], tiny_sam), [CLICK])


def test_the_first_walk_is_along_z(image, tiny_sam):
    with pytest.raises(ValueError, match="must be along z, got xz planes"):
        propagate_and_vote(Segmenter(image, tiny_sam, orientation="xz"), [CLICK])


def test_a_volume_in_a_zarr_gives_the_same(image, tiny_sam):
    stored = zarr.create_array(zarr.storage.MemoryStore(), data=image)
    expected, seg = Segmenter(image, tiny_sam), Segmenter(stored, tiny_sam)
    for each in (expected, seg):
        assert [axis for axis, _ in propagate_and_vote(each, [CLICK])][-1] == 2
    np.testing.assert_array_equal(seg.labels, expected.labels)
