"""A volume seen from another side: its axes in another order, without reading or copying anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike, NDArray

Orientation = Literal["xy", "xz", "yz"]

# Of (z, y, x): the axis that is walked along, then rows and columns in the order in which napari shows rolled axes.
_ORDERS = {"xy": (0, 1, 2), "xz": (1, 0, 2), "yz": (2, 0, 1)}


def axis_order(orientation: Orientation, ndim: int) -> tuple[int, ...]:
    """Say in which order the axes of an image come so that planes of an orientation are in the last two.

    Parameters
    ----------
    orientation : {"xy", "xz", "yz"}
        The axes of a plane. Its rows are the one of the two that comes first in the image: z before y before x.
    ndim : int
        Of the image ``(..., z, y, x)``, without channels.

    Returns
    -------
    tuple of int
        As `numpy.transpose` takes it; leading axes, such as time, stay in front.

    Raises
    ------
    ValueError
        If there is no such orientation, or the image has no z.
    """
    if orientation not in get_args(Orientation):
        msg = f"orientation must be one of {', '.join(get_args(Orientation))}, got {orientation!r}"
        raise ValueError(msg)
    if orientation == "xy":
        return tuple(range(ndim))
    if ndim < 3:
        msg = f"{orientation} planes need an image (z, y, x), got {ndim} axes besides channels; use orientation 'xy'"
        raise ValueError(msg)
    return (*range(ndim - 3), *(ndim - 3 + axis for axis in _ORDERS[orientation]))


def turn(array: Any, order: Sequence[int]) -> Any:
    """See an array-like with its axes in another order; what is written into the view is written into the array.

    Parameters
    ----------
    array : array-like
        Has `shape`, `dtype` and basic indexing. Nothing is read.
    order : sequence of int
        As `numpy.transpose` takes it.
    """
    if tuple(order) == tuple(range(len(order))):
        return array
    return array.transpose(order) if isinstance(array, np.ndarray) else Turned(array, order)


def whole_index(index: Any, ndim: int) -> tuple[Any, ...]:
    """Write the index of an array, which may have an ellipsis, as one entry for each of `ndim` axes."""
    keys = list(index) if isinstance(index, tuple) else [index]
    at = next((i for i, key in enumerate(keys) if key is Ellipsis), len(keys))
    rest = [slice(None)] * (ndim - len([key for key in keys if key is not Ellipsis]))
    return (*keys[:at], *rest, *keys[at + 1 :])


class ArrayLike:
    """What is read when it is indexed; numpy gets all of it where it asks for an array."""

    dtype: np.dtype[Any]

    def __getitem__(self, index: Any) -> NDArray[Any]:
        raise NotImplementedError

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return self[...].astype(dtype or self.dtype, copy=bool(copy))


class Turned(ArrayLike):
    """An array-like with its axes in another order; read and written when it is indexed with integers and slices.

    Parameters
    ----------
    array : array-like
        Has `shape`, `dtype` and basic indexing.
    order : sequence of int
        As `numpy.transpose` takes it.
    """

    def __init__(self, array: Any, order: Sequence[int]) -> None:
        self._array = array
        self._order = tuple(order)
        self.shape = tuple(int(array.shape[axis]) for axis in order)
        self.dtype = np.dtype(array.dtype)
        self.ndim = len(self.shape)

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Shape of the pieces in which the array is stored; None if it does not say."""
        chunks = getattr(self._array, "chunks", None)
        return None if chunks is None else tuple(chunks[axis] for axis in self._order)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        inner, kept = self._turned_back(index)
        return np.asarray(self._array[inner]).transpose(np.argsort(np.argsort(kept)))

    def __setitem__(self, index: Any, values: Any) -> None:
        inner, kept = self._turned_back(index)
        values = np.asarray(values)
        self._array[inner] = values.transpose(np.argsort(kept)) if values.ndim else values

    def _turned_back(self, index: Any) -> tuple[tuple[int | slice, ...], list[int]]:
        """Index the array itself; and tell which of its axes are left, in the order of this view."""
        keys = whole_index(index, self.ndim)
        inner: list[int | slice] = [slice(None)] * self.ndim
        for axis, key in zip(self._order, keys, strict=True):
            inner[axis] = key
        return tuple(inner), [axis for axis, key in zip(self._order, keys, strict=True) if isinstance(key, slice)]
