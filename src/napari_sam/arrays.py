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
    """Arrays of one shape in files, one behind the other; a file is read when it is asked for.

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

    def __getitem__(self, index: Any) -> NDArray[Any]:
        which, *rest = whole_index(index, self.ndim)
        if not isinstance(which, slice):
            return np.asarray(self._read(self._paths[which])[tuple(rest)])
        return np.stack([np.asarray(self._read(path)[tuple(rest)]) for path in self._paths[which]])


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
