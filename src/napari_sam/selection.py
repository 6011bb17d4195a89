"""What of an image file is looked at, and the way between a level of a pyramid and its full resolution."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sam.crops import Crop
from napari_sam.orientation import Orientation
from napari_sam.prompts import Prompt
from napari_sam.stack import Stack, open_stack

if TYPE_CHECKING:
    from napari_sam.image_files import ImageFile


@dataclass(frozen=True, slots=True)
class Selection:
    """What of an image is looked at, and from which side.

    Parameters
    ----------
    channel
        Look only at this channel, counted from 0; give up to three, which are seen as red, green and blue.
    orientation
        Which planes of a volume (z, y, x): rows of xz and yz planes are z.
    level
        Of a pyramid; 0 is the full resolution.
    """

    channel: tuple[int, ...] = ()
    orientation: Orientation = "xy"
    level: int = 0

    def read(self, path: Path | str) -> "ImageFile":
        """Open an image file, see `read_image`.

        Raises
        ------
        OSError, ValueError
            As `read_image`; ValueError also if it has no such level or channel, or a channel is given twice.
        """
        from napari_sam.image_files import read_image  # its tifffile is not needed to describe a selection

        if len(set(self.channel)) < len(self.channel):
            msg = f"each channel may be given once, got {', '.join(map(str, self.channel))}"
            raise ValueError(msg)
        file = read_image(path, level=self.level)
        if self.orientation != "xy" and "Z" in file.spatial_axes[:-3]:
            msg = f"{self.orientation} planes need (z, y, x), {path} has the axes {file.spatial_axes}; reorder them"
            raise ValueError(msg)
        if len(self.channel) == 1:
            return file.channel(self.channel[0])
        if self.channel and file.channel_axis is None:
            msg = f"{path} has no channel axis, got channels {self.channel}"
            raise ValueError(msg)
        if file.rgb and file.channel_axis is not None:
            msg = f"{path} has the axes {file.axes}, colours in each channel; choose one of the channels, such as 0"
            raise ValueError(msg)
        return file

    @property
    def together(self) -> tuple[int, ...] | None:
        """The channels that are left to choose after `read`, as `open_stack` takes them; None: all there are."""
        return self.channel if len(self.channel) > 1 else None

    def open_stack(self, path: Path | str) -> Stack:
        """Open an image file as planes.

        Raises
        ------
        OSError, ValueError
            As `read`; ValueError also if the image has no such planes.
        """
        file = self.read(path)
        return open_stack(
            file.array,
            channel_axis=file.channel_axis,
            rgb=file.rgb,
            channels=self.together,
            orientation=self.orientation,
        )

    def describe(self, path: Path | str) -> str:
        """Say what is looked at, as a note for people: the path, and what differs from all of it."""
        side = "" if self.orientation == "xy" else f", {self.orientation} planes"
        channel = f", channel {' + '.join(map(str, self.channel))}" if self.channel else ""
        return f"{path}{channel}{side}{f', level {self.level}' if self.level else ''}"


def to_level(prompt: Prompt, shape: Sequence[int], level_shape: Sequence[int]) -> Prompt:
    """Take a prompt from the full resolution to a level.

    Parameters
    ----------
    prompt : Prompt
        On a plane of the full resolution.
    shape, level_shape : sequence of int
        Spatial shapes ``(*stack, y, x)``; their outer edges coincide.
    """
    if tuple(shape) == tuple(level_shape):
        return prompt
    zoom = np.divide(level_shape, shape)

    def shrink(points: Any) -> NDArray[np.float64]:
        """Take ``(N, 2)`` pixel centres to the level."""
        return np.asarray((np.reshape(points, (-1, 2)) + 0.5) * zoom[-2:] - 0.5)

    box = None
    if prompt.box is not None:
        corner = np.array([[0.5], [0.5]]) * [[-1], [1]]  # from the centres of its first and last pixels to its edges
        box = np.sort(shrink(np.add(prompt.box, corner)) - corner, axis=0).tolist()
    return replace(
        prompt,
        plane=tuple(int((index + 0.5) * factor) for index, factor in zip(prompt.plane, zoom, strict=False)),
        points=shrink(prompt.points).tolist(),
        box=box,
        mask=None if prompt.mask is None else _shrunk(prompt.mask, (level_shape[-2], level_shape[-1])),
    )


def resample(values: ArrayLike, shape: Sequence[int]) -> NDArray[Any]:
    """Resize an array to another shape by the nearest element, outer edges in place."""
    values = np.asarray(values)
    nearest = (
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(int), old - 1)
        for old, new in zip(values.shape, shape, strict=True)
    )
    return values[np.ix_(*nearest)]


def enlarge(labels: Any, full: Any) -> None:
    """Fill labels of the full resolution, an array-like, plane by plane with those of a level."""
    *stack, height, width = full.shape
    for plane in np.ndindex(*stack):
        at_level = zip(plane, labels.shape[: len(stack)], stack, strict=True)
        there = tuple(int((index + 0.5) * few / many) for index, few, many in at_level)
        full[plane] = resample(labels[there], (height, width))


def _shrunk(mask: Crop, size: tuple[int, int]) -> Crop:
    """Resize the plane of a mask to a smaller size; an object that falls between the pixels keeps one of them."""
    small = resample(mask.full(), size)
    if mask and not small.any():
        middle = mask.centre * size / mask.shape
        small[tuple(np.minimum(middle.astype(int), np.subtract(size, 1)))] = True
    return Crop.of(small)
