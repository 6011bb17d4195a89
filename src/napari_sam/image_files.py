"""Images on disk, seen as arrays whose planes are read when they are asked for."""

from __future__ import annotations

import re
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.arrays import OneChannel, PlaneFiles
from napari_sam.tiff_files import axes_of, known_lengths, open_tiff, spacing_of

if TYPE_CHECKING:
    import zarr

_TIFF = (".tif", ".tiff")
_PICTURES = (".png", ".jpg", ".jpeg")
_NUMPY = ".npy"
_ZARR_METADATA = ("zarr.json", ".zarray", ".zgroup")

_MICROMETRE = ("um", "micron", "microns", "micrometer", "\\u00b5m", "\\u00B5m", "μm")  # as files spell it
_UNITS = MappingProxyType({**dict.fromkeys(_MICROMETRE, "µm"), "nanometer": "nm"})
_NAMES = MappingProxyType(  # of the axes of a zarr; other letters stay as they are, and other words are Q
    {
        **dict.fromkeys(("t", "time", "frame", "frames"), "T"),
        **dict.fromkeys(("z", "depth", "plane", "planes", "slice", "slices"), "Z"),
        **dict.fromkeys(("c", "ch", "channel", "channels"), "C"),
        **dict.fromkeys(("y", "row", "rows", "height"), "Y"),
        **dict.fromkeys(("x", "col", "cols", "column", "columns", "width"), "X"),
        **dict.fromkeys(("s", "sample", "samples", "rgb", "rgba"), "S"),
    }
)


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image on disk; nothing but its description is read until `array` is indexed.

    Attributes
    ----------
    array : array-like
        Has shape and dtype, and takes integers and slices.
    axes : str
        One letter per axis of `array`: Y, X, Z, T, C for channels, S for the samples of an RGB image (always last).
    spacing : mapping of str to float
        Distance between pixel centres along the axes for which the file says so, in `unit`.
    unit : str
        Such as "µm"; "pixel" where the file does not say.
    """

    array: Any
    axes: str
    spacing: Mapping[str, float] = field(default_factory=dict)
    unit: str = "pixel"

    @property
    def rgb(self) -> bool:
        """Whether the last axis holds red, green and blue."""
        return self.axes.endswith("S")

    @property
    def channel_axis(self) -> int | None:
        """Index of the channel axis in `array`; None without one."""
        return self.axes.index("C") if "C" in self.axes else None

    @property
    def spatial_axes(self) -> str:
        """Axes of the labels of this image."""
        return self.axes.replace("C", "").replace("S", "")

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """Shape of the labels of this image."""
        sizes = zip(self.axes, self.array.shape, strict=True)
        return tuple(int(size) for axis, size in sizes if axis in self.spatial_axes)

    @property
    def plane_shape(self) -> tuple[int, int]:
        """``(h, w)`` of a plane."""
        height, width = self.spatial_shape[-2:]
        return height, width

    def channel(self, index: int) -> ImageFile:
        """See one channel alone.

        Raises
        ------
        ValueError
            If there is no such channel.
        """
        axis = self.channel_axis
        count = 0 if axis is None else self.array.shape[axis]
        if axis is None or not 0 <= index < count:
            msg = f"channel must be 0 to {count - 1}, got {index}" if count else "the image has no channel axis"
            raise ValueError(msg)
        return replace(self, array=OneChannel(self.array, axis, index), axes=self.axes.replace("C", ""))


def read_image(path: Path | str, *, level: int = 0) -> ImageFile:
    """Open an image file.

    TIFF (with the axes and spacing of OME, ImageJ or tifffile metadata), zarr arrays, OME-Zarr images and .npy files
    are read lazily; PNG and JPEG at once. The pictures in a folder (TIFF, PNG, JPEG) are the planes of a stack, in the
    order of the numbers in their names; or its moments, if each is a volume. A URL, such as ``s3://...``, must lead to
    zarr.

    Parameters
    ----------
    path : Path or str
        A file, a folder or a URL.
    level : int
        Of a pyramid (TIFF or OME-Zarr); 0 is the full resolution, and all that other images have.

    Raises
    ------
    OSError
        If there is nothing to read at `path`.
    ValueError
        If it is not an image in one of these formats, or has no such level, or the pictures of a folder differ in
        shape.
    """
    if "://" in str(path):
        return _read_zarr(path, level)
    path = Path(path)
    if not path.exists():
        msg = f"{path} does not exist"
        raise FileNotFoundError(msg)
    if path.is_dir():
        is_zarr = path.suffix.lower() == ".zarr" or any((path / name).exists() for name in _ZARR_METADATA)
        return _read_zarr(path, level) if is_zarr else _read_folder(path, level)
    if path.suffix.lower() in _TIFF:
        return _read_tiff(path, level)
    if path.suffix.lower() in _PICTURES:
        _check_level(path, level, 1)
        return _read_picture(path)
    if path.suffix.lower() == _NUMPY:
        _check_level(path, level, 1)
        return _read_numpy(path)
    msg = (
        f"{path} is no image that can be read here; expected .tif, .tiff, .png, .jpg, .npy, a .zarr folder or a folder "
        "of pictures: save other formats (.czi, .lif, .nd2, ...) as OME-TIFF, for example in Fiji"
    )
    raise ValueError(msg)


def _check_level(path: Path | str, level: int, count: int) -> None:
    if not 0 <= level < count:
        has = f"levels 0 to {count - 1}" if count > 1 else "no pyramid, only level 0"
        msg = f"{path} has {has}, got level {level}"
        raise ValueError(msg)


# --- TIFF


def _read_tiff(path: Path, level: int) -> ImageFile:
    import zarr

    tiff = open_tiff(path)
    series = tiff.series[0]
    try:
        _check_level(path, level, len(series.levels))
    except ValueError:
        tiff.close()
        raise
    array = zarr.open_array(series.aszarr(level=level), mode="r")
    weakref.finalize(array, tiff.close)  # the file stays open as long as its planes can be asked for
    spacing, unit = spacing_of(tiff)
    wider = {axis: full / n for axis, full, n in zip(axes_of(series), series.shape, array.shape, strict=True)}
    spacing = {axis: step * wider.get(axis, 1.0) for axis, step in spacing.items()}
    return _without_lone_channel(ImageFile(array, axes_of(series), spacing, _spelt(unit)))


# --- zarr


def _read_zarr(path: Path | str, level: int) -> ImageFile:
    import zarr

    try:
        node = zarr.open(path, mode="r")
    except FileNotFoundError as error:
        msg = f"{path} holds no zarr; copy it again, or give the path of an array or image in it"
        raise ValueError(msg) from error
    except (OSError, ValueError, ImportError) as error:  # ImportError: what the protocol of a URL needs
        msg = f"{path} is not a zarr array or group that can be read: {error}"
        raise ValueError(msg) from error
    if isinstance(node, zarr.Group):
        return _read_ome_zarr(path, node, level)
    _check_level(path, level, 1)
    names = getattr(node.metadata, "dimension_names", None)
    axes = _guessed_axes(node.shape) if names is None or None in names else _letters(names, node.shape)
    attributes: Mapping[str, Any] = node.attrs  # spacing and unit are what `write_labels` leaves there
    steps = attributes.get("spacing")
    spacing = known_lengths(dict(zip(axes, steps if isinstance(steps, list) else (), strict=False)))
    return _without_lone_channel(ImageFile(node, axes, spacing, str(attributes.get("unit", "pixel"))))


def _read_ome_zarr(path: Path | str, group: zarr.Group, number: int) -> ImageFile:
    """Open a level of an OME-Zarr image (NGFF 0.1 to 0.5)."""
    import zarr

    metadata: Mapping[str, Any] = group.attrs.get("ome", group.attrs)  # type: ignore[assignment]
    if "multiscales" not in metadata:
        inside = ", ".join(sorted(name for name, _ in group.members())) or "nothing"
        msg = (
            f"{path} is a zarr group without an OME-Zarr image; it holds {inside}: give the path of an array or image "
            "in it"
        )
        raise ValueError(msg)
    try:
        multiscale = metadata["multiscales"][0]
        datasets = [(each["path"], each) for each in multiscale["datasets"]]
        _check_level(path, number, len(datasets) or 1)
        where, level = datasets[number]
        array = group.get(where)
        if not isinstance(array, zarr.Array):
            msg = f"{path} is damaged: its metadata name the array {where!r}, which is not there; copy it again"
            raise ValueError(msg)
        return _without_lone_channel(_described(array, multiscale, _scale_of(level, multiscale, array.ndim)))
    except (LookupError, TypeError, AttributeError) as error:
        msg = (
            f"the OME-Zarr metadata of {path} cannot be understood ({type(error).__name__}: {error}); write it again, "
            "or give the path of an array in it"
        )
        raise ValueError(msg) from error


def _described(array: zarr.Array[Any], multiscale: Mapping[str, Any], scale: Sequence[float]) -> ImageFile:
    """Give an array the axes, the spacing and the unit of its multiscale; the unit is that of x."""
    said = [
        axis if isinstance(axis, Mapping) else {"name": axis} for axis in multiscale.get("axes", "tczyx"[-array.ndim :])
    ]
    if len(said) != array.ndim:
        msg = f"{array.ndim} axes are stored, and {len(said)} described"
        raise IndexError(msg)
    axes = _letters([axis["name"] for axis in said], array.shape)
    units = {letter: axis.get("unit", "pixel") for letter, axis in zip(axes, said, strict=True)}
    unit = units.get("X", "pixel")
    spacing = {axis: step for axis, step in zip(axes, scale, strict=True) if axis in "ZYX" and units[axis] == unit}
    return ImageFile(array, axes, known_lengths(spacing), _spelt(unit))


def _scale_of(level: Mapping[str, Any], multiscale: Mapping[str, Any], ndim: int) -> list[float]:
    scale = np.ones(ndim)
    for transformed in (level, multiscale):
        for transformation in transformed.get("coordinateTransformations", ()):
            if transformation.get("type") == "scale":
                if len(transformation["scale"]) != ndim:
                    msg = f"{ndim} axes are stored, and {len(transformation['scale'])} scaled"
                    raise IndexError(msg)
                scale *= transformation["scale"]
    return [float(step) for step in scale]


# --- PNG and JPEG


def _read_picture(path: Path) -> ImageFile:
    import imageio.v3

    with _readable(path):
        pixels = imageio.v3.imread(path, plugin="pillow")
    if pixels.ndim == 3 and pixels.shape[-1] == 2:
        return ImageFile(pixels[..., 0], "YX")  # grey with transparency
    return ImageFile(pixels, "YXS" if pixels.ndim == 3 else "YX")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SyntaxError) as error:  # SyntaxError is how pillow calls a broken PNG
        msg = f"{path} is not a picture that can be read: {error}"
        raise ValueError(msg) from error


# --- numpy


def _read_numpy(path: Path) -> ImageFile:
    try:
        array = np.load(path, mmap_mode="r")
    except (ValueError, EOFError) as error:
        msg = f"{path} is not an array of numbers that can be read: {error}"
        raise ValueError(msg) from error
    if array.ndim < 2:
        msg = f"{path} must hold (y, x) or have leading axes such as (z, y, x), got shape {array.shape}"
        raise ValueError(msg)
    return ImageFile(array, _guessed_axes(array.shape))


# --- folders of pictures


def _read_folder(folder: Path, level: int) -> ImageFile:
    _check_level(folder, level, 1)
    pictures = (path for path in folder.iterdir() if path.suffix.lower() in (*_TIFF, *_PICTURES))
    paths = sorted((path for path in pictures if path.is_file() and not path.name.startswith(".")), key=_counted)
    if not paths:
        msg = f"{folder} holds neither a zarr nor pictures; expected one .tif, .png or .jpg for each plane in it"
        raise ValueError(msg)
    first = read_image(paths[0])
    described = tuple(first.array.shape), np.dtype(first.array.dtype)
    for path in paths[1:]:
        if (found := _describe(path)) != described:
            msg = (
                f"the pictures of {folder} must be alike: {paths[0].name} has shape {described[0]} and {described[1]}, "
                f"{path.name} {found[0]} and {found[1]}; leave in the folder only the planes of one stack"
            )
            raise ValueError(msg)
    planes = PlaneFiles(paths, lambda path: read_image(path).array, shape=described[0], dtype=described[1])
    return ImageFile(planes, ("T" if "Z" in first.axes else "Z") + first.axes, first.spacing, first.unit)


def _counted(path: Path) -> list[str | int]:
    """Sort key of a file as people count: plane2 comes before plane10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]


def _describe(path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and dtype of what `read_image` would return, without reading or keeping it open."""
    if path.suffix.lower() in _TIFF:
        with open_tiff(path) as tiff:
            series = tiff.series[0]
            array = _without_lone_channel(ImageFile(series, axes_of(series))).array
        return tuple(array.shape), np.dtype(array.dtype)
    import imageio.v3

    with _readable(path):
        properties = imageio.v3.improps(path, plugin="pillow")
    *size, samples = properties.shape if len(properties.shape) == 3 else (*properties.shape, 1)
    return (*size, samples) if samples > 2 else tuple(size), properties.dtype


# --- axes


def _letters(names: Sequence[str], shape: Sequence[int]) -> str:
    letters = "".join(_NAMES.get(name.lower(), name.upper() if len(name) == 1 else "Q") for name in names)
    is_colour = letters.endswith("S") and shape[-1] in (3, 4)
    return letters[:-1].replace("S", "Q") + (letters[-1:] if is_colour else letters[-1:].replace("S", "C"))


def _guessed_axes(shape: Sequence[int]) -> str:
    is_colour = len(shape) > 2 and shape[-1] in (3, 4)  # no plane is so narrow
    return f"{default_axes(len(shape) - 1)}S" if is_colour else default_axes(len(shape))


def default_axes(ndim: int) -> str:
    """Axes of an array that nothing is known about: the last ones of T, Z, Y, X, and Q for what comes before."""
    return ("Q" * (ndim - 4) + "TZYX")[-ndim:]


def _spelt(unit: str) -> str:
    return _UNITS.get(unit, unit)


def _without_lone_channel(image: ImageFile) -> ImageFile:
    axis = image.channel_axis
    return image.channel(0) if axis is not None and image.array.shape[axis] == 1 else image
