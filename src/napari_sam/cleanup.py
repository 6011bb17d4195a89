"""Clean-up of one object: its largest piece, no holes, a smooth outline, nothing too small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_sam.crops import Crop

if TYPE_CHECKING:
    from collections.abc import Callable

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleanup:
    """What is done to an object, from top to bottom.

    Attributes
    ----------
    smooth : float
        Standard deviation, in pixels of a plane, of the Gaussian after which more than one half is object; 0 for none.
    fill_holes : bool
        Fill background that the object surrounds on a plane.
    min_size : int
        Drop pieces of fewer voxels; pieces are connected through faces, across planes too.
    largest : bool
        Keep the largest piece alone.
    """

    smooth: float = 0.0
    fill_holes: bool = False
    min_size: int = 0
    largest: bool = False


def clean(mask: Mask, options: Cleanup) -> Mask:
    """Clean an object up.

    Parameters
    ----------
    mask : ndarray of bool
        ``(h, w)``, or ``(..., h, w)`` with any number of leading axes; not changed. Voxels outside it count as
        background, so a crop gives the same as the whole stack.
    options : Cleanup
        What to do.

    Returns
    -------
    ndarray of bool
        Of the same shape; empty if nothing was large enough.
    """
    cleaned = mask.copy()
    if options.smooth > 0:
        cleaned = _per_plane(cleaned, lambda plane: _smoothed(plane, options.smooth))
    if options.fill_holes:
        cleaned = _per_plane(cleaned, _filled)
    if options.min_size > 1 or options.largest:
        cleaned = _large_pieces(cleaned, options)
    return cleaned


def largest_piece(mask: Mask) -> Mask:
    """Return the connected piece of a mask ``(h, w)`` that has the most pixels, the first of equals; empty if it is."""
    from scipy.ndimage import label

    crop = Crop.of(mask)  # what is labelled takes the time
    pieces, count = label(crop.pixels)
    if count < 2:
        return mask
    piece = np.zeros_like(mask)
    piece[crop.window] = pieces == 1 + np.bincount(pieces.ravel())[1:].argmax()
    return piece


def _per_plane(mask: Mask, change: Callable[[Mask], Mask]) -> Mask:
    planes = [change(plane) if plane.any() else plane for plane in mask.reshape(-1, *mask.shape[-2:])]
    return np.stack(planes).reshape(mask.shape)


def _smoothed(plane: Mask, sigma: float) -> Mask:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(plane.astype(np.float32), sigma, mode="constant") > 0.5)


def _filled(plane: Mask) -> Mask:
    from scipy.ndimage import binary_fill_holes

    return np.asarray(binary_fill_holes(plane), dtype=bool)


def _large_pieces(mask: Mask, options: Cleanup) -> Mask:
    from scipy.ndimage import label

    pieces, count = label(mask)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    kept = sizes >= options.min_size
    kept[0] = False
    if options.largest and kept.any():
        largest = np.where(kept, sizes, 0).argmax()
        kept[:] = False
        kept[largest] = True
    return np.asarray(kept[pieces])
