"""From the pixels of a plane to the input of a model, and the geometry between the two."""

import logging
import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from napari_sam.contrast import Contrast
from napari_sam.model.config import InputGrid, Size
from napari_sam.stack import Pixels

MODEL_INPUT_VERSION = 1  # part of the cache key: raise it when `to_model_input` gives other values

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Frame:
    """Geometry of a plane, or of a window of it, and of its model input; all sizes are ``(h, w)`` in pixels.

    With pixel centres at integers in both, ``model = (data - origin + 0.5) * scale - 0.5``: their outer edges coincide.

    Attributes
    ----------
    original_size : tuple of int
        The window; of most frames it is the whole plane.
    input_size : tuple of int
        The window after the resize.
    padded_size : tuple of int
        What the image encoder sees; padded at the bottom and at the right.
    origin : tuple of int
        (row, column) of the window's first pixel.
    plane_shape : tuple of int or None
        The plane that the window is in. None: the window is all of it.
    """

    original_size: Size
    input_size: Size
    padded_size: Size
    origin: tuple[int, int] = (0, 0)
    plane_shape: Size | None = None

    @classmethod
    def for_plane(cls, original_size: Size, grid: InputGrid) -> Self:
        """Return the frame of a plane of ``original_size`` (h, w) in the input grid of a model."""
        return cls(original_size, grid.input_size(original_size), grid.padded_size(original_size))

    @property
    def scale(self) -> tuple[float, float]:
        """Model pixels per data pixel along (row, column)."""
        (height, width), (input_height, input_width) = self.original_size, self.input_size
        return input_height / height, input_width / width

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the plane that the frame shows."""
        (top, left), (height, width) = self.origin, self.original_size
        return slice(top, top + height), slice(left, left + width)

    @property
    def whole(self) -> Size:
        """``(h, w)`` of the plane."""
        return self.original_size if self.plane_shape is None else self.plane_shape

    def spanning(self, other: Self) -> Self:
        """Return the frame of all that two frames of a plane show, as detailed as this one."""
        if other == self:
            return self
        multiple = math.gcd(*self.padded_size, *other.padded_size)
        axes = []
        for one, two, scale in zip(self.window, other.window, self.scale, strict=True):
            start = min(one.start, two.start)
            length = max(one.stop, two.stop) - start
            shown = round(length * scale)
            axes.append((length, shown, -(-shown // multiple) * multiple, start))
        original, shown_size, padded, origin = zip(*axes, strict=True)
        return type(self)(original, shown_size, padded, origin, self.whole)

    def on_plane(self, values: NDArray[Any]) -> NDArray[Any]:
        """Put ``(..., *original_size)`` into ``(..., *plane_shape)``; where the frame is the whole plane, do nothing.

        The rest is 0, and takes no memory until it is touched, on systems that allocate lazily.
        """
        if self.plane_shape is None:
            return values
        plane = np.zeros((*values.shape[:-2], *self.plane_shape), values.dtype)
        plane[..., *self.window] = values
        return plane


def to_model_input(pixels: Pixels, contrast: Contrast, frame: Frame) -> NDArray[np.float32]:
    """Bring a plane into 0..255, to three channels and to the size that a model wants.

    Parameters
    ----------
    pixels : ndarray
        ``(h, w)`` grey, or ``(h, w, c)`` with one to three channels; a grey plane is repeated, a third channel that is
        missing stays black. NaN becomes black, which is logged as a warning; infinities become black or white.
    contrast : Contrast
        The pixel values that become 0 and 255.
    frame : Frame
        Geometry of the plane.

    Returns
    -------
    ndarray of float32
        ``(3, *frame.input_size)``, bilinear, without aliasing where the plane shrinks.
    """
    if pixels.dtype.kind == "f" and (lost := int(np.count_nonzero(np.isnan(pixels)))):
        logger.warning("%d of %d pixels of a plane are NaN; they are treated as black", lost, pixels.size)
    shown = contrast.apply(pixels if pixels.ndim == 3 else pixels[..., None])  # (h, w, c)
    channels = torch.from_numpy(np.ascontiguousarray(np.moveaxis(shown, -1, 0)))
    resized = _resize(channels, frame.input_size).numpy()
    if len(resized) == 1:
        return np.repeat(resized, 3, axis=0)
    return np.pad(resized, ((0, 3 - len(resized)), (0, 0), (0, 0)))


def _resize(x: torch.Tensor, size: Size) -> torch.Tensor:
    """Resize ``(c, h, w)``; the filter is that of Pillow, which the official models were trained with."""
    return F.interpolate(x[None], size, mode="bilinear", align_corners=False, antialias=True)[0]
