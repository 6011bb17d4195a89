"""Pictures of labels over the image: contours in colours that colour-blind people can tell apart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

Colours = npt.NDArray[np.uint8]  # (h, w, 3)

# Okabe and Ito 2008, without black; yellow last, because it is hard to see on bright images.
PALETTE = np.array(
    [(230, 159, 0), (86, 180, 233), (0, 158, 115), (213, 94, 0), (204, 121, 167), (0, 114, 178), (240, 228, 66)],
    np.uint8,
)


def draw_contours(pixels: npt.NDArray[Any], labels: npt.NDArray[Any], *, limits: tuple[float, float]) -> Colours:
    """Draw the contours of labels over a plane, at twice its size so that they stay thin.

    Parameters
    ----------
    pixels : ndarray, shape (h, w) or (h, w, 3)
        The plane.
    labels : ndarray of int, shape (h, w)
        0 is background.
    limits : (float, float)
        Pixel values that become black and white.

    Returns
    -------
    ndarray of uint8, shape (2h, 2w, 3)
        RGB.
    """
    low, high = limits
    grey = np.clip((pixels.astype(np.float32) - low) * (255.0 / max(high - low, 1e-6)), 0, 255).astype(np.uint8)
    picture = _doubled(grey if grey.ndim == 3 else np.repeat(grey[..., None], 3, axis=-1))
    large = _doubled(labels)
    edge = (large != 0) & _has_other_neighbour(large)
    picture[edge] = PALETTE[(large[edge] - 1) % len(PALETTE)]
    return picture


def montage(pictures: Sequence[Colours], *, gap: int = 4) -> Colours:
    """Arrange pictures of one size (h, w, 3) in rows, about as many as columns, with a white gap in pixels."""
    columns = math.ceil(math.sqrt(len(pictures)))
    height, width = pictures[0].shape[:2]
    rows = math.ceil(len(pictures) / columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for number, picture in enumerate(pictures):
        top, left = number // columns * (height + gap), number % columns * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def _doubled(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return array.repeat(2, axis=0).repeat(2, axis=1)


def _has_other_neighbour(labels: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Whether one of the four neighbours has another label; (h, w)."""
    other = np.zeros(labels.shape, dtype=bool)
    down, across = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    other[1:] |= down
    other[:-1] |= down
    other[:, 1:] |= across
    other[:, :-1] |= across
    return other
