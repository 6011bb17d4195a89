"""Labelled images and volumes as an endless supply of training crops."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_sam.training.augment import draw_look
from napari_sam.training.view import Pose, draw_orientation, sample_view

if TYPE_CHECKING:
    from collections.abc import Sequence

Pixels = NDArray[Any]
Labels = NDArray[np.integer[Any]]

CROP = 256  # model pixels: the side of a crop of middle size
_SIZES = (192, 256, 256, 320)
_VISIBLE = 12  # data pixels: smaller pieces are mostly slivers of an object that ends
_GONE = 0.15  # how often a chain ends with a view that is far away: most objects have ended there
_SHALLOW = 8  # planes: in such a stack no plane is far away, so the crop moves instead
_LENGTHS, _LENGTH_SHARES = (2, 3, 4), (0.5, 0.3, 0.2)  # views of a chain
_STEPS, _STEP_SHARES = (1, 2, 4), (0.65, 0.25, 0.1)  # planes from one view of a chain to the next
_DEEP = 3.0  # how much more often stacks are drawn for chains, in which objects truly change and end
_SMALLEST = 12  # model pixels: to this extent the object in the middle of a crop is enlarged at least
_LARGEST = 0.8  # of a crop's side: the object in its middle is not larger
_ANY_SIZE = 0.4  # how often that object is shown at any size, as in a view that was chosen for it, not at its usual one
_FARTHEST = 4.0  # times the usual zoom; nothing looks natural beyond


@dataclass(frozen=True, slots=True)
class Source:
    """One data set: planes with instance labels, in stacks whose neighbouring planes may follow an object.

    Attributes
    ----------
    images : Sequence[np.ndarray]
        Each ``(z, y, x)`` or ``(z, y, x, 3)``; a lone 2D image has z = 1.
    labels : Sequence[np.ndarray]
        Each ``(z, y, x)`` integers below 2**24, 0 is background.
    weight : float
        How often the source is drawn.
    zoom : float
        Model pixels per data pixel around which the crops are zoomed.
    """

    name: str
    images: Sequence[Pixels]
    labels: Sequence[Labels]
    weight: float
    zoom: float


@dataclass(frozen=True, slots=True)
class Crop:
    """One view, or a chain of views of the same objects: planes of a stack in order, or a plane that moves a little.

    Attributes
    ----------
    images : Tensor
        ``(V, 3, S, S)`` in 0..255, model frame.
    labels : Tensor
        ``(V, S, S)`` int32; ids correspond between the views.
    """

    images: Tensor
    labels: Tensor


def draw_batch(
    sources: Sequence[Source], *, batch: int, chain_share: float, rng: np.random.Generator, side: int | None = None
) -> tuple[Crop, ...]:
    """Draw crops of one size, single views or chains, with about as many pixels as ``batch`` middle-sized ones.

    Their size is drawn, unless it is the fixed ``side`` of a model's input.
    """
    sizes, middle = (_SIZES, CROP) if side is None else ((side,), side)
    views = int(rng.choice(_LENGTHS, p=_LENGTH_SHARES)) if rng.random() < chain_share else 1
    size = int(rng.choice(sizes)) if views <= batch else min(sizes)
    count = max(1, round(batch * middle**2 / size**2 / views))
    return tuple(draw_crop(sources, views=views, size=size, rng=rng) for _ in range(count))


def draw_crop(sources: Sequence[Source], *, views: int, size: int, rng: np.random.Generator) -> Crop:
    """Draw a crop of ``size`` model pixels around an object; there must be one of 12 pixels or more."""
    weights = np.array([source.weight * (_DEEP if views > 1 and _is_deep(source) else 1) for source in sources])
    while True:
        source = sources[rng.choice(len(sources), p=weights / weights.sum())]
        crop = _try_crop(source, views=views, size=size, rng=rng)
        if crop is not None:
            return crop


def _is_deep(source: Source) -> bool:
    return len(source.labels[0]) > 1


def _try_crop(source: Source, *, views: int, size: int, rng: np.random.Generator) -> Crop | None:
    """Draw a plane and a crop of it, and where the crop lies on the following planes; None if the plane is empty."""
    index = rng.choice(len(source.images), p=_stack_shares(source.labels))
    image, labels = source.images[index], source.labels[index]
    axis = _draw_axis(image, labels, rng)
    depth = labels.shape[axis]
    gone = rng.random() < _GONE
    planes = _draw_planes(depth, views=views, far=gone and depth > _SHALLOW, rng=rng)
    spot = _draw_object(np.take(labels, planes[0], axis), rng)
    if spot is None:
        return None
    centre, extent = spot
    zoom = _draw_zoom(source.zoom, extent, size, rng)
    pose = Pose(centre + rng.uniform(-0.3, 0.3, 2) * size / zoom, draw_orientation(rng) / zoom)
    look = draw_look(image, rng)

    shown = []
    for number, z in enumerate(planes):
        if number:
            pose, look = pose.moved(extent, rng, in_stack=depth > 1), look.jittered(rng)
            leaves = gone and depth <= _SHALLOW and number == len(planes) - 1
            pose = pose.elsewhere(size, rng) if leaves else pose
        shown.append(
            sample_view(np.take(image, z, axis), np.take(labels, z, axis), pose, size=size, look=look, rng=rng)
        )
    images, label_maps = zip(*shown, strict=True)
    return Crop(torch.stack(images), torch.stack(label_maps))


def _stack_shares(labels: Sequence[Labels]) -> NDArray[np.float64]:
    shares = np.sqrt([float(stack.size) for stack in labels])
    return np.asarray(shares / shares.sum())


def _draw_axis(image: Pixels, labels: Labels, rng: np.random.Generator) -> int:
    """Nearly cubic volumes are also cut across; other stacks only along z."""
    cubic = image.ndim == 3 and min(labels.shape) >= 50
    return int(rng.choice(3)) if cubic and rng.random() < 0.5 else 0


def _draw_planes(depth: int, *, views: int, far: bool, rng: np.random.Generator) -> tuple[int, ...]:
    """Draw a plane and those that a walk visits next, up or down; the last may be anywhere."""
    steps = rng.choice(_STEPS, views - 1, p=_STEP_SHARES) * rng.choice([-1, 1])
    start = int(rng.integers(depth))
    planes = [start, *(int(np.clip(start + reach, 0, depth - 1)) for reach in np.cumsum(steps))]
    if far and views > 1:
        planes[-1] = int(rng.integers(depth))
    return tuple(planes)


def _draw_object(plane: Labels, rng: np.random.Generator) -> tuple[NDArray[np.float64], float] | None:
    """Return centre (row, column) and extent of one of the objects, in data pixels."""
    present = np.flatnonzero(np.bincount(plane.ravel())[1:] >= _VISIBLE) + 1
    if not len(present):
        return None
    rows, columns = np.nonzero(plane == rng.choice(present))
    extent = math.sqrt((np.ptp(rows) + 1) * (np.ptp(columns) + 1))
    return np.array([rows.mean(), columns.mean()]), extent


def _draw_zoom(around: float, extent: float, size: int, rng: np.random.Generator) -> float:
    """Draw model pixels per data pixel such that the object is neither a speck nor larger than the crop."""
    low, high = _SMALLEST / extent, _LARGEST * size / extent
    usual = around * 2 ** rng.uniform(-1.3, 0.9)
    if rng.random() < _ANY_SIZE:
        usual = np.clip(np.exp(rng.uniform(np.log(low), np.log(high))), around / _FARTHEST, around * _FARTHEST)
    return float(np.clip(usual, min(low, high), high))
