"""What a walk needs of the model and of the image, and nothing else of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import nan
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_sam.crops import widened
from napari_sam.following import finite, follow
from napari_sam.stack import WHOLE
from napari_sam.views import Decoded, predict_low_res

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_sam.crops import Crop, Window
    from napari_sam.low_res import MaskInput
    from napari_sam.model.sam import Sam
    from napari_sam.prompts import Prompt
    from napari_sam.stack import Pixels, Plane
    from napari_sam.step import PlaneState
    from napari_sam.views import Embedding

    ReadWindow = Callable[[Window], Pixels]

_RING = 3  # pixels around a mask that count as its surroundings
_RIM, _LEAST_AROUND = 2, 5  # pixels: of the edge of a mask, and around it at least, to tell whether it stands apart
_APART = 1.25  # standard deviations of the pixels


class Vision(Protocol):
    """How a walk sees the stack."""

    def decode(
        self, plane: Plane, prompts: Sequence[Prompt], mask_input: Sequence[MaskInput | None]
    ) -> Sequence[Decoded]:
        """Decode prompts on a plane, in one batch; a ``mask_input`` takes the place of the prompt's mask."""

    def click(self, plane: Plane, prompts: Sequence[Prompt]) -> Sequence[Decoded]:
        """Answer lone clicks on a plane with the likeliest mask of each."""

    def follow(self, plane: Plane, states: Sequence[PlaneState]) -> Sequence[PlaneState]:
        """Move objects to a plane as the image has moved since theirs; see `following.follow`."""

    def contrast(self, plane: Plane, mask: Crop, *, least: float = 0.0) -> NDArray[np.float64]:
        """Tell how much brighter a plane is in a mask than around it, ``(C,)``; see `contrast_of`."""

    def stands_apart(self, plane: Plane, mask: Crop) -> bool:
        """Whether a plane differs in a mask from most of what is around it; see `stands_apart`."""

    def resemblance(self, plane: Plane, other: Plane) -> float:
        """Tell how alike the pixels of two planes are, -1 to 1; 0 if one of them is blank."""


@dataclass(frozen=True, slots=True)
class SamVision:
    """See through a model.

    Parameters
    ----------
    sam : Sam
        Decodes.
    get_embedding : callable
        Plane to its embedding, made if it must be.
    get_pixels : callable
        Plane and a window of it, rows and columns, to the pixels there: ``(h, w)`` or ``(h, w, c)``.
    """

    sam: Sam
    get_embedding: Callable[[Plane], Embedding]
    get_pixels: Callable[[Plane, Window], Pixels]

    def decode(
        self, plane: Plane, prompts: Sequence[Prompt], mask_input: Sequence[MaskInput | None]
    ) -> Sequence[Decoded]:
        """Decode prompts on a plane, in one batch and with one mask each."""
        embedding = self.get_embedding(plane)
        return predict_low_res(self.sam, embedding, prompts, multimask_output=False, mask_input=mask_input, nearby=True)

    def click(self, plane: Plane, prompts: Sequence[Prompt]) -> Sequence[Decoded]:
        """Answer lone clicks on a plane with the likeliest mask of each."""
        return predict_low_res(self.sam, self.get_embedding(plane), prompts)

    def follow(self, plane: Plane, states: Sequence[PlaneState]) -> Sequence[PlaneState]:
        """Move objects to a plane as the image has moved since theirs."""
        return follow(states, plane, self.get_pixels)

    def contrast(self, plane: Plane, mask: Crop, *, least: float = 0.0) -> NDArray[np.float64]:
        """Tell how much brighter a plane is in a mask than around it, ``(C,)``."""
        return contrast_of(mask, partial(self.get_pixels, plane), least=least)

    def stands_apart(self, plane: Plane, mask: Crop) -> bool:
        """Whether a plane differs in a mask from most of what is around it."""
        return stands_apart(mask, partial(self.get_pixels, plane))

    def resemblance(self, plane: Plane, other: Plane) -> float:
        """Correlate the pixels of two planes, about 256 x 256 of them; 0 if one of them is blank."""
        both = [self.get_pixels(each, WHOLE) for each in (plane, other)]
        step = max(1, max(both[0].shape[:2]) // 256)
        pair = [finite(pixels[::step, ::step]).ravel() for pixels in both]
        one, two = (pixels - pixels.mean() for pixels in pair)
        size = float(np.sqrt(one @ one) * np.sqrt(two @ two))  # one by one: the product of squares may be too large
        return float(one @ two) / size if size else 0.0


def contrast_of(mask: Crop, get_pixels: ReadWindow, *, least: float = 0.0) -> NDArray[np.float64]:
    """Tell how much brighter the pixels in a mask are than those around it.

    Parameters
    ----------
    mask : Crop of bool
        Of the plane, not empty.
    get_pixels : callable
        A window of the plane, rows and columns, to the pixels there: ``(h, w)`` or ``(h, w, c)``. Asked once, for the
        mask and what is around it.
    least : float
        A difference below this many standard deviations, within the mask and around it, counts as 0.

    Returns
    -------
    ndarray of float
        ``(c,)``, in the units of the pixels; 0 where nothing is around the mask.
    """
    from scipy.ndimage import binary_dilation

    near, inside = _look_around(mask, get_pixels, _RING)
    one, other = near[inside], near[binary_dilation(inside, iterations=_RING) & ~inside]
    if not len(other):
        return np.zeros(near.shape[-1])
    difference = one.mean(axis=0) - other.mean(axis=0)
    return np.where(abs(difference) >= least * _spread(one, other), difference, 0.0)


def stands_apart(mask: Crop, get_pixels: ReadWindow) -> bool:
    """Whether the core of a mask differs from most of the pixels around the mask, within half its size.

    A nucleus in the dark does. What a membrane parts from others like it stands out from the membrane, but not apart.
    The core is the deeper half of the pixels, so that a mask painted too generously says the same.

    Parameters
    ----------
    mask : Crop of bool
        Of the plane, not empty.
    get_pixels : callable
        As for `contrast_of`.
    """
    from scipy.ndimage import binary_dilation

    near, inside = _look_around(mask, get_pixels, max(_LEAST_AROUND, max(mask.pixels.shape) // 2))
    one, other = near[_core(inside)], near[~binary_dilation(inside, iterations=_RIM)]
    if not len(other):
        return False
    return bool((abs(one.mean(axis=0) - np.median(other, axis=0)) > _APART * _spread(one, other)).any())


def _look_around(mask: Crop, get_pixels: ReadWindow, by: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Read a mask with so many pixels around it: the pixels ``(h, w, c)``, and which of them are in the mask."""
    window = widened(mask.window, mask.shape, by)
    return np.atleast_3d(finite(get_pixels(window))), mask.within(window)


def _core(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the half of the pixels of a mask that lies deepest in it; the outside begins behind the edge."""
    from scipy.ndimage import distance_transform_edt

    depth: NDArray[np.float64] = distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    return inside & (depth >= np.median(depth[inside]))


def _spread(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the standard deviation within two groups of pixels ``(., c)``, each counting alike: ``(c,)``."""
    return np.asarray(np.sqrt((one.var(axis=0) + other.var(axis=0)) / 2))


def contrast_left(now: NDArray[np.float64], origin: NDArray[np.float64]) -> float:
    """Tell which share of a contrast ``(c,)`` is left, weighted by what each channel showed of it; NaN without any."""
    shown = float(origin @ origin)
    return float(now @ origin) / shown if shown else nan
