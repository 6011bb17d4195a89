"""Channels inside an image layer: which of them the model sees, while the rest of the plugin sees planes. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.stack import chunk_shape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.layers import Image
    from numpy.typing import NDArray

_MOST = 6  # a longer axis holds planes or times


@dataclass(frozen=True, slots=True)
class Channels:
    """The channels that the model sees as one colour image.

    For everything but the model their axis has the length 1: prompts and labels are of all channels.

    Attributes
    ----------
    axis : int
        Of the layer's data.
    chosen : tuple of int
        One to three positions along it: red, green and blue for the model.
    """

    axis: int
    chosen: tuple[int, ...]


def channel_choices(image: Image, displayed: Iterable[int]) -> list[Channels]:
    """List what can be chosen: one to three channels of every short axis that is not displayed."""
    shape = (image.data[0] if image.multiscale else image.data).shape[: image.ndim]
    axes = [axis for axis in range(image.ndim) if axis not in set(displayed) and 2 <= shape[axis] <= _MOST]
    return [
        Channels(axis, chosen)
        for axis in axes
        for count in dict.fromkeys((min(3, shape[axis]), 1, 2))  # two channels have no third
        for chosen in combinations(range(shape[axis]), count)
    ]


class Beside:
    """Labels ``(z, y, x)`` beside an image ``(channels, z, y, x)``, as if they had its first axis, too.

    Parameters
    ----------
    labels : array-like
        Read and written by indices of the image's axes.
    """

    def __init__(self, labels: Any) -> None:
        self._labels = labels
        self.dtype, self.shape, self.chunks = labels.dtype, (1, *labels.shape), (1, *chunk_shape(labels))

    def __getitem__(self, index: tuple[int | slice, ...]) -> Any:
        found = np.asarray(self._labels[index[1:]])
        return found[None] if isinstance(index[0], slice) else found

    def __setitem__(self, index: tuple[int | slice, ...], values: Any) -> None:
        self._labels[index[1:]] = values[0] if isinstance(index[0], slice) else values


class Channelled:
    """An array-like whose channel axis has the length 1, with the channels as another axis at the end."""

    def __init__(self, array: Any, axis: int) -> None:
        self._array, self._axis = array, axis
        self.shape = (*array.shape[:axis], 1, *array.shape[axis + 1 :], array.shape[axis])
        self.dtype = array.dtype
        self.ndim = len(self.shape)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        keys = key if isinstance(key, tuple) else (key,)
        keys = (*keys, *[slice(None)] * (self.ndim - len(keys)))
        own, picked = list(keys[:-1]), keys[-1]
        kept = own[self._axis]
        own[self._axis] = picked
        pixels = np.asarray(self._array[tuple(own)])
        position = sum(isinstance(one, slice) for one in own[: self._axis])
        if isinstance(picked, slice):
            pixels = np.moveaxis(pixels, position, -1)
        return np.expand_dims(pixels, position) if isinstance(kept, slice) else pixels
