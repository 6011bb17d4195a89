"""Masks into labels: ids never merge, and nothing is touched that was not asked for."""

import numpy as np
import pytest
import zarr
from hypothesis import given
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


def test_a_new_mask_replaces_the_old_voxels_of_its_object():
    current = np.where(box(slice(0, 3), slice(0, 3)), 2, 0)
    merged = merge_masks(current, crops({2: box(slice(2, 5), slice(2, 5))}))
    np.testing.assert_array_equal(merged == 2, box(slice(2, 5), slice(2, 5)))


@pytest.mark.parametrize("make", [np.zeros, zarr.zeros], ids=["numpy", "zarr"])
def test_only_the_plane_is_written_and_what_changed_is_told(make):
    labels = make(shape=(3, *SHAPE), dtype="uint16")
    changed = write_masks(labels, (1,), crops({7: box(2, slice(None))}))
    assert labels[:].sum() == 7 * 6
    np.testing.assert_array_equal(changed, box(2, slice(None)))
    np.testing.assert_array_equal(labels[1] == 7, changed)


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
