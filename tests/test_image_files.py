"""Images on disk: their axes, their spacing, and that planes are read one by one."""

import struct

import numpy as np
import pytest
import tifffile
import zarr
from skimage.io import imsave

from napari_sam.image_files import read_image

STACK = np.random.default_rng(0).integers(0, 4000, (5, 20, 30), np.uint16)
CHANNELS = np.stack([STACK, STACK + 1], axis=1)  # ZCYX


def ome_zarr(path, *levels, version, axes, scale):
    """Write an OME-Zarr image of NGFF 0.4 (zarr v2) or 0.5 (zarr v3); each level has half the rows and columns."""
    group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    datasets = []
    for number, array in enumerate(levels):
        group.create_array(str(number), data=array, chunks=(1,) * (array.ndim - 2) + array.shape[-2:])
        steps = [*scale[:-2], *(step * 2**number for step in scale[-2:])]
        datasets.append({"path": str(number), "coordinateTransformations": [{"type": "scale", "scale": steps}]})
    units = {"z": "micrometer", "y": "micrometer", "x": "micrometer"}
    axes = [{"name": a} | ({"unit": units[a]} if a in units else {}) for a in axes]
    multiscale = {"axes": axes, "datasets": datasets}
    metadata = {"version": version, "multiscales": [multiscale]}
    group.attrs.update(metadata if version == "0.4" else {"ome": metadata})


def test_an_ome_tiff_keeps_axes_and_spacing(tmp_path):
    sizes = {"PhysicalSizeX": 0.35, "PhysicalSizeY": 0.35, "PhysicalSizeZ": 1.2}
    units = {f"{name}Unit": "µm" for name in sizes}
    tifffile.imwrite(tmp_path / "a.ome.tif", CHANNELS, metadata={"axes": "ZCYX", **sizes, **units})
    image = read_image(tmp_path / "a.ome.tif")
    assert (image.axes, image.channel_axis, image.rgb) == ("ZCYX", 1, False)
    assert (image.spacing, image.unit) == ({"Z": 1.2, "Y": 0.35, "X": 0.35}, "µm")
    np.testing.assert_array_equal(image.array[3, 1], CHANNELS[3, 1])


def test_an_imagej_tiff_keeps_axes_and_spacing(tmp_path):
    options = {"resolution": (4, 4), "metadata": {"axes": "ZYX", "spacing": 1.5, "unit": "um"}}
    tifffile.imwrite(tmp_path / "a.tif", STACK, imagej=True, **options)
    image = read_image(tmp_path / "a.tif")
    assert (image.axes, image.spacing, image.unit) == ("ZYX", {"Z": 1.5, "Y": 0.25, "X": 0.25}, "µm")


def test_a_resolution_in_centimetres_becomes_micrometres(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK[0], resolution=(20_000, 20_000), resolutionunit="CENTIMETER")
    assert read_image(tmp_path / "a.tif").spacing == {"Y": 0.5, "X": 0.5}


@pytest.mark.parametrize("size", [0.0, -0.35, np.nan, np.inf])
def test_a_size_of_pixels_that_is_none_is_not_believed(tmp_path, size):
    """The labels of such an image could not be written, which was found at the end of the work."""
    sizes = {"PhysicalSizeX": size, "PhysicalSizeY": 0.5}
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK, metadata={"axes": "ZYX", **sizes})
    tifffile.imwrite(tmp_path / "b.tif", STACK, imagej=True, metadata={"axes": "ZYX", "spacing": size, "unit": "um"})
    ome_zarr(tmp_path / "c.zarr", STACK, version="0.4", axes="zyx", scale=[1.2, 0.5, size])
    zarr.create_array(tmp_path / "d.zarr", data=STACK, attributes={"spacing": [1.2, 0.5, size]})
    spacings = [read_image(tmp_path / name).spacing for name in ("a.ome.tif", "b.tif", "c.zarr", "d.zarr")]
    assert spacings == [{"Y": 0.5}, {"Y": 1.0, "X": 1.0}, {"Z": 1.2, "Y": 0.5}, {"Z": 1.2, "Y": 0.5}]


@pytest.mark.parametrize(
    ("unit", "spacing"), [(4, {"Y": 500.0, "X": 500.0}), (5, {"Y": 0.5, "X": 0.5}), (0, {}), (9, {})]
)
def test_other_units_of_resolution_are_understood_or_left_alone(tmp_path, unit, spacing):
    """Millimetres and micrometres, which some writers use beyond the standard, ended with a KeyError."""
    tifffile.imwrite(tmp_path / "a.tif", STACK[0], resolution=(2, 2), resolutionunit=2)
    content = (tmp_path / "a.tif").read_bytes()
    inch, other = (struct.pack("<HHIHH", 296, 3, 1, number, 0) for number in (2, unit))
    assert content.count(inch) == 1
    (tmp_path / "a.tif").write_bytes(content.replace(inch, other))
    assert read_image(tmp_path / "a.tif").spacing == spacing


def test_a_tiff_that_says_nothing_is_a_stack_of_pixels(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK)
    image = read_image(tmp_path / "a.tif")
    assert (image.axes, image.spacing, image.unit) == ("ZYX", {}, "pixel")


def test_an_rgb_tiff_is_recognised(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 20, 30, 3), np.uint8), photometric="rgb")
    image = read_image(tmp_path / "a.tif")
    assert (image.axes, image.rgb, image.spatial_shape) == ("ZYXS", True, (4, 20, 30))


@pytest.mark.parametrize("options", [{"compression": "zlib"}, {"imagej": True}, {"ome": True}])
def test_a_tiff_is_read_plane_by_plane(tmp_path, options):
    tifffile.imwrite(tmp_path / "a.tif", STACK, metadata={"axes": "ZYX"}, **options)
    image = read_image(tmp_path / "a.tif")
    assert (type(image.array), image.array.chunks) == (zarr.Array, (1, 20, 30))
    np.testing.assert_array_equal(image.array[2], STACK[2])


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_zarr_array_is_read_lazily(tmp_path, zarr_format):
    zarr.create_array(tmp_path / "a.zarr", data=STACK, chunks=(1, 20, 30), zarr_format=zarr_format)
    image = read_image(tmp_path / "a.zarr")
    assert (image.axes, type(image.array)) == ("ZYX", zarr.Array)
    np.testing.assert_array_equal(image.array[4], STACK[4])


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_an_ome_zarr_is_read_at_full_resolution(tmp_path, version):
    ome_zarr(tmp_path / "a.zarr", CHANNELS[None], version=version, axes="tzcyx", scale=[1, 1.2, 1, 0.35, 0.35])
    image = read_image(tmp_path / "a.zarr")
    assert (image.axes, image.channel_axis, image.spatial_shape) == ("TZCYX", 2, (1, 5, 20, 30))
    assert (image.spacing, image.unit) == ({"Z": 1.2, "Y": 0.35, "X": 0.35}, "µm")


def test_a_level_of_an_ome_zarr_has_larger_pixels(tmp_path):
    ome_zarr(tmp_path / "a.zarr", STACK, STACK[:, ::2, ::2], version="0.5", axes="zyx", scale=[1.2, 0.35, 0.35])
    image = read_image(tmp_path / "a.zarr", level=1)
    assert (image.spatial_shape, image.spacing) == ((5, 10, 15), {"Z": 1.2, "Y": 0.7, "X": 0.7})
    np.testing.assert_array_equal(image.array[3], STACK[3, ::2, ::2])


def test_a_level_of_a_tiff_has_larger_pixels(tmp_path):
    options = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(STACK[0], subifds=1, **options)
        tiff.write(STACK[0, ::2, ::2], subfiletype=1)
    assert read_image(tmp_path / "a.tif").spacing == {"Y": 0.5, "X": 0.5}
    image = read_image(tmp_path / "a.tif", level=1)
    assert (image.spatial_shape, image.spacing) == ((10, 15), {"Y": 1.0, "X": 1.0})
    np.testing.assert_array_equal(image.array[...], STACK[0, ::2, ::2])


def test_a_level_that_there_is_not_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK)
    zarr.create_array(tmp_path / "a.zarr", data=STACK)
    ome_zarr(tmp_path / "b.zarr", STACK, STACK[:, ::2, ::2], version="0.5", axes="zyx", scale=[1, 1, 1])
    imsave(tmp_path / "a.png", np.zeros((20, 30), np.uint8), check_contrast=False)
    for name, has in (("a.tif", "no pyramid"), ("a.zarr", "no pyramid"), ("b.zarr", "0 to 1"), ("a.png", "no pyramid")):
        with pytest.raises(ValueError, match=f"{name} has .*{has}.*, got level 2"):
            read_image(tmp_path / name, level=2)


@pytest.mark.parametrize(
    ("names", "axes"),
    [
        (["time", "plane", "row", "col"], "TZYX"),
        (["Depth", "Channel", "Height", "Width"], "ZCYX"),
        (["position", "slice", "y", "x"], "QZYX"),
        (["m", "z", "y", "x"], "MZYX"),
        (["", "", "y", "x"], "QQYX"),
        (["z", "x", "y", "s"], "ZXYC"),
    ],
)
def test_the_axes_of_a_zarr_may_have_words_for_names(tmp_path, names, axes):
    """Columns that were called "col" were taken for channels, and slices for colours, by their first letter."""
    zarr.create_array(tmp_path / "a.zarr", data=CHANNELS, dimension_names=names)
    image = read_image(tmp_path / "a.zarr")
    assert (image.axes, image.rgb) == (axes, False)


def test_a_zarr_whose_last_axis_holds_colours_is_a_colour_image(tmp_path):
    """It was a stack of planes three pixels wide, which a user of the command line could not gainsay."""
    zarr.create_array(tmp_path / "a.zarr", data=np.zeros((5, 20, 30, 3), np.uint8))
    zarr.create_array(tmp_path / "b.zarr", data=np.zeros((20, 30, 4), np.uint8), dimension_names=["y", "x", "rgba"])
    assert [read_image(tmp_path / name).axes for name in ("a.zarr", "b.zarr")] == ["ZYXS", "YXS"]


def test_samples_that_are_no_colours_are_channels(tmp_path):
    pixels = np.zeros((20, 30, 2), np.uint8)
    options = {"photometric": "minisblack", "planarconfig": "contig", "extrasamples": ["unassalpha"]}
    (tmp_path / "folder").mkdir()
    for name in ("a.tif", "folder/1.tif", "folder/2.tif"):
        tifffile.imwrite(tmp_path / name, pixels, **options)
    assert [read_image(tmp_path / name).axes for name in ("a.tif", "folder")] == ["YXC", "ZYXC"]


def test_an_array_may_have_any_number_of_axes(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((1, 1, 2, 1, 2, 2, 5, 6), np.uint8))
    image = read_image(tmp_path / "a.npy")
    assert (image.axes, image.spatial_shape) == ("QQQQTZYX", image.array.shape)


@pytest.mark.parametrize(
    "change",
    [
        lambda multiscales: multiscales.clear(),
        lambda multiscales: multiscales[0].pop("datasets"),
        lambda multiscales: multiscales[0]["datasets"].clear(),
        lambda multiscales: multiscales[0]["axes"].pop(),
        lambda multiscales: multiscales[0]["axes"][0].pop("name"),
        lambda multiscales: multiscales[0]["datasets"][0]["coordinateTransformations"][0]["scale"].pop(),
        lambda multiscales: multiscales.append(multiscales.pop()["axes"]),
    ],
)
def test_metadata_of_an_ome_zarr_that_make_no_sense_are_refused_with_its_name(tmp_path, change):
    """Some ended with a KeyError, others said that an argument of zip is longer."""
    ome_zarr(tmp_path / "a.zarr", STACK, version="0.4", axes="zyx", scale=[1, 1, 1])
    group = zarr.open_group(tmp_path / "a.zarr", mode="r+")
    attributes = group.attrs.asdict()
    change(attributes["multiscales"])
    group.attrs.put(attributes)
    with pytest.raises(ValueError, match=r"metadata of .*a\.zarr cannot be understood .*; write it again, or give"):
        read_image(tmp_path / "a.zarr")


def test_lengths_in_other_units_than_that_of_x_are_left_out(tmp_path):
    """Planes 1 µm apart and pixels of 350 nm became a spacing of 1 and 350 pixels."""
    ome_zarr(tmp_path / "a.zarr", STACK, version="0.4", axes="zyx", scale=[1, 350, 350])
    group = zarr.open_group(tmp_path / "a.zarr", mode="r+")
    [multiscale] = group.attrs["multiscales"]
    for axis in multiscale["axes"][1:]:
        axis["unit"] = "nanometer"
    group.attrs["multiscales"] = [multiscale]
    image = read_image(tmp_path / "a.zarr")
    assert (image.spacing, image.unit) == ({"Y": 350.0, "X": 350.0}, "nm")


def test_a_lone_channel_is_dropped_without_reading(tmp_path):
    ome_zarr(tmp_path / "a.zarr", STACK[None], version="0.5", axes="czyx", scale=[1, 1, 1, 1])
    image = read_image(tmp_path / "a.zarr")
    assert (image.axes, image.array.shape, image.array.ndim) == ("ZYX", (5, 20, 30), 3)
    np.testing.assert_array_equal(image.array[2, 3:9], STACK[2, 3:9])
    np.testing.assert_array_equal(image.array[..., 7], STACK[..., 7])
    np.testing.assert_array_equal(np.asarray(image.array), STACK)


def test_one_channel_can_be_chosen(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", CHANNELS, metadata={"axes": "ZCYX"})
    chosen = read_image(tmp_path / "a.tif").channel(1)
    assert (chosen.axes, chosen.channel_axis) == ("ZYX", None)
    np.testing.assert_array_equal(chosen.array[3], CHANNELS[3, 1])
    with pytest.raises(ValueError, match="channel must be 0 to 1, got 2"):
        read_image(tmp_path / "a.tif").channel(2)


@pytest.mark.parametrize(("shape", "axes"), [((20, 30), "YX"), ((20, 30, 3), "YXS"), ((20, 30, 4), "YXS")])
def test_a_png_is_grey_or_rgb(tmp_path, shape, axes):
    pixels = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    imsave(tmp_path / "a.png", pixels, check_contrast=False)
    image = read_image(tmp_path / "a.png")
    assert (image.axes, image.plane_shape) == (axes, (20, 30))


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.npy", "a.zarr", "a.txt"])
def test_a_file_that_is_no_image_is_refused_with_its_name(tmp_path, name):
    path = tmp_path / name
    if name == "a.zarr":
        path.mkdir()
    else:
        path.write_text("no image")
    with pytest.raises(ValueError, match=name):
        read_image(path)


def test_a_missing_file_is_refused_with_its_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.tif does not exist"):
        read_image(tmp_path / "a.tif")


def test_a_zarr_group_without_an_image_says_what_it_holds(tmp_path):
    zarr.open_group(tmp_path / "a.zarr", mode="w").create_array("raw", data=STACK)
    with pytest.raises(ValueError, match="it holds raw: give the path of an array"):
        read_image(tmp_path / "a.zarr")
    assert read_image(tmp_path / "a.zarr" / "raw").axes == "ZYX"


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_tiff_that_is_cut_off_is_refused_and_not_a_shorter_stack(tmp_path, compression, caplog):
    """A copy that broke off was opened as an image of one plane."""
    tifffile.imwrite(tmp_path / "whole.tif", STACK, compression=compression)
    content = (tmp_path / "whole.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"a\.tif is cut off"):
        read_image(tmp_path / "a.tif")
    assert not caplog.records
    np.testing.assert_array_equal(read_image(tmp_path / "whole.tif").array[4], STACK[4])


@pytest.mark.parametrize("ending", ["tif", "png"])
def test_a_folder_of_pictures_is_a_stack_in_the_order_of_their_numbers(tmp_path, ending):
    for z in range(12):
        imsave(tmp_path / f"plane{z}.{ending}", np.full((20, 30), z, np.uint8), check_contrast=False)
    (tmp_path / "notes.txt").write_text("of the microscope")
    (tmp_path / f"older.{ending}").mkdir()
    image = read_image(tmp_path)
    assert (image.axes, image.spatial_shape, image.array.dtype) == ("ZYX", (12, 20, 30), np.uint8)
    assert image.array[2:12, 0, 0].tolist() == list(range(2, 12))
    np.testing.assert_array_equal(np.asarray(image.array)[10], image.array[10])


def test_a_folder_is_read_a_picture_at_a_time(tmp_path, monkeypatch):
    for z in range(3):
        tifffile.imwrite(tmp_path / f"{z}.tif", STACK[z])
    array, opened = read_image(tmp_path).array, []
    monkeypatch.setattr("napari_sam.image_files.read_image", lambda path: opened.append(path.name) or read_image(path))
    np.testing.assert_array_equal(array[1, 4:9], STACK[1, 4:9])
    assert opened == ["1.tif"]


def test_colours_and_spacing_of_a_folder_are_those_of_its_pictures(tmp_path):
    options = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}
    for z in range(2):
        tifffile.imwrite(tmp_path / f"{z}.tif", np.zeros((20, 30, 3), np.uint8), photometric="rgb", **options)
    image = read_image(tmp_path)
    assert (image.axes, image.rgb, image.spacing) == ("ZYXS", True, {"Y": 0.5, "X": 0.5})


def test_a_folder_of_volumes_is_a_time_lapse(tmp_path):
    for t in range(2):
        tifffile.imwrite(tmp_path / f"t{t}.tif", STACK + t)
    image = read_image(tmp_path)
    assert (image.axes, image.spatial_shape) == ("TZYX", (2, *STACK.shape))
    np.testing.assert_array_equal(image.array[1, 3], STACK[3] + 1)


def test_a_volume_of_a_folder_is_opened_once_for_all_its_planes_and_closed_before_the_next(tmp_path, monkeypatch):
    """A folder of 100 volumes of 200 planes was opened 20,000 times to be encoded."""
    for t in range(3):
        tifffile.imwrite(tmp_path / f"t{t}.tif", STACK + t)
    array, opened, most = read_image(tmp_path).array, [], []

    class Watched(tifffile.TiffFile):
        def __init__(self, path):
            super().__init__(path)
            opened.append(self)
            most.append(sum(not each.filehandle.closed for each in opened))

    monkeypatch.setattr(tifffile, "TiffFile", Watched)
    for t, z in np.ndindex(3, len(STACK)):
        np.testing.assert_array_equal(array[t, z], STACK[z] + t)
    np.testing.assert_array_equal(array[:, 2], [STACK[2], STACK[2] + 1, STACK[2] + 2])
    assert len(opened) == 6
    assert max(most) == 1


def test_pictures_that_do_not_fit_together_are_refused_before_any_is_worked_on(tmp_path):
    for name, width in (("1", 30), ("2", 30), ("overview", 20)):
        imsave(tmp_path / f"{name}.png", np.zeros((20, width), np.uint8), check_contrast=False)
    with pytest.raises(ValueError, match=r"must be alike: 1\.png has shape \(20, 30\).*, overview\.png \(20, 20\)"):
        read_image(tmp_path)


def test_tiffs_that_do_not_fit_together_are_refused_before_any_is_worked_on(tmp_path):
    for name, dtype in (("1", np.uint8), ("2", np.uint8), ("3", np.uint16)):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.zeros((20, 30), dtype))
    with pytest.raises(ValueError, match=r"1\.tif has shape \(20, 30\) and uint8, 3\.tif \(20, 30\) and uint16"):
        read_image(tmp_path)


@pytest.mark.parametrize("options", [{"ome": True, "metadata": {"axes": "ZCYX"}}, {"byteorder": ">"}])
def test_each_tiff_of_a_folder_is_opened_once_to_compare_it_and_once_to_read_it(tmp_path, monkeypatch, options):
    """The first one was opened twice, and zarr was asked to open each; that took 7 times as long."""
    for t in range(3):
        tifffile.imwrite(tmp_path / f"{t}.tif", STACK[:, None] + t, **options)
    open_tiff, opened = tifffile.TiffFile, []
    monkeypatch.setattr(tifffile, "TiffFile", lambda path: opened.append(path.name) or open_tiff(path))
    image = read_image(tmp_path)
    assert opened == ["0.tif", "1.tif", "2.tif"]
    np.testing.assert_array_equal(np.squeeze(image.array[2]), STACK + 2)
    assert opened[3:] == ["2.tif"]


def test_a_folder_without_pictures_says_what_was_expected(tmp_path):
    (tmp_path / "notes.txt").write_text("of the microscope")
    with pytest.raises(ValueError, match="holds neither a zarr nor pictures; expected one"):
        read_image(tmp_path)


@pytest.mark.parametrize(("shape", "axes"), [((5, 20, 30), "ZYX"), ((20, 30), "YX"), ((5, 20, 30, 3), "ZYXS")])
def test_a_numpy_file_is_mapped_and_not_read(tmp_path, shape, axes):
    pixels = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    np.save(tmp_path / "a.npy", pixels)
    image = read_image(tmp_path / "a.npy")
    assert (image.axes, type(image.array)) == (axes, np.memmap)
    np.testing.assert_array_equal(image.array[...], pixels)


@pytest.mark.parametrize("content", [np.array([{}]), np.arange(3), np.float32(1)])
def test_a_numpy_file_without_planes_is_refused_with_its_name(tmp_path, content):
    np.save(tmp_path / "a.npy", content)
    with pytest.raises(ValueError, match=r"a\.npy"):
        read_image(tmp_path / "a.npy")
