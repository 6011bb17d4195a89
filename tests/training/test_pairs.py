"""Images with labels: found, checked early with a sentence that says what to do, and split."""

import numpy as np
import pytest
import tifffile

from napari_sam.model.config import CONFIGS
from napari_sam.stack import open_stack
from napari_sam.training.pairs import as_source, find_pairs, hold_out, make_pair, read_pair


@pytest.fixture
def labels():
    labels = np.zeros((4, 40, 40), np.uint16)
    labels[:, 2:12, 2:12], labels[1:, 20:30, 20:30] = 5, 900
    return labels


def pair_of(labels, image=None):
    return make_pair("my labels", open_stack(np.zeros(labels.shape, np.uint8) if image is None else image), labels)


def test_pairs_are_found_by_their_names(tmp_path):
    for name in ("a.tif", "a_labels.tif", "b.png", "b_labels.tif", "alone.tif", "notes.txt"):
        (tmp_path / name).touch()
    found = [(image.name, labels.name) for image, labels in find_pairs(tmp_path)]
    assert found == [("a.tif", "a_labels.tif"), ("b.png", "b_labels.tif")]


def test_a_pair_is_read_and_renumbered(tmp_path, labels):
    tifffile.imwrite(tmp_path / "a.tif", labels * 2, photometric="minisblack")
    tifffile.imwrite(tmp_path / "a_labels.tif", labels, photometric="minisblack")
    pair = read_pair(tmp_path / "a.tif", tmp_path / "a_labels.tif")
    assert np.unique(pair.labels).tolist() == [0, 1, 2]
    assert pair.stack.spatial_shape == (4, 40, 40)


def test_planes_without_objects_are_left_out(labels):
    labels[2] = 0
    assert pair_of(labels).planes == ((0,), (1,), (3,))


@pytest.mark.parametrize("count", [1, 2])
def test_few_objects_are_no_classes(labels, count):
    assert pair_of(np.where(labels > 5 * (2 - count), labels, 0)).planes


def test_a_branching_object_is_no_class():
    """One neuron whose many cross-sections touch only on another plane."""
    labels = np.zeros((2, 40, 40), np.uint8)
    labels[0, ::4, :30] = 1
    labels[1, :, :30] = 1
    assert pair_of(labels).planes == ((0,), (1,))


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda x: x.astype(np.float32), "must hold integers, a number for each object, got float32"),
        (lambda x: x > 0, "got bool"),
        (lambda x: x[:3], "must have the spatial shape"),
        (lambda x: x * 0, "holds no object of at least 20 pixels"),
        (lambda x: -x.astype(np.int32), "got -900"),
        (lambda x: np.tile(np.pad(np.full((8, 8), 255), 1), (1, 4, 4)).repeat(4, 0), "looks like a mask of classes: 1"),
    ],
)
def test_labels_that_cannot_be_learnt_from_are_refused(labels, spoil, complaint):
    with pytest.raises(ValueError, match=complaint):
        pair_of(spoil(labels), image=np.zeros((4, 40, 40), np.uint8))


@pytest.mark.parametrize(
    ("names", "complaint"), [((), "holds no labels"), (("a_labels.tif",), "has no image beside it; expected a.tif")]
)
def test_a_folder_without_pairs_is_refused(tmp_path, names, complaint):
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=complaint):
        find_pairs(tmp_path)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(NotADirectoryError, match="--image and --labels"):
        find_pairs(tmp_path / "nothing")


def test_of_several_images_whole_ones_are_held_out(labels):
    pairs = [pair_of(labels) for _ in range(5)]
    learnt, held = hold_out(pairs, 0.4, seed=0)
    assert len(held) == 2
    assert {id(pair) for pair in learnt + held} == {id(pair) for pair in pairs}


def test_of_a_lone_volume_the_last_planes_are_held_out(labels):
    (learnt,), (held,) = hold_out([pair_of(labels)], 0.25, seed=0)
    assert learnt.planes == ((0,), (1,), (2,))
    assert held.planes == ((3,),)


def test_of_a_lone_plane_nothing_is_held_out(labels):
    learnt, held = hold_out([pair_of(labels[1])], 0.2, seed=0)
    assert learnt[0].planes == ((),)
    assert held == []


@pytest.mark.parametrize(("pairs", "share"), [([], 0.2), ([None], 1.0)])
def test_nothing_to_split_is_refused(pairs, share):
    with pytest.raises(ValueError, match=r"no images|held out"):
        hold_out(pairs, share, seed=0)


def test_a_gap_between_labelled_planes_separates_stacks(labels):
    labels[2] = 0
    source = as_source(pair_of(labels), CONFIGS["nano"].grid)
    assert [stack.shape for stack in source.labels] == [(2, 40, 40), (1, 40, 40)]
    assert source.zoom == 4.0


def test_channels_become_three_of_uint8(labels):
    image = np.random.default_rng(0).integers(0, 4000, (4, 2, 40, 40)).astype(np.uint16)
    pair = make_pair("two channels", open_stack(image, channel_axis=1), labels)
    (array,) = as_source(pair, CONFIGS["nano"].grid).images
    assert array.shape == (4, 40, 40, 3)
    assert array.dtype == np.uint8
    assert array[..., :2].std() > 20
    assert not array[..., 2].any()
