"""Any array-like seen as a stack of 2D planes; nothing is read until a plane is asked for."""

import math
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam.orientation import Orientation, axis_order, turn

Plane = tuple[int, ...]
Pixels = NDArray[Any]
WHOLE = (slice(None), slice(None))
_BAND = 4 * 2**20  # pixels that are read at once to be made fewer


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """An array-like ``(..., y, x)`` as planes, a channel axis anywhere; made by `open_stack`.

    Attributes
    ----------
    array : array-like
        Has `shape`, `dtype` and basic indexing (numpy, memmap, zarr, h5py, dask, ...); sliced first, converted then.
    channel_axis : int or None
        Axis of `array` that holds channels, counted from 0.
    channels : tuple of int
        The channels that are used, in this order: red, green, blue. Empty without a channel axis.
    rgb : bool
        Whether the channels are colours of one picture, which share one contrast.
    """

    array: Any
    channel_axis: int | None
    channels: tuple[int, ...]
    rgb: bool

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels."""
        dtype: np.dtype[Any] = np.dtype(self.array.dtype)
        return dtype

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """Shape without the channel axis: ``(*stack, y, x)``."""
        return tuple(int(n) for axis, n in enumerate(self.array.shape) if axis != self.channel_axis)

    @property
    def stack_shape(self) -> tuple[int, ...]:
        """Lengths of the leading axes; ``()`` for a 2D image."""
        return self.spatial_shape[:-2]

    @property
    def plane_shape(self) -> tuple[int, int]:
        """``(h, w)`` of each plane, in pixels."""
        height, width = self.spatial_shape[-2:]
        return height, width

    @property
    def plane_bytes(self) -> int:
        """Bytes of the pixels of a plane that are looked at."""
        return math.prod(self.plane_shape) * max(1, len(self.channels)) * self.dtype.itemsize

    @property
    def axes(self) -> tuple[str, ...]:
        """What each axis of `array` is: ``"stack"``, ``"c"``, ``"y"`` or ``"x"``."""
        names = ["stack"] * len(self.stack_shape) + ["y", "x"]
        if self.channel_axis is not None:
            names.insert(self.channel_axis, "c")
        return tuple(names)

    def planes(self) -> Iterator[Plane]:
        """Iterate over the indices of all planes, the last index fastest."""
        return np.ndindex(self.stack_shape)

    def check_plane(self, plane: Plane) -> Plane:
        """Return `plane` as a tuple of int, or raise ValueError if the stack has no such plane."""
        try:
            index = tuple(operator.index(i) for i in plane)
        except TypeError:
            msg = f"plane must be a tuple of integers, got {plane!r}; write e.g. (3,), and () for a 2D image"
            raise ValueError(msg) from None
        within = len(index) == len(self.stack_shape)
        if not within or not all(0 <= i < n for i, n in zip(index, self.stack_shape, strict=True)):
            msg = f"plane {index} is not in the image, {self._told_planes()}"
            raise ValueError(msg)
        return index

    def positions(self, axis: int, start: int | None = None, stop: int | None = None) -> range:
        """Return the positions along a leading axis from ``start`` to before ``stop``, by default all.

        Raises
        ------
        ValueError
            If there is no such axis, or no such positions on it.
        """
        leading = self.stack_shape
        if not 0 <= axis < len(leading):
            msg = (
                f"axis must be one of the {len(leading)} leading axes of the image, counted from 0, got {axis}; "
                "a single plane has none: use segment"
            )
            raise ValueError(msg)
        first = 0 if start is None else start
        last = leading[axis] if stop is None else stop
        if not 0 <= first < last <= leading[axis]:
            msg = f"expected 0 <= start < stop <= {leading[axis]} on axis {axis}, got start {start} and stop {stop}"
            raise ValueError(msg)
        return range(first, last)

    def _told_planes(self) -> str:
        if not self.stack_shape:
            return "which is a single plane: its index is ()"
        last = tuple(n - 1 for n in self.stack_shape)
        return f"whose planes are {(0,) * len(last)} to {last}: one number for each axis before (row, column)"

    def read(self, plane: Plane, window: tuple[slice, slice] = WHOLE) -> Pixels:
        """Read one plane, or a window of it.

        Parameters
        ----------
        plane : tuple of int
            Index of the plane.
        window : tuple of slice
            Rows and columns, step 1.

        Returns
        -------
        ndarray
            ``(h, w)``, or ``(h, w, c)`` where the stack has channels; the dtype of the stack.
        """
        return self._take([*self.check_plane(plane), *window])

    def read_block(self, plane: Plane, most: int) -> dict[Plane, Pixels]:
        """Read a plane, and with it those that share its chunks of the array: they cost no further reading.

        Parameters
        ----------
        plane : tuple of int
            Index of the plane.
        most : int
            Bytes that they may have together; a single plane may have more.

        Returns
        -------
        dict of tuple of int to ndarray
            What `read` would return of each.
        """
        plane = self.check_plane(plane)
        positions = self._stored_together(plane, max(1, most // self.plane_bytes))
        if len(positions) < 2:
            return {plane: self.read(plane)}
        block = self._take([*plane[:-1], slice(positions.start, positions.stop), *WHOLE])
        return {(*plane[:-1], position): pixels for position, pixels in zip(positions, block, strict=True)}

    def _stored_together(self, plane: Plane, most: int) -> range:
        """Positions along the last leading axis that share the chunks of a plane, that of the plane among them."""
        if not plane:
            return range(0)
        axes = [axis for axis in range(len(self.array.shape)) if axis != self.channel_axis]
        depth = chunk_shape(self.array)[axes[-3]]
        chunk = plane[-1] // depth * depth
        count = min(depth, most)
        start = chunk + (plane[-1] - chunk) // count * count
        return range(start, min(start + count, chunk + depth, self.stack_shape[-1]))

    def _take(self, index: list[int | slice]) -> Pixels:
        if self.channel_axis is None:
            return np.asarray(self.array[tuple(index)])
        first = min(self.channels)
        index.insert(self.channel_axis, slice(first, max(self.channels) + 1))
        pixels = np.asarray(self.array[tuple(index)])
        position = sum(isinstance(i, slice) for i in index[: self.channel_axis])
        return np.moveaxis(pixels, position, -1)[..., [c - first for c in self.channels]]

    def read_reduced(self, plane: Plane, window: tuple[slice, slice], factor: int) -> Pixels:
        """Read a window of a plane as `reduce_pixels` makes it smaller, a band of rows at a time.

        Parameters
        ----------
        plane : tuple of int
            Index of the plane.
        window : tuple of slice
            Rows and columns, both from where to where.
        factor : int
            Pixels that become one.
        """
        rows, columns = window
        if factor == 1:
            return self.read(plane, window)
        band = max(1, _BAND // (factor * (columns.stop - columns.start))) * factor
        bands = (slice(start, min(start + band, rows.stop)) for start in range(rows.start, rows.stop, band))
        return np.concatenate([reduce_pixels(self.read(plane, (each, columns)), factor) for each in bands])


def reduce_pixels(pixels: Pixels, factor: int) -> Pixels:
    """Shrink ``(h, w[, c])`` to the means of squares of ``factor`` pixels, float32; those at the end may be cut."""
    if factor == 1:
        return pixels
    exact = np.float64 if pixels.dtype.kind == "f" else np.int64
    total = np.asarray(pixels)
    for axis in (0, 1):
        starts = np.arange(0, total.shape[axis], factor)
        counts = np.diff(starts, append=total.shape[axis])
        total = np.add.reduceat(total, starts, axis=axis, dtype=exact) / _along(counts, axis, total.ndim)
        exact = np.float64
    return total.astype(np.float32)


def _along(values: NDArray[Any], axis: int, ndim: int) -> NDArray[Any]:
    return values.reshape([-1 if i == axis else 1 for i in range(ndim)])


def chunk_shape(array: Any) -> tuple[int, ...]:
    """Shape of the pieces in which an array-like is stored, the largest if they differ; 1 where it does not say."""
    chunks = getattr(array, "chunks", None) or (1,) * len(array.shape)
    return tuple(int(max(chunk)) if isinstance(chunk, tuple) else int(chunk) for chunk in chunks)


def open_stack(
    image: Any,
    *,
    channel_axis: int | None = None,
    rgb: bool = False,
    channels: Sequence[int] | None = None,
    orientation: Orientation = "xy",
) -> Stack:
    """View `image` as a stack of planes without reading it.

    Parameters
    ----------
    image : array-like
        ``(y, x)``, ``(z, y, x)`` or with more leading axes; bool, integer or float.
    channel_axis : int, optional
        Axis that holds channels, negative counts from the end. None: the image is grey.
    rgb : bool
        The last axis holds red, green, blue and perhaps alpha, which is ignored.
    channels : sequence of int, optional
        One to three indices along the channel axis. None: all of them.
    orientation : {"xy", "xz", "yz"}
        Which planes of an image ``(..., z, y, x)``; those of "xz" are ``(z, x)`` and have an index along y.

    Raises
    ------
    ValueError
        If there is no plane in `image`, its dtype is not a number or its channels are not one to three.
    """
    array = _as_sliceable(image)
    if rgb and channel_axis is not None:
        msg = f"rgb=True means channel_axis=-1, got also channel_axis={channel_axis}; give one of them"
        raise ValueError(msg)
    axis = _checked_axis(array.shape, -1 if rgb else channel_axis)
    used = _checked_channels(array.shape, axis, rgb=rgb, channels=channels)
    stack = Stack(array, axis, used, rgb)
    _check_planes(stack)
    return stack if orientation == "xy" else _turned(stack, orientation)


def _as_sliceable(image: Any) -> Any:
    try:
        np.dtype(image.dtype)
        len(image.shape)
    except (AttributeError, TypeError):
        try:
            image = np.asarray(image)
        except ValueError as error:
            msg = f"image must be one array, got a {type(image).__name__}; of a pyramid, pick one level"
            raise ValueError(msg) from error
    if np.dtype(image.dtype).kind not in "buif":
        msg = f"image must be bool, integer or float, got dtype {image.dtype}; convert it first"
        raise ValueError(msg)
    return image


def _turned(stack: Stack, orientation: Orientation) -> Stack:
    spatial = [axis for axis in range(len(stack.array.shape)) if axis != stack.channel_axis]
    order = [spatial[i] for i in axis_order(orientation, len(spatial))]
    if stack.channel_axis is None:
        return replace(stack, array=turn(stack.array, order))
    return replace(stack, array=turn(stack.array, [*order, stack.channel_axis]), channel_axis=len(order))


def _checked_axis(shape: tuple[int, ...], axis: int | None) -> int | None:
    if axis is None:
        return None
    if not -len(shape) <= axis < len(shape):
        msg = f"channel_axis must be an axis of the image, got {axis} for shape {tuple(shape)}"
        raise ValueError(msg)
    return axis % len(shape)


def _checked_channels(
    shape: tuple[int, ...], axis: int | None, *, rgb: bool, channels: Sequence[int] | None
) -> tuple[int, ...]:
    if axis is None:
        if channels is not None:
            msg = f"channels={tuple(channels)} needs a channel axis; give channel_axis as well"
            raise ValueError(msg)
        return ()
    count = int(shape[axis])
    if rgb and count not in (3, 4):
        msg = f"rgb=True needs a last axis of 3 or 4, got shape {tuple(shape)}; drop rgb or give channel_axis"
        raise ValueError(msg)
    used = tuple(range(3 if rgb else count)) if channels is None else tuple(operator.index(c) for c in channels)
    if not 1 <= len(used) <= 3 or not all(0 <= c < count for c in used):
        what = "all of them" if channels is None else f"channels={used}"
        msg = f"one to three of the image's {count} channels can be used, got {what}; choose some, such as 0 and 1"
        raise ValueError(msg)
    return used


def _check_planes(stack: Stack) -> None:
    shape = tuple(stack.array.shape)
    if len(stack.spatial_shape) < 2:
        msg = f"image must be (y, x) or have leading axes such as (z, y, x), got shape {shape}"
        raise ValueError(msg)
    if math.prod(shape) == 0:
        msg = f"image must not be empty, got shape {shape}"
        raise ValueError(msg)
    if stack.channel_axis is None and stack.stack_shape and shape[-1] in (3, 4):
        msg = f"image of shape {shape} has planes only {shape[-1]} pixels wide; for a colour image give rgb=True"
        raise ValueError(msg)
