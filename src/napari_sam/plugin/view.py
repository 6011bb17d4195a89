"""How an image layer is seen as a stack of planes: its axes, its level, and the way from data to a plane and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sam import selection
from napari_sam.orientation import turn
from napari_sam.plugin.channels import Channelled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image

    from napari_sam.plugin.channels import Channels
    from napari_sam.prompts import Prompt
    from napari_sam.stack import Plane

Coordinates = NDArray[np.float64]

LARGEST_SIDE = 2048  # pixels; models see at most 1024, and reading more of a pyramid costs without showing more


@dataclass(frozen=True, slots=True, eq=False)
class ImageView:
    """An image layer as planes.

    Attributes
    ----------
    array : array-like
        ``(*stack, h, w)``, or ``(*stack, h, w, channels)`` if `rgb`: one level of the layer's data, turned so that the
        displayed axes come last. Nothing has been read.
    shape : tuple of int
        Of the layer's data at full resolution and in its own order, without colours.
    order : tuple of int
        Axes of the layer's data: the leading ones, then the axis of rows and that of columns. Both parts ascend.
    rgb : bool
        Whether the last axis of `array` holds colours.
    level : int
        Of the pyramid; 0 is full resolution.
    channels : Channels or None
        What the last axis of `array` holds; their own axis has the length 1 in `array` and `shape`.
    """

    array: Any
    shape: tuple[int, ...]
    order: tuple[int, ...]
    rgb: bool = False
    level: int = 0
    channels: Channels | None = None

    @property
    def stack_shape(self) -> tuple[int, ...]:
        """Lengths of the leading axes."""
        return tuple(self.shape[axis] for axis in self.order[:-2])

    @property
    def plane_shape(self) -> tuple[int, int]:
        """``(h, w)`` of a plane at full resolution."""
        rows, columns = self.order[-2:]
        return self.shape[rows], self.shape[columns]

    @property
    def level_shape(self) -> tuple[int, int]:
        """``(h, w)`` of a plane of `array`."""
        height, width = self.array.shape[len(self.stack_shape) :][:2]
        return int(height), int(width)

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """Shape of `array` without colours."""
        return (*self.stack_shape, *self.level_shape)

    def to_plane(self, coordinates: Coordinates) -> tuple[list[Plane], Coordinates]:
        """Split data coordinates ``(N, ndim)`` into N planes (the nearest) and ``(N, 2)`` rows and columns."""
        if self.channels is not None:
            coordinates = coordinates.copy()
            coordinates[:, self.channels.axis] = 0
        leading = np.round(coordinates[:, self.order[:-2]]).astype(int)
        return [tuple(plane) for plane in leading.tolist()], coordinates[:, self.order[-2:]]

    def to_data(self, plane: Plane, rows_columns: Coordinates) -> Coordinates:
        """Join a plane and ``(N, 2)`` rows and columns into data coordinates ``(N, ndim)``; undoes `to_plane`."""
        coordinates = np.empty((len(rows_columns), len(self.shape)))
        coordinates[:, self.order[:-2]] = plane
        coordinates[:, self.order[-2:]] = rows_columns
        return coordinates

    def index(
        self, plane: tuple[int | slice, ...], window: tuple[slice, slice] = (slice(None), slice(None))
    ) -> tuple[int | slice, ...]:
        """Index of a plane, or of a window of it, in data of the layer's shape; what it selects is ``(h, w)``.

        A slice in place of a position selects several planes.
        """
        index: list[int | slice] = [slice(None)] * len(self.shape)
        where = (*plane, *window)
        for axis, position in zip(self.order, where, strict=True):
            index[axis] = position
        return tuple(index)

    def contains(self, plane: Plane) -> bool:
        """Whether there is such a plane."""
        return all(0 <= position < n for position, n in zip(plane, self.stack_shape, strict=True))

    def to_level(self, prompt: Prompt) -> Prompt:
        """Take a prompt from full resolution to the level that is read."""
        return selection.to_level(prompt, (*self.stack_shape, *self.plane_shape), self.spatial_shape)

    def from_level(self, mask: NDArray[Any]) -> NDArray[Any]:
        """Take ``(h, w)`` of the level that is read to full resolution; the nearest pixel counts."""
        return mask if mask.shape == self.plane_shape else selection.resample(mask, self.plane_shape)


def view_image(layer: Image, dims_order: Sequence[int], channels: Channels | None = None) -> ImageView:
    """View an image layer as planes of the axes that are displayed.

    Parameters
    ----------
    layer : napari.layers.Image
        Of any number of axes, RGB or not, multiscale or not; not read.
    dims_order : sequence of int
        ``viewer.dims.order``: the last two are displayed.
    channels : Channels, optional
        What is seen together. None: each channel is a plane.

    Raises
    ------
    ValueError
        If the layer has no plane, or the viewer's last two axes are not both axes of the layer, or one of them holds
        the channels.
    """
    levels = tuple(layer.data) if layer.multiscale else (layer.data,)
    order = _stack_order(dims_order, layer.ndim)
    level = _finest_that_fits([tuple(data.shape) for data in levels], order)
    array = turn(levels[level], (*order, layer.ndim) if layer.rgb else order)
    shape = [int(n) for n in levels[0].shape[: layer.ndim]]
    if channels is not None:
        if channels.axis in order[-2:]:
            msg = f"axis {channels.axis} holds channels and cannot be displayed; roll the axes back or use no channels"
            raise ValueError(msg)
        array = Channelled(array, order.index(channels.axis))
        shape[channels.axis] = 1
    return ImageView(array, tuple(shape), order, bool(layer.rgb), level, channels)


def _stack_order(dims_order: Sequence[int], ndim: int) -> tuple[int, ...]:
    """Axes of a layer of `ndim` axes: those that are not displayed, then the two that are, each ascending.

    The layer's axes are the last ones of the viewer's.
    """
    offset = len(dims_order) - ndim
    own = [axis - offset for axis in dims_order if axis >= offset]
    if ndim < 2 or set(dims_order[-2:]) != {axis + offset for axis in own[-2:]}:
        msg = "the displayed axes are not both axes of the image; roll the axes back or choose another image"
        raise ValueError(msg)
    return (*sorted(own[:-2]), *sorted(own[-2:]))


def _finest_that_fits(shapes: Sequence[tuple[int, ...]], order: tuple[int, ...]) -> int:
    """Choose the first level whose planes are no longer than `LARGEST_SIDE`, among those that have all planes."""
    leading, displayed = order[:-2], order[-2:]
    candidates = [
        level for level, shape in enumerate(shapes) if all(shape[axis] == shapes[0][axis] for axis in leading)
    ]
    fitting = (level for level in candidates if max(shapes[level][axis] for axis in displayed) <= LARGEST_SIDE)
    return next(fitting, candidates[-1])
