"""A rectangle of a plane and the one value of everything around it: masks and logits without their empty margin."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

Window = tuple[slice, slice]


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """Part of a plane; two are equal when they hold the same pixels at the same place.

    Attributes
    ----------
    shape : tuple of int
        ``(h, w)`` of the plane.
    top, left : int
        Where the pixels begin.
    pixels : ndarray
        Of any size up to that of the plane, or none at all; read-only.
    outside : float
        What the plane holds everywhere else.
    """

    shape: tuple[int, int]
    top: int
    left: int
    pixels: NDArray[Any] = field(repr=False)
    outside: float = 0

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> Crop:
        """Crop a mask ``(h, w)`` to the object in it."""
        return cls.around(mask, mask, outside=0)

    @classmethod
    def around(cls, values: NDArray[Any], where: NDArray[np.bool_], *, outside: float) -> Crop:
        """Crop a plane ``(h, w)`` to the pixels that are true in ``where``; the rest becomes ``outside``."""
        height, width = values.shape
        rows, columns = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
        if rows.size == 0:
            return cls.empty((height, width), values.dtype, outside=outside)
        window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        return cls((height, width), int(rows[0]), int(columns[0]), _frozen(values[window]), outside)

    @classmethod
    def empty(cls, shape: tuple[int, int], dtype: Any = np.bool_, *, outside: float = 0) -> Crop:
        """Return a plane that is ``outside`` everywhere."""
        return cls(shape, 0, 0, np.zeros((0, 0), dtype), outside)

    @property
    def window(self) -> Window:
        """Where in the plane the pixels are."""
        height, width = self.pixels.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    @property
    def area(self) -> int:
        """How many pixels are not zero."""
        return int(np.count_nonzero(self.pixels))

    @property
    def centre(self) -> NDArray[np.float64]:
        """Mean (row, column) of the pixels of a mask, which must not be empty."""
        rows, columns = np.nonzero(self.pixels)
        return np.array([self.top + rows.mean(), self.left + columns.mean()])

    @property
    def touches_border(self) -> bool:
        """Whether a mask, which must be cropped tightly, reaches the border of the plane."""
        (bottom, right), (height, width) = (self.window[0].stop, self.window[1].stop), self.shape
        return bool(self) and (self.top == 0 or self.left == 0 or bottom == height or right == width)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Crop):
            return NotImplemented
        return self is other or (self._place == other._place and np.array_equal(self.pixels, other.pixels))

    def __hash__(self) -> int:
        return hash((self._place, self.pixels.tobytes()))

    @property
    def _place(self) -> tuple[object, ...]:
        return self.shape, self.top, self.left, self.outside

    def __bool__(self) -> bool:
        """Whether there are any pixels; of a tight mask, whether there is an object."""
        return bool(self.pixels.size)

    def full(self) -> NDArray[Any]:
        """Return the whole plane, ``(h, w)``."""
        return self.within((slice(0, self.shape[0]), slice(0, self.shape[1])))

    def within(self, window: Window) -> NDArray[Any]:
        """Return what another window of the plane holds, as an array of its own."""
        size = tuple(part.stop - part.start for part in window)
        values = np.full(size, self.outside, self.pixels.dtype)
        common = _common(self.window, window)
        if common is not None:
            values[_relative(common, window)] = self.pixels[_relative(common, self.window)]
        return values

    def cut(self, window: Window) -> Crop:
        """Return what lies in a window of the plane, as a crop of that window."""
        rows, columns = window
        size = rows.stop - rows.start, columns.stop - columns.start
        common = _common(self.window, window)
        if common is None:
            return Crop.empty(size, self.pixels.dtype, outside=self.outside)
        place = _relative(common, window)
        return Crop(size, place[0].start, place[1].start, self.pixels[_relative(common, self.window)], self.outside)

    def draw(self, values: NDArray[Any], window: Window, value: Any) -> None:
        """Write a value where a mask is true into what a window of the plane holds, in place."""
        common = _common(self.window, window)
        if common is not None:
            values[_relative(common, window)][self.pixels[_relative(common, self.window)]] = value

    def placed(self, corner: tuple[int, int], shape: tuple[int, int]) -> Crop:
        """Take the crop of a window, which begins at a corner of a plane, for one of the plane."""
        return Crop(shape, self.top + corner[0], self.left + corner[1], self.pixels, self.outside)

    def with_window(self, window: Window, mask: NDArray[np.bool_]) -> Crop:
        """Make a mask that is another one in a window and this one around it."""
        around = hull([self.window, window] if self else [window])
        joined = self.within(around)
        joined[_relative(window, around)] = mask
        return Crop(self.shape, around[0].start, around[1].start, joined).trimmed()

    def joined(self, other: Crop) -> Crop:
        """Return what is true in either of two masks of a plane."""
        around = hull([self.window, other.window])
        return Crop(self.shape, around[0].start, around[1].start, self.within(around) | other.within(around))

    def masked(self, keep: NDArray[np.bool_]) -> Crop:
        """Return the part of a mask that is true in ``keep``, which has the size of the pixels."""
        kept = self.pixels & keep
        if np.array_equal(kept, self.pixels):
            return self
        return Crop(self.shape, self.top, self.left, kept).trimmed()

    def trimmed(self) -> Crop:
        """Return a mask without its empty margin; there is one way to say that it is empty."""
        object_only = Crop.of(self.pixels)
        return object_only.placed((self.top, self.left), self.shape) if object_only else Crop.empty(self.shape)

    def shifted(self, rows: int, columns: int) -> Crop:
        """Move the pixels over the plane; what leaves it is cut off."""
        plane = slice(0, self.shape[0]), slice(0, self.shape[1])
        moved = (
            slice(self.top + rows, self.window[0].stop + rows),
            slice(self.left + columns, self.window[1].stop + columns),
        )
        common = _common(moved, plane)
        if common is None:
            return Crop.empty(self.shape, self.pixels.dtype, outside=self.outside)
        pixels = _frozen(self.pixels[_relative(common, moved)])
        return Crop(self.shape, common[0].start, common[1].start, pixels, self.outside)


def crop_objects(labels: NDArray[np.integer[Any]]) -> Iterator[tuple[int, Crop]]:
    """Crop each object of a label plane ``(h, w)``, by id; 0 is background. The plane is looked at once."""
    from scipy.ndimage import find_objects

    inside = labels != 0
    ids, numbers = np.unique(labels[inside], return_inverse=True)
    dense = np.zeros(labels.shape, np.int32)
    dense[inside] = numbers + 1
    height, width = labels.shape
    for number, (rows, columns) in enumerate(find_objects(dense)):
        pixels = _frozen(dense[rows, columns] == number + 1)
        yield int(ids[number]), Crop((height, width), rows.start, columns.start, pixels)


def shared_area(one: Crop, other: Crop) -> int:
    """Count the pixels that two masks of one plane have in common."""
    common = _common(one.window, other.window)
    if common is None:
        return 0
    both = one.pixels[_relative(common, one.window)] & other.pixels[_relative(common, other.window)]
    return int(np.count_nonzero(both))


def iou(one: Crop, other: Crop) -> float:
    """Intersection over union of two masks of one plane; 0 if both are empty."""
    shared = shared_area(one, other)
    union = one.area + other.area - shared
    return shared / union if union else 0.0


def hull(windows: list[Window]) -> Window:
    """Return the smallest window that holds all of these."""
    rows, columns = zip(*windows, strict=True)
    return (
        slice(min(part.start for part in rows), max(part.stop for part in rows)),
        slice(min(part.start for part in columns), max(part.stop for part in columns)),
    )


def stretch_around(first: int, stop: int, length: int, *, margin: int, multiple: int) -> slice:
    """Widen a stretch by a margin on both sides to a multiple, and move it to where it lies within a length."""
    side = min(-(-(stop - first + 2 * margin) // multiple) * multiple, length)
    start = min(max((first + stop - side) // 2, 0), length - side)
    return slice(start, start + side)


def widened(window: Window, shape: tuple[int, int], by: int) -> Window:
    """Move the sides of a window outwards by so many pixels, but not over the border of a plane ``(h, w)``."""
    rows, columns = (
        slice(max(0, part.start - by), min(size, part.stop + by)) for part, size in zip(window, shape, strict=True)
    )
    return rows, columns


def _common(one: Window, other: Window) -> Window | None:
    rows, columns = (slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one, other, strict=True))
    return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def _relative(window: Window, origin: Window) -> Window:
    rows, columns = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(window, origin, strict=True))
    return rows, columns


def _frozen(pixels: NDArray[Any]) -> NDArray[Any]:
    own = pixels.copy()
    own.flags.writeable = False
    return own
