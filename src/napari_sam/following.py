"""Follow objects to another plane as the image moves: every pixel of a mask goes where its surroundings went."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_sam.crops import Crop, stretch_around
from napari_sam.low_res import SURE_LOGIT
from napari_sam.motion import flow, pull_logits, resized
from napari_sam.upscaling import upscaled_mask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_sam.crops import Window
    from napari_sam.stack import Pixels, Plane
    from napari_sam.step import PlaneState

    GetPixels = Callable[[Plane, Window], Pixels]

_MARGIN = 16  # low-res cells around an object at least: where it may go, and what shows how it moves
_STEP = 16  # cells: sides are multiples of it, so that few sizes occur and many objects move together
_LARGEST = 128  # cells: motion in larger windows is looked for with fewer
_BLANK = 0.1  # of the spread of the pixels of one plane: another plane with less shows nothing that could have moved
_HUGE = 1e100  # no microscope says more; its square is finite
_RANGE = (1, 99)  # percentiles of the pixels of both planes that become 0 and 1


def follow(states: Sequence[PlaneState], plane: Plane, get_pixels: GetPixels) -> list[PlaneState]:
    """Move objects from their planes to another one, as the pixels around them have moved.

    Parameters
    ----------
    states : sequence of PlaneState
        Objects with pixels.
    plane : tuple of int
        Where they are to be seen.
    get_pixels : callable
        A plane and a window of it, rows and columns, to the pixels there: ``(h, w)`` or ``(h, w, c)``.

    Returns
    -------
    list of PlaneState
        On that plane; where nothing would be left of an object, it stays as it was.
    """
    windows = [_cells_around(state) for state in states]
    under = [_pixels_under(state, window) for state, window in zip(states, windows, strict=True)]
    # First all of the planes before, then all of the other one: who reads from blocks of planes reads each but once.
    before = [get_pixels(state.plane, pixels) for state, pixels in zip(states, under, strict=True)]
    after = [get_pixels(plane, pixels) for pixels in under]
    sizes = [_size(window) for window in windows]
    pairs = [_shown(*each) for each in zip(before, after, sizes, strict=True)]
    moved: dict[int, Tensor] = {}
    with torch.inference_mode():
        for size in dict.fromkeys(sizes):
            here = [i for i, each in enumerate(sizes) if each == size]
            old, new = torch.stack([pairs[i] for i in here]).unbind(1)
            logits = torch.stack([torch.from_numpy(states[i].logits.within(windows[i]))[None] for i in here])
            pulled = pull_logits(logits, resized(flow(new, old), size))
            moved |= dict(zip(here, pulled[:, 0], strict=True))
    return [_moved(state, plane, windows[i], moved[i]) for i, state in enumerate(states)]


def _cells_around(state: PlaneState) -> Window:
    """Rows and columns of the logits around an object with a margin, as far as the frame shows the plane."""
    sides = []
    for axis in (0, 1):
        shown = math.ceil(state.frame.input_size[axis] / state.low_res_stride)
        part = state.logits.window[axis]
        first, last = min(part.start, shown - 1), min(part.stop, shown)
        sides.append(stretch_around(first, last, shown, margin=max(_MARGIN, (last - first) // 4), multiple=_STEP))
    return sides[0], sides[1]


def _size(window: Window) -> tuple[int, int]:
    rows, columns = window
    return rows.stop - rows.start, columns.stop - columns.start


def _pixels_under(state: PlaneState, window: Window) -> Window:
    """Rows and columns of the plane that lie under cells."""
    sides = []
    for axis in (0, 1):
        pixels = state.low_res_stride / state.frame.scale[axis]  # of the plane along a cell
        origin, length = state.frame.origin[axis], state.frame.original_size[axis]
        start = min(int(window[axis].start * pixels), length - 1)
        stop = min(max(math.ceil(window[axis].stop * pixels), start + 1), length)
        sides.append(slice(origin + start, origin + stop))
    return sides[0], sides[1]


def _shown(before: Pixels, after: Pixels, size: tuple[int, int]) -> Tensor:
    """Return what so many cells show of the same pixels of two planes, ``(2, 1, h, w)`` of 0 to 1."""
    coarse = max(1.0, max(size) / _LARGEST)
    target = [max(1, round(side / coarse)) for side in size]
    dense = min(before.shape[0] // target[0], before.shape[1] // target[1])  # pixels along a cell
    skip = max(1, dense // 2)  # two of them are enough
    both = np.stack([np.atleast_3d(finite(pixels[::skip, ::skip])).mean(-1) for pixels in (before, after)])
    spread = both.std(axis=(1, 2))
    if spread.min() <= _BLANK * spread.max():
        both = np.zeros_like(both)
    low, high = np.percentile(both, _RANGE)
    shown = ((both - low) / max(high - low, np.finfo(np.float32).tiny)).clip(-0.5, 1.5).astype(np.float32)
    return F.interpolate(torch.from_numpy(shown)[:, None], target, mode="bilinear", align_corners=False, antialias=True)


def _moved(state: PlaneState, plane: Plane, window: Window, values: Tensor) -> PlaneState:
    rows, columns = window
    logits = Crop(state.logits.shape, rows.start, columns.start, values.numpy(), -SURE_LOGIT)
    mask = upscaled_mask(logits, state.frame)
    return replace(state, plane=plane, mask=mask, logits=logits) if mask else replace(state, plane=plane)


def finite(pixels: Pixels) -> NDArray[np.float64]:
    """Return pixels that can be squared and added up; what is no number counts as 0."""
    return np.nan_to_num(pixels.astype(np.float64), posinf=0, neginf=0).clip(-_HUGE, _HUGE)
