"""Labels to disk: complete or not there, in the smallest dtype, with the axes and spacing of the image."""

import numpy as np
import pytest
import tifffile
import zarr

from napari_sam.crops import Crop
from napari_sam.image_files import ImageFile, read_image
from napari_sam.label_files import check_labels_output, open_labels, read_labels, write_labels
from napari_sam.labels import write_masks

LABELS = np.zeros((3, 20, 30), np.uint32)
LABELS[1, 4:9, 5:15] = 7
IMAGE = ImageFile(np.zeros((3, 2, 20, 30)), "ZCYX", {"Z": 1.2, "Y": 0.35, "X": 0.35}, "µm")


@pytest.mark.parametrize("name", ["labels.tif", "labels.ome.tif", "labels.zarr"])
def test_labels_come_back_with_axes_and_spacing_of_the_image(tmp_path, name):
    write_labels(tmp_path / name, LABELS, like=IMAGE)
    again = read_image(tmp_path / name)
    assert (again.axes, again.unit) == ("ZYX", "µm")
    assert again.spacing == pytest.approx(IMAGE.spacing)
    np.testing.assert_array_equal(np.asarray(again.array[...]), LABELS)


@pytest.mark.parametrize(("largest", "dtype"), [(255, "uint8"), (256, "uint16"), (70_000, "uint32")])
def test_the_dtype_is_the_smallest_that_holds_the_ids(tmp_path, largest, dtype):
    write_labels(tmp_path / "labels.tif", np.full((4, 5), largest))
    assert tifffile.imread(tmp_path / "labels.tif").dtype == dtype


def test_a_tiff_is_compressed_and_readers_without_ome_see_the_resolution(tmp_path):
    write_labels(tmp_path / "labels.tif", LABELS, like=IMAGE)
    with tifffile.TiffFile(tmp_path / "labels.tif") as tiff:
        assert tiff.pages.first.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
        across, unit = tiff.pages.first.get_resolution(), tiff.pages.first.resolutionunit
    assert (across, unit) == (pytest.approx((10_000 / 0.35,) * 2), tifffile.RESUNIT.CENTIMETER)


def test_a_zarr_holds_one_chunk_per_plane(tmp_path):
    write_labels(tmp_path / "labels.zarr", LABELS)
    assert zarr.open_array(tmp_path / "labels.zarr", mode="r").chunks == (1, 20, 30)


@pytest.mark.parametrize("name", ["labels.tif", "labels.zarr"])
def test_labels_that_are_filled_appear_at_the_end_as_if_written_at_once(tmp_path, name):
    with open_labels(tmp_path / name, IMAGE, largest=300) as labels:
        labels[1, 4:9, 5:15] = 7
        assert (labels.shape, labels.dtype) == (LABELS.shape, np.uint16)
        assert not (tmp_path / name).exists()
    again = read_image(tmp_path / name)
    assert (again.axes, again.unit, again.spacing) == ("ZYX", "µm", pytest.approx(IMAGE.spacing))
    np.testing.assert_array_equal(np.asarray(again.array[...]), LABELS)


@pytest.mark.parametrize("name", ["labels.tif", "labels.zarr"])
def test_labels_of_work_that_failed_are_not_there(tmp_path, name):
    with pytest.raises(KeyboardInterrupt), open_labels(tmp_path / name, IMAGE, largest=300):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_labels_in_a_zarr_are_never_in_memory_as_a_whole(tmp_path):
    """10 GB of them, which only a zarr holds that is written where something is."""
    image = ImageFile(np.broadcast_to(np.uint8(0), (100, 5000, 5000)), "ZYX")
    with open_labels(tmp_path / "labels.zarr", image, largest=70_000) as labels:
        write_masks(labels, (50,), {70_000: Crop((5000, 5000), 4500, 4500, np.ones((20, 20), bool))})
    chunks = [path for path in (tmp_path / "labels.zarr" / "c").rglob("*") if path.is_file()]
    assert [str(path.relative_to(tmp_path / "labels.zarr")) for path in chunks] == ["c/50/4/4"]


@pytest.mark.parametrize("name", ["labels.tif", "labels.zarr"])
def test_what_exists_is_replaced_only_on_demand(tmp_path, name):
    write_labels(tmp_path / name, LABELS)
    with pytest.raises(FileExistsError, match="exists"):
        write_labels(tmp_path / name, LABELS)
    write_labels(tmp_path / name, LABELS * 2, overwrite=True)
    assert np.asarray(read_image(tmp_path / name).array[...]).max() == 14
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["labels.tif", "labels.zarr"])
def test_a_failed_write_leaves_the_old_labels_and_nothing_else(tmp_path, name, monkeypatch):
    write_labels(tmp_path / name, LABELS)
    before = np.asarray(read_image(tmp_path / name).array[...])

    def full_disk(path, image):
        path.write_bytes(b"half")
        raise OSError

    monkeypatch.setattr("napari_sam.label_files._write_tiff", full_disk)
    monkeypatch.setattr("napari_sam.label_files._write_zarr", full_disk)
    with pytest.raises(OSError):  # noqa: PT011
        write_labels(tmp_path / name, LABELS * 2, overwrite=True)
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / name).array[...]), before)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_that_is_no_zarr_is_never_replaced(tmp_path):
    (tmp_path / "labels.zarr").mkdir()
    (tmp_path / "labels.zarr" / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="not a zarr"):
        write_labels(tmp_path / "labels.zarr", LABELS, overwrite=True)


def test_an_output_is_refused_before_the_work(tmp_path):
    with pytest.raises(ValueError, match="must end with"):
        check_labels_output(tmp_path / "labels.png")
    with pytest.raises(FileNotFoundError, match="create it first"):
        check_labels_output(tmp_path / "nowhere" / "labels.tif")


def test_labels_must_have_the_axes_of_the_image(tmp_path):
    with pytest.raises(ValueError, match="must have the axes ZYX"):
        write_labels(tmp_path / "labels.tif", LABELS[0], like=IMAGE)


def test_ids_that_a_tiff_cannot_hold_are_refused_before_the_work(tmp_path):
    """After hours of segmenting, writing the file ended with a traceback."""
    with pytest.raises(ValueError, match="up to 4294967295"), open_labels(tmp_path / "a.tif", IMAGE, largest=2**32):
        pytest.fail("nothing should be segmented")
    with pytest.raises(ValueError, match=r"got 4294967296; write .*a\.zarr"):
        write_labels(tmp_path / "a.tif", np.full((4, 5), 2**32))
    assert not list(tmp_path.iterdir())
    write_labels(tmp_path / "a.zarr", np.full((4, 5), 2**32))
    with pytest.raises(ValueError, match="ids go up to 18446744073709551615, got 18446744073709551616; renumber"):
        write_labels(tmp_path / "b.zarr", np.full((4, 5), 2**64, object))
    assert read_labels(tmp_path / "a.zarr")[0, 0] == 2**32


@pytest.mark.parametrize("name", ["labels.tif", "labels.ome.tif", "labels.zarr"])
@pytest.mark.parametrize(("shape", "axes"), [((2, 3, 4), "MYX"), ((2, 3, 4), "XYZ"), ((2, 2, 2, 2, 3, 4), "QQTZYX")])
def test_labels_of_axes_that_ome_does_not_know_are_written_all_the_same(tmp_path, name, shape, axes):
    """All was segmented, and then "dimension 'M' not supported" left nothing."""
    image = ImageFile(np.zeros(shape), axes, {"Y": 0.5}, "µm")
    write_labels(tmp_path / name, np.ones(shape, np.uint8), like=image)
    again = read_image(tmp_path / name)
    assert (again.axes, again.spatial_shape, again.spacing["Y"]) == (axes, shape, 0.5)


@pytest.mark.parametrize("name", ["labels.tif", "labels.zarr"])
def test_labels_of_a_stack_of_one_plane_are_a_stack_of_one_plane(tmp_path, name):
    """They came back as (y, x), and `evaluate` said that they do not fit the image for which they were made."""
    write_labels(tmp_path / name, LABELS[1:2], like=IMAGE)
    again = read_image(tmp_path / name)
    assert (again.axes, again.spatial_shape, again.unit) == ("ZYX", (1, 20, 30), "µm")
    assert again.spacing == pytest.approx(IMAGE.spacing)
