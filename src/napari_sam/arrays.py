"""Array-likes made of others: files one behind the other, and a single channel; read when they are indexed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.orientation import ArrayLike, whole_index

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import DTypeLike, NDArray


class PlaneFiles(ArrayLike):
    """Arrays of one shape in files, one behind the other; a file is opened when it is asked for.

    The one that was asked for last stays open: most files are volumes, whose planes are read one after the other.

    Parameters
    ----------
    paths : sequence of Path
        One for each index along the first axis.
    read : callable
        Path to array-like.
    shape, dtype
        Of the array in each file.
    """

    def __init__(
        self, paths: Sequence[Path], read: Callable[[Path], Any], *, shape: Sequence[int], dtype: DTypeLike
    ) -> None:
        self._paths, self._read = tuple(paths), read
        self.shape = (len(self._paths), *shape)
        self.ndim = len(self.shape)
        self.dtype = np.dtype(dtype)
        self.chunks = (1, *shape)
        self._opened: tuple[int, Any] | None = None

    def __getitem__(self, index: Any) -> NDArray[Any]:
        which, *rest = whole_index(index, self.ndim)
        if not isinstance(which, slice):
            return np.asarray(self._open(which)[tuple(rest)])
        return np.stack([np.asarray(self._open(i)[tuple(rest)]) for i in range(*which.indices(len(self._paths)))])

    def _open(self, which: int) -> Any:
        opened = self._opened  # other threads may replace it meanwhile
        if opened is None or opened[0] != which:
            opened = self._opened = None  # closed before the next one is opened
            opened = self._opened = which, self._read(self._paths[which])
        return opened[1]


class OneChannel(ArrayLike):
    """An array-like at one index of its channel axis; read when it is indexed with integers and slices.

    Parameters
    ----------
    array : array-like
        With channels.
    axis, index : int
        Which axis holds them, and which of them is seen.
    """

    def __init__(self, array: Any, axis: int, index: int) -> None:
        self._array, self._axis, self._index = array, axis, index
        self.shape = (*array.shape[:axis], *array.shape[axis + 1 :])
        self.ndim = len(self.shape)
        self.dtype = array.dtype

    def __getitem__(self, key: Any) -> NDArray[Any]:
        keys = whole_index(key, self.ndim)
        return np.asarray(self._array[(*keys[: self._axis], self._index, *keys[self._axis :])])
