"""What a user trains on: images with labels, read, checked and split into a part to learn from and one held out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam.contrast import estimate_contrast
from napari_sam.image import Frame
from napari_sam.image_files import read_image
from napari_sam.stack import Plane, Stack, open_stack
from napari_sam.training.dataset import Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from napari_sam.contrast import Contrast
    from napari_sam.model.config import InputGrid

Labels = NDArray[np.integer[Any]]

MIN_AREA = 20  # pixels on a plane; smaller pieces are mostly slivers of an object that ends
_LABELS = "_labels"
_ENDINGS = (".tif", ".tiff", ".png", ".jpg", ".zarr")
_CLASSES, _PIECES = 3, 8  # labels with so few values in so many pieces each are taken for classes


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """An image and its labels.

    Attributes
    ----------
    name : str
        For logs and error messages.
    stack : Stack
        The image.
    labels : ndarray of int32
        Of the stack's spatial shape, numbered 1, 2, ... without gaps; 0 is background.
    planes : tuple of Plane
        Those that hold an object and are used, in order.
    """

    name: str
    stack: Stack
    labels: NDArray[np.int32]
    planes: tuple[Plane, ...]


def find_pairs(folder: Path) -> list[tuple[Path, Path]]:
    """Find NAME.tif with NAME_labels.tif in a folder; .tiff, .png, .jpg and .zarr do as well.

    Raises
    ------
    OSError
        If there is no such folder.
    ValueError
        If it holds no pair, or labels without their image.
    """
    if not folder.is_dir():
        msg = f"{folder} is no folder; give one with NAME.tif and NAME_labels.tif, or --image and --labels"
        raise NotADirectoryError(msg)
    files = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in _ENDINGS}
    labelled = [stem for stem in files if stem.endswith(_LABELS)]
    if not labelled:
        msg = f"{folder} holds no labels; expected files such as NAME.tif with NAME{_LABELS}.tif"
        raise ValueError(msg)
    alone = [stem for stem in labelled if stem.removesuffix(_LABELS) not in files]
    if alone:
        msg = f"{files[alone[0]]} has no image beside it; expected {alone[0].removesuffix(_LABELS)}.tif"
        raise ValueError(msg)
    return [(files[stem.removesuffix(_LABELS)], files[stem]) for stem in labelled]


def read_pair(image: Path, labels: Path, *, channel: int | None = None) -> Pair:
    """Read an image lazily and its labels at once, and check that they can be learnt from.

    Parameters
    ----------
    image, labels : Path
        TIFF, zarr, OME-Zarr, PNG or JPEG.
    channel : int or None
        Look only at this channel, counted from 0.

    Raises
    ------
    OSError, ValueError
        As `read_image`, `open_stack` and `make_pair` do; the message names the file.
    """
    stack = open_image(image, channel=channel)
    return make_pair(str(labels), stack, np.asarray(read_image(labels).array[...]))


def open_image(path: Path, *, channel: int | None = None) -> Stack:
    """Open an image file as a stack, with all of its channels or one of them."""
    file = read_image(path)
    file = file if channel is None else file.channel(channel)
    return open_stack(file.array, channel_axis=file.channel_axis, rgb=file.rgb)


def is_image(path: Path) -> bool:
    """Whether a file's name is that of an image, and not that of labels."""
    return path.suffix.lower() in _ENDINGS and not path.stem.endswith(_LABELS)


def make_pair(name: str, stack: Stack, labels: NDArray[Any]) -> Pair:
    """Check that labels are instance labels of a stack, and renumber them.

    Objects without a label do no harm: only labelled ones are prompted for. Planes without any are left out.

    Raises
    ------
    ValueError
        If they are no integers or negative, have another shape, hold no object of 20 pixels on a plane, or seem to
        number classes instead of objects.
    """
    if not np.issubdtype(labels.dtype, np.integer):
        msg = f"{name} must hold integers, a number for each object, got {labels.dtype}"
        raise ValueError(msg)
    if labels.shape != stack.spatial_shape:
        msg = f"{name} must have the spatial shape {stack.spatial_shape} of its image, got {labels.shape}"
        raise ValueError(msg)
    if labels.min(initial=0) < 0:
        msg = f"{name} must hold 0 for background and positive numbers for objects, got {labels.min()}"
        raise ValueError(msg)
    numbered = _renumbered(labels)
    planes = tuple(plane for plane in stack.planes() if _has_object(numbered[plane]))
    if not planes:
        msg = f"{name} holds no object of at least {MIN_AREA} pixels on a plane, so there is nothing to learn from"
        raise ValueError(msg)
    _check_instances(name, numbered)
    return Pair(name, stack, numbered, planes)


def hold_out(pairs: Sequence[Pair], share: float, *, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Split pairs into those to learn from and those to validate on.

    Whole images are held out; of a lone volume it is the last of its labelled planes.

    Parameters
    ----------
    pairs : sequence of Pair
        At least one.
    share : float
        Part to hold out, below 1. It is rounded to at least one image or plane, unless it is 0 or there is but one.
    seed : int
        Of the draw of images.

    Raises
    ------
    ValueError
        If there is nothing to split, or the share is out of its range.
    """
    if not pairs:
        msg = "there are no images to train on; give a folder, or --image and --labels"
        raise ValueError(msg)
    if not 0 <= share < 1:
        msg = f"the part that is held out must be at least 0 and below 1, got {share}"
        raise ValueError(msg)
    lone = len(pairs) == 1
    parts = len(pairs[0].planes) if lone else len(pairs)
    count = min(max(1, round(share * parts)), parts - 1) if share else 0
    if lone:
        (pair,) = pairs
        cut = parts - count
        held = [replace(pair, planes=pair.planes[cut:])] if count else []
        return [replace(pair, planes=pair.planes[:cut])], held
    order = np.random.default_rng(seed).permutation(parts)
    return [pairs[i] for i in sorted(order[count:])], [pairs[i] for i in sorted(order[:count])]


def as_source(pair: Pair, grid: InputGrid) -> Source:
    """Read the planes of a pair as stacks of neighbours, around the zoom that the model will see them at.

    An image with channels is brought to uint8 with the contrast that it has at inference.
    """
    runs = list(_runs(pair.planes))
    images = [np.stack([pair.stack.read(plane) for plane in run]) for run in runs]
    if pair.stack.channel_axis is None:
        images = [np.nan_to_num(image, copy=False) for image in images]
    else:
        contrast = estimate_contrast(pair.stack)
        images = [to_colour(image, contrast) for image in images]
    zoom = math.prod(Frame.for_plane(pair.stack.plane_shape, grid).scale) ** 0.5
    weight = math.sqrt(len(pair.planes) * math.prod(pair.stack.plane_shape))
    return Source(pair.name, images, [np.stack([pair.labels[plane] for plane in run]) for run in runs], weight, zoom)


def to_colour(pixels: NDArray[Any], contrast: Contrast) -> NDArray[np.uint8]:
    """Bring ``(..., c)`` to three channels of uint8; a missing one stays black."""
    shown = contrast.apply(pixels).astype(np.uint8)
    return np.pad(shown, [(0, 0)] * (shown.ndim - 1) + [(0, 3 - shown.shape[-1])])


def _renumbered(labels: Labels) -> NDArray[np.int32]:
    ids, numbered = np.unique(labels, return_inverse=True)
    first = 0 if ids[0] == 0 else 1
    return np.asarray(numbered.reshape(labels.shape) + first, np.int32)


def _has_object(plane: NDArray[np.int32]) -> bool:
    return bool((np.bincount(plane.ravel())[1:] >= MIN_AREA).any())


def _check_instances(name: str, labels: NDArray[np.int32]) -> None:
    """Refuse labels whose few values each stand for many pieces that do not touch, in the plane or through planes."""
    count = int(labels.max())
    if count > _CLASSES:
        return
    pieces = sum(_count_pieces(labels == i) for i in range(1, count + 1))
    if pieces >= _PIECES * count:
        msg = (
            f"{name} looks like a mask of classes: {count} value{'s' * (count > 1)} in {pieces} separate pieces; "
            "give each object its own number, e.g. with skimage.measure.label"
        )
        raise ValueError(msg)


def _count_pieces(mask: NDArray[np.bool_]) -> int:
    components, _ = ndimage.label(mask)
    return int((np.bincount(components.ravel())[1:] >= MIN_AREA).sum())


def _runs(planes: Sequence[Plane]) -> Iterator[list[Plane]]:
    """Split planes into runs of neighbours; a gap is where nobody labelled, not where all objects ended."""
    run: list[Plane] = []
    for plane in planes:
        if run and plane != (*run[-1][:-1], run[-1][-1] + 1):
            yield run
            run = []
        run.append(plane)
    yield run
