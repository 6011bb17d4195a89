"""The components of a mask that are believed to be the object, by what the plane before has shown of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_sam.cleanup import largest_piece

if TYPE_CHECKING:
    from napari_sam.crops import Crop

Components = Literal["supported", "largest", "all"]


def believed(mask: Crop, before: Crop, components: Components) -> Crop:
    """Return what is kept of a mask, given the mask of the plane before."""
    if components == "all":
        return mask
    kept = supported(mask, before)
    return largest(kept) if components == "largest" else kept


def supported(mask: Crop, before: Crop) -> Crop:
    """Return the components of a mask that overlap with the mask of the plane before; all of them if none does."""
    from scipy.ndimage import label

    pieces, count = label(mask.pixels)
    if count < 2:
        return mask
    kept = np.unique(pieces[before.within(mask.window) & mask.pixels])
    return mask.masked(np.isin(pieces, kept)) if kept.size else mask


def largest(mask: Crop) -> Crop:
    """Return the component of a mask that has the most pixels; the first of equals."""
    return mask.masked(largest_piece(mask.pixels))
