"""Masks into labels: ids never merge, and nothing is touched that was not asked for."""

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_sam.crops import Crop
from napari_sam.labels import check_ids, check_labels, merge_masks, new_labels, write_masks

SHAPE = (5, 6)
MASKS = st.dictionaries(st.integers(1, 4), hnp.arrays(bool, SHAPE), min_size=1)
CURRENT = hnp.arrays(np.uint8, SHAPE, elements=st.integers(0, 4))


def box(rows, columns):
    mask = np.zeros(SHAPE, bool)
    mask[rows, columns] = True
    return mask


def crops(masks):
    return {object_id: Crop.of(mask) for object_id, mask in masks.items()}


@given(CURRENT, MASKS)
def test_keeping_never_changes_a_voxel_of_an_object_that_is_not_written(current, masks):
    merged = merge_masks(current, crops(masks))
    foreign = (current != 0) & ~np.isin(current, list(masks))
    np.testing.assert_array_equal(merged[foreign], current[foreign])


@given(CURRENT, MASKS, st.sampled_from(["keep", "replace"]))
def test_an_object_lies_only_where_its_mask_is(current, masks, overlap):
    merged = merge_masks(current, crops(masks), overlap=overlap)
    for object_id, mask in masks.items():
        assert not (merged == object_id)[~mask].any()


@given(CURRENT, MASKS)
def test_replacing_fills_every_mask_with_the_objects_written(current, masks):
    merged = merge_masks(current, crops(masks), overlap="replace")
    assert np.isin(merged[np.any(list(masks.values()), axis=0)], list(masks)).all()


@given(CURRENT, MASKS, st.sampled_from(["keep", "replace"]))
def test_writing_twice_is_writing_once(current, masks, overlap):
    once = merge_masks(current, crops(masks), overlap=overlap)
    np.testing.assert_array_equal(merge_masks(once, crops(masks), overlap=overlap), once)


@given(CURRENT, MASKS, st.sets(st.integers(1, 4)))
def test_of_other_objects_only_outdated_voxels_are_taken(current, masks, outdated):
    merged = merge_masks(current, crops(masks), outdated=outdated)
    without = np.where(np.isin(current, list(outdated)), 0, current)
    claimed = np.any(list(masks.values()), axis=0)
    np.testing.assert_array_equal(merged[claimed], merge_masks(without, crops(masks))[claimed])
    np.testing.assert_array_equal(merged[~claimed], merge_masks(current, crops(masks))[~claimed])


def test_a_new_mask_replaces_the_old_voxels_of_its_object():
    current = np.where(box(slice(0, 3), slice(0, 3)), 2, 0)
    merged = merge_masks(current, crops({2: box(slice(2, 5), slice(2, 5))}))
    np.testing.assert_array_equal(merged == 2, box(slice(2, 5), slice(2, 5)))


def test_large_ids_do_not_merge():
    """Ids were compared as float64, and the voxels of the object with the next id were gone."""
    current = np.full(SHAPE, 2**64 - 1, np.uint64)
    merged = merge_masks(current, {2**64 - 2: Crop.of(box(2, 2)), 3: Crop.of(box(3, 3))})
    np.testing.assert_array_equal(merged, current)


@pytest.mark.parametrize("make", [np.zeros, zarr.zeros], ids=["numpy", "zarr"])
def test_only_the_plane_is_written(make):
    labels = make(shape=(3, *SHAPE), dtype="uint16")
    write_masks(labels, (1,), crops({7: box(2, slice(None))}))
    assert labels[:].sum() == 7 * 6
    np.testing.assert_array_equal(labels[1] == 7, box(2, slice(None)))


@pytest.mark.parametrize("chunks", [None, (1, 2, 2), (1, 5, 4)])
@settings(max_examples=25)
@given(CURRENT, MASKS, st.sampled_from(["keep", "replace"]), st.integers(1, 7))
def test_a_plane_that_is_written_window_by_window_is_the_same(chunks, current, masks, overlap, window):
    labels = np.stack([current, current])
    labels = labels if chunks is None else zarr.create_array(zarr.storage.MemoryStore(), data=labels, chunks=chunks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_sam.labels._WINDOW", window)
        write_masks(labels, (1,), crops(masks), overlap=overlap)
    np.testing.assert_array_equal(labels[1], merge_masks(current, crops(masks), overlap=overlap))
    np.testing.assert_array_equal(labels[0], current)


class Counting(zarr.storage.MemoryStore):
    """Writes down which chunks are read and written."""

    def __init__(self):
        super().__init__()
        self.asked, self.written = [], []

    async def get(self, key, *args, **kwargs):
        self.asked.append(key)
        return await super().get(key, *args, **kwargs)

    async def set(self, key, *args, **kwargs):
        self.written.append(key)
        return await super().set(key, *args, **kwargs)


def test_of_a_large_plane_only_the_chunks_under_the_object_are_written():
    """A cell touches two of 64 chunks; no other is written, and none is read twice to find older voxels of the cell."""
    store = Counting()
    labels = zarr.create_array(store, shape=(5, 4000, 4000), chunks=(1, 500, 500), dtype="uint32")
    cell = Crop((4000, 4000), 3600, 2480, np.ones((30, 40), bool))
    store.asked.clear()
    store.written.clear()
    write_masks(labels, (3,), {9: cell})
    assert sorted(store.written) == ["c/3/7/4", "c/3/7/5"]  # zarr writes chunks at once, in any order
    assert {key for key in store.asked if key.startswith("c/")} == {f"c/3/{y}/{x}" for y in range(8) for x in range(8)}
    assert len(store.asked) <= 66
    assert (int(np.sum(labels[3, 3500:4000, 2000:3000] == 9))) == 30 * 40
    store.written.clear()
    write_masks(labels, (3,), {9: cell})
    assert store.written == []
    write_masks(labels, (3,), {9: Crop((4000, 4000), 100, 100, np.ones((30, 40), bool))})
    assert {key for key in store.written if "/0/0" in key} == {"c/3/0/0"}
    assert not labels[3, 3500:4000, 2000:3000].any()


def test_a_2d_image_has_the_plane_of_no_index():
    labels = new_labels(SHAPE)
    write_masks(labels, (), crops({3: box(2, 2)}))
    assert labels[2, 2] == 3


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        (np.zeros(SHAPE, float), "integer"),
        (np.zeros(SHAPE, bool), "integer"),
        (np.zeros((4, 4), int), r"\(5, 6\), got \(4, 4\)"),
        ([[0, 0]], "numpy or zarr"),
        (np.broadcast_to(np.uint8(0), SHAPE), "read-only"),
    ],
)
def test_labels_that_cannot_be_written_are_refused(labels, complaint):
    with pytest.raises(ValueError, match=complaint):
        check_labels(labels, SHAPE)


def test_an_id_that_does_not_fit_is_refused():
    check_ids(np.zeros(SHAPE, np.uint8), [1, 255])
    with pytest.raises(ValueError, match="uint8"):
        check_ids(np.zeros(SHAPE, np.uint8), [1, 256])
