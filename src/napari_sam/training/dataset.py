"""Labelled images and volumes as an endless stream of training crops."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_sam.training.augment import Look, photometric

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PADDING = 127.0  # what the model's frame is padded with, before normalisation
_SIZES = (192, 256, 256, 320)  # model pixels: sides of a crop
_PIXELS = 2 * 256**2  # model pixels of one batch, whatever its crops' size


@dataclass(frozen=True, slots=True)
class Source:
    """One data set: planes with instance labels, in stacks whose neighbouring planes may follow an object.

    Attributes
    ----------
    images : Sequence[np.ndarray]
        Each ``(z, y, x)`` or ``(z, y, x, 3)``; a lone 2D image has z = 1.
    labels : Sequence[np.ndarray]
        Each ``(z, y, x)`` integers, 0 is background.
    weight : float
        How often the source is drawn.
    zoom : float
        Model pixels per data pixel around which the crops are zoomed.
    """

    name: str
    images: Sequence[np.ndarray]
    labels: Sequence[np.ndarray]
    weight: float
    zoom: float


@dataclass(frozen=True, slots=True)
class Crop:
    """A pair of views of the same objects: two neighbouring planes, or one plane that moved a little.

    Attributes
    ----------
    images : Tensor
        ``(2, 3, S, S)`` in 0..255, model frame.
    labels : Tensor
        ``(2, S, S)`` int32; ids correspond between the two views.
    """

    images: Tensor
    labels: Tensor


def crops(sources: Sequence[Source], *, pair: bool, size: int, rng: np.random.Generator) -> Iterator[Crop]:
    """Yield crops for ever; a crop always shows at least one object of 12 px or more."""
    weights = np.array([source.weight for source in sources])
    while True:
        source = sources[rng.choice(len(sources), p=weights / weights.sum())]
        crop = _crop(source, pair=pair, size=size, rng=rng)
        if crop is not None:
            yield crop


def batches(
    sources: Sequence[Source], *, pair_share: float, rng: np.random.Generator
) -> Iterator[tuple[bool, list[Crop]]]:
    """Yield ``(pair, crops)`` of one size and about the same number of pixels."""
    while True:
        size = int(rng.choice(_SIZES))
        pair = bool(rng.random() < pair_share)
        count = max(1, round(_PIXELS / size**2 / (2 if pair else 1)))
        stream = crops(sources, pair=pair, size=size, rng=rng)
        yield pair, [next(stream) for _ in range(count)]


def _crop(source: Source, *, pair: bool, size: int, rng: np.random.Generator) -> Crop | None:
    index = rng.choice(len(source.images), p=_plane_shares(source.labels))
    image, labels = source.images[index], source.labels[index]
    axis = _axis(image, labels, rng)
    depth = labels.shape[axis]
    first = int(rng.integers(depth))
    step = int(rng.choice([-2, -1, -1, 1, 1, 2])) if depth > 1 else 0
    second = int(np.clip(first + step, 0, depth - 1))
    planes = [first, second] if pair else [first]

    plane = labels.take(first, axis)
    present = np.flatnonzero(np.bincount(plane.ravel())[1:] >= 12) + 1
    if not len(present):
        return None
    rows, columns = np.nonzero(plane == rng.choice(present))
    extent = math.sqrt((np.ptp(rows) + 1) * (np.ptp(columns) + 1))
    low, high = 14 / extent, 0.8 * size / extent
    zoom = float(np.clip(source.zoom * 2 ** rng.uniform(-1.3, 0.9), min(low, high), high))
    centre = np.array([rows.mean(), columns.mean()]) + rng.uniform(-0.3, 0.3, 2) * size / zoom
    theta = _matrix(zoom, rng)

    views = []
    look = photometric(image, rng)
    for number, z in enumerate(planes):
        if number:
            drift = rng.normal(0, 0.12 if depth > 1 else 0.25, 2) * extent
            centre = centre + drift
            theta = theta @ _small_motion(rng, still=depth > 1)
            look = look.jittered(rng)
        pixels = image.take(z, axis)
        views.append(_view(pixels, labels.take(z, axis), centre, theta, size, look, rng))
    images, label_maps = zip(*views, strict=True)
    return Crop(torch.stack(images), torch.stack(label_maps))


def _plane_shares(labels: Sequence[np.ndarray]) -> np.ndarray:
    shares = np.array([math.sqrt(stack.shape[0] * stack.shape[1] * stack.shape[2]) for stack in labels])
    return np.asarray(shares / shares.sum())


def _axis(image: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> int:
    """Nearly cubic volumes are also cut across; other stacks only along z."""
    cubic = image.ndim == 3 and min(labels.shape) >= 50
    return int(rng.choice(3)) if cubic and rng.random() < 0.5 else 0


def _matrix(zoom: float, rng: np.random.Generator) -> np.ndarray:
    """2x2 from model to data offsets (row, column): rotation, flip, anisotropy."""
    angle = rng.choice([0, 0.5, 1, 1.5]) * math.pi if rng.random() < 0.6 else rng.uniform(0, 2 * math.pi)
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    flip = np.diag([1.0, rng.choice([-1.0, 1.0])])
    stretch = 2 ** rng.uniform(-0.2, 0.2)
    return rotation @ flip @ np.diag([stretch, 1 / stretch]) / zoom


def _small_motion(rng: np.random.Generator, *, still: bool) -> np.ndarray:
    angle = rng.normal(0, 0.03 if still else 0.15)
    zoom = 2 ** rng.normal(0, 0.03 if still else 0.12)
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]) * zoom


def _view(
    pixels: np.ndarray,
    labels: np.ndarray,
    centre: np.ndarray,
    theta: np.ndarray,
    size: int,
    look: Look,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Sample one plane at ``centre + theta @ offset``; returns ``(3, S, S)`` and ``(S, S)``."""
    reach = np.abs(theta).sum(1) * size / 2 + 2
    top, left = np.maximum(np.floor(centre - reach), 0).astype(int)
    bottom, right = np.minimum(np.ceil(centre + reach) + 1, labels.shape).astype(int)
    if bottom - top < 2 or right - left < 2:
        return torch.full((3, size, size), PADDING), torch.zeros(size, size, dtype=torch.int32)
    window = np.atleast_3d(pixels[top:bottom, left:right]).astype(np.float32)
    ids = labels[top:bottom, left:right].astype(np.int64)

    x = torch.from_numpy(look.contrast(window)).permute(2, 0, 1)[None]  # (1, c, h, w) in 0..1
    shrink = float(np.sqrt(np.abs(np.linalg.det(theta))))
    if shrink > 1.3:  # anti-alias before sampling with gaps
        h, w = (max(2, round(n / shrink)) for n in ids.shape)
        x = F.interpolate(x, (h, w), mode="bilinear", antialias=True, align_corners=False)
    grid, inside = _grid(centre - (top, left), theta, size, ids.shape)
    x = F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)[0]
    y = F.grid_sample(torch.from_numpy(ids.astype(np.float32))[None, None], grid, mode="nearest", align_corners=False)
    x = look.finish(x.expand(3, -1, -1), rng) * 255
    return torch.where(inside, x, PADDING), (y[0, 0] * inside).to(torch.int32)


def _grid(centre: np.ndarray, theta: np.ndarray, size: int, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    steps = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
    rows, columns = torch.meshgrid(steps, steps, indexing="ij")
    y = centre[0] + theta[0, 0] * rows + theta[0, 1] * columns
    x = centre[1] + theta[1, 0] * rows + theta[1, 1] * columns
    inside = (y > -0.5) & (y < shape[0] - 0.5) & (x > -0.5) & (x < shape[1] - 0.5)
    unit = torch.stack([(2 * x + 1) / shape[1] - 1, (2 * y + 1) / shape[0] - 1], dim=-1)
    return unit[None].float(), inside
