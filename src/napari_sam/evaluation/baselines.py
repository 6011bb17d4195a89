"""What can be had from a click, a box or a few masks without any model; a model that does not beat it is of no use."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

if TYPE_CHECKING:
    from collections.abc import Mapping

Mask = NDArray[np.bool_]  # (h, w)
Grey = NDArray[Any]  # (h, w)
Box = tuple[tuple[int, int], tuple[int, int]]  # ((r0, c0), (r1, c1)), both inclusive


def to_grey(pixels: NDArray[Any]) -> Grey:
    """Average the channels of an RGB plane (h, w, c); a grey plane (h, w) stays."""
    return pixels if pixels.ndim == 2 else pixels.mean(axis=-1)


def otsu_components(grey: Grey) -> NDArray[np.int32]:
    """Give a number to each connected component on both sides of Otsu's threshold (Otsu 1979).

    The component under a click is then ``components == components[click]``, bright or dark as the click says.
    """
    above = grey > _otsu(grey)
    bright, count = ndimage.label(above)
    dark, _ = ndimage.label(~above)
    return np.asarray(np.where(above, bright, dark + count), np.int32)


def otsu_in_box(grey: Grey, box: Box) -> Mask:
    """Threshold the pixels of a box by Otsu; the object is the side that is commoner in the middle than at the rim."""
    window = _window(box)
    above = grey[window] > _otsu(grey[window])
    in_ellipse = ellipse_in_box(above.shape, ((0, 0), (above.shape[0] - 1, above.shape[1] - 1)))
    rim = above[~in_ellipse]
    is_bright = above[in_ellipse].mean() > (rim.mean() if rim.size else 0.0)
    mask = np.zeros(grey.shape, dtype=bool)
    mask[window] = above if is_bright else ~above
    return mask


def ellipse_in_box(shape: tuple[int, ...], box: Box) -> Mask:
    """Fill the ellipse that touches the box's outer pixel edges."""
    (top, left), (bottom, right) = box
    rows = (np.arange(top, bottom + 1) - (top + bottom) / 2) / ((bottom - top + 1) / 2)
    columns = (np.arange(left, right + 1) - (left + right) / 2) / ((right - left + 1) / 2)
    mask = np.zeros(shape, dtype=bool)
    mask[_window(box)] = rows[:, None] ** 2 + columns**2 <= 1.0
    return mask


def interpolate(masks: Mapping[int, Mask]) -> dict[int, Mask]:
    """Fill the planes between given masks: the signed distance to the outline changes linearly from one to the next.

    Parameters
    ----------
    masks : mapping of int to ndarray of bool
        Position along the stack to a mask ``(h, w)``, none of them empty.

    Returns
    -------
    dict
        All positions from the first to the last; the given masks as they are.
    """
    filled = dict(masks)
    for below, above in itertools.pairwise(sorted(masks)):
        low, high = _signed_distance(masks[below]), _signed_distance(masks[above])
        for position in range(below + 1, above):
            weight = (position - below) / (above - below)
            filled[position] = (1 - weight) * low + weight * high > 0
    return filled


def _signed_distance(mask: Mask) -> NDArray[np.float64]:
    """Distance to the outline in pixels: positive inside, negative outside, half a pixel next to it."""
    inside, outside = ndimage.distance_transform_edt(mask), ndimage.distance_transform_edt(~mask)
    distance: NDArray[np.float64] = np.where(mask, inside - 0.5, 0.5 - outside)
    return distance


def _window(box: Box) -> tuple[slice, slice]:
    (top, left), (bottom, right) = box
    return slice(top, bottom + 1), slice(left, right + 1)


def _otsu(grey: Grey) -> float:
    return float(threshold_otsu(grey)) if grey.min() < grey.max() else float(grey.flat[0])
