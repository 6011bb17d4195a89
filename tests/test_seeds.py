"""What another tool has found is where a walk starts."""

import numpy as np
import pytest
import tifffile

from napari_sam import Prompt, prompts_from_labels, prompts_from_points
from napari_sam.crops import Crop
from napari_sam.label_files import write_labels
from napari_sam.orientation import axis_order
from napari_sam.seeds import prompts_from_label_file


@pytest.fixture
def labels():
    labels = np.zeros((3, 6, 8), np.uint16)
    labels[1, :2, :3], labels[1, 3:, 4:], labels[2, :2, :3] = 7, 9, 7
    return labels


def test_every_object_of_every_plane_becomes_a_mask_with_its_own_id(labels):
    prompts = prompts_from_labels(labels, [(1,), (2,)])
    assert [(p.plane, p.object_id) for p in prompts] == [((1,), 7), ((1,), 9), ((2,), 7)]
    assert all(prompt.mask == Crop.of(labels[prompt.plane] == prompt.object_id) for prompt in prompts)


def test_objects_can_be_chosen(labels):
    assert [p.object_id for p in prompts_from_labels(labels, [(1,)], object_ids=[9])] == [9]


@pytest.mark.parametrize("side", ["xz", "yz"])
def test_other_planes_of_a_volume_give_prompts_of_these_planes(labels, side):
    turned = labels.transpose(axis_order(side, 3))
    for one, other in zip(
        prompts_from_labels(labels, [(1,), (4,)], orientation=side),
        prompts_from_labels(turned, [(1,), (4,)]),
        strict=True,
    ):
        assert (one.plane, one.object_id, one.mask) == (other.plane, other.object_id, other.mask)
    [click] = prompts_from_points([[2, 3, 5]], orientation=side)
    assert (click.plane, *click.points) == {"xz": ((3,), (2, 5)), "yz": ((5,), (2, 3))}[side]


def test_a_2d_result_has_the_plane_of_no_index(labels):
    assert [p.plane for p in prompts_from_labels(labels[1], [()])] == [(), ()]


def test_planes_without_objects_are_refused(labels):
    with pytest.raises(ValueError, match="any object on the given planes"):
        prompts_from_labels(labels, [(0,)])
    with pytest.raises(ValueError, match=r"any of the objects \[9\]"):
        prompts_from_labels(labels, [(2,)], object_ids=[9])


@pytest.mark.parametrize("name", ["found.tif", "found.zarr"])
@pytest.mark.parametrize("side", ["xy", "xz"])
def test_a_label_file_gives_the_prompts_of_all_planes_that_hold_objects(labels, tmp_path, name, side):
    write_labels(tmp_path / name, labels)
    planes = [(i,) for i in range(labels.shape[axis_order(side, 3)[0]])]
    found = prompts_from_label_file(tmp_path / name, labels.shape, orientation=side)
    assert found == prompts_from_labels(labels, planes, orientation=side)


def test_one_plane_of_a_label_file_can_be_chosen(labels, tmp_path):
    write_labels(tmp_path / "found.tif", labels)
    found = prompts_from_label_file(tmp_path / "found.tif", labels.shape, plane=(2,))
    assert found == prompts_from_labels(labels, [(2,)])


def test_a_label_file_of_one_plane_lies_where_it_is_said_to(labels, tmp_path):
    write_labels(tmp_path / "found.tif", labels[1])
    found = prompts_from_label_file(tmp_path / "found.tif", labels.shape, plane=(1,))
    assert found == prompts_from_labels(labels, [(1,)])
    assert prompts_from_label_file(tmp_path / "found.tif", (6, 8)) == prompts_from_labels(labels[1], [()])


@pytest.mark.parametrize(
    ("shape", "dtype", "plane", "complaint"),
    [
        ((6, 8), np.uint8, None, r"or those of one plane together with its index, got \(6, 8\)"),
        ((5, 8), np.uint8, (1,), r"or of one plane, \(6, 8\), got \(5, 8\)"),
        ((3, 6, 8), np.float32, None, "must hold integer labels, got float32"),
        ((3, 6, 8), np.uint8, (3,), r"index of the planes \(3,\)"),
        ((3, 6, 8), np.uint8, (0, 1), r"index of the planes \(3,\)"),
        ((3, 6, 8), np.uint8, None, "found.tif: expected labels with any object"),
    ],
)
def test_a_label_file_that_does_not_fit_is_refused(tmp_path, shape, dtype, plane, complaint):
    tifffile.imwrite(tmp_path / "found.tif", np.zeros(shape, dtype), photometric="minisblack")
    with pytest.raises(ValueError, match=complaint):
        prompts_from_label_file(tmp_path / "found.tif", (3, 6, 8), plane=plane)


def test_each_point_is_an_object_of_its_own():
    assert prompts_from_points([[3, 10.5, 20], [4.2, 1, 2]]) == (
        Prompt((3,), [[10.5, 20]], object_id=1),
        Prompt((4,), [[1, 2]], object_id=2),
    )


def test_points_of_one_object_on_one_plane_are_one_prompt():
    prompts = prompts_from_points([[3, 1, 2], [3, 5, 6], [4, 1, 2], [3, 8, 8]], object_ids=[5, 5, 5, 6])
    assert [(p.plane, p.object_id, len(p.points)) for p in prompts] == [((3,), 5, 2), ((4,), 5, 1), ((3,), 6, 1)]


@pytest.mark.parametrize(
    ("points", "ids", "complaint"),
    [([], None, "finite numbers"), ([[1, np.nan, 2]], None, "finite"), ([[1, 2, 3]], [1, 2], "one id per point")],
)
def test_a_table_that_is_none_is_refused(points, ids, complaint):
    with pytest.raises(ValueError, match=complaint):
        prompts_from_points(points, object_ids=ids)
