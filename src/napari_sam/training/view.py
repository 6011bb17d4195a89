"""How a crop lies in a plane, and what it shows: rotated, flipped, zoomed and a little stretched."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.training.augment import Look

PADDING = 127.0  # what the model's frame is padded with, before normalisation
_ALIASING = 1.3  # data pixels per model pixel from which a crop is smoothed before it is sampled


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """Where a crop lies: ``data = centre + matrix @ offset``, all (row, column).

    Attributes
    ----------
    centre : ndarray
        Of the crop, in data pixels.
    matrix : ndarray
        2x2, from offsets in model pixels to data pixels.
    """

    centre: NDArray[np.float64]
    matrix: NDArray[np.float64]

    def moved(self, extent: float, rng: np.random.Generator, *, in_stack: bool) -> Self:
        """Drift by a part of an object's ``extent``; much if the next view is the same plane again."""
        drift = rng.normal(0, 0.12 if in_stack else 0.25, 2) * extent
        angle = rng.normal(0, 0.03 if in_stack else 0.15)
        zoom = 2 ** rng.normal(0, 0.03 if in_stack else 0.12)
        return type(self)(self.centre + drift, self.matrix @ _rotation(angle) * zoom)

    def elsewhere(self, size: int, rng: np.random.Generator) -> Self:
        """Move by about half a crop of ``size`` model pixels along both axes."""
        away = rng.uniform(0.4, 0.7, 2) * rng.choice([-1, 1], 2) * size * self.shrink
        return type(self)(self.centre + away, self.matrix)

    @property
    def shrink(self) -> float:
        """Data pixels per model pixel."""
        return float(np.sqrt(np.abs(np.linalg.det(self.matrix))))


def draw_orientation(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a 2x2 matrix: rotation, mostly by right angles, flip and a little anisotropy."""
    angle = rng.choice([0, 0.5, 1, 1.5]) * math.pi if rng.random() < 0.6 else rng.uniform(0, 2 * math.pi)
    flip = np.diag([1.0, rng.choice([-1.0, 1.0])])
    stretch = 2 ** rng.uniform(-0.2, 0.2)
    return np.asarray(_rotation(angle) @ flip @ np.diag([stretch, 1 / stretch]))


def sample_view(
    pixels: NDArray[Any],
    labels: NDArray[np.integer[Any]],
    pose: Pose,
    *,
    size: int,
    look: Look,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Sample a plane.

    Parameters
    ----------
    pixels : ndarray
        ``(h, w)`` or ``(h, w, 3)``.
    labels : ndarray
        ``(h, w)`` integers below 2**24.
    pose : Pose
        Where the crop lies.
    size : int
        Side of the crop in model pixels.
    look, rng
        How it is shown.

    Returns
    -------
    tuple of Tensor
        ``(3, size, size)`` in 0..255 and ``(size, size)`` int32; the padding colour and 0 outside the plane.
    """
    window = _window(pose, size, labels.shape)
    seen = labels[window].astype(np.float32)
    if min(seen.shape) < 2:
        return torch.full((3, size, size), PADDING), torch.zeros(size, size, dtype=torch.int32)
    corner = np.array([side.start for side in window])
    grid, inside = _grid(Pose(pose.centre - corner, pose.matrix), size, seen.shape)
    shown = look.contrast(np.atleast_3d(pixels[window]).astype(np.float32))  # (h, w, c) in 0..1
    x = _smoothed(torch.from_numpy(shown).permute(2, 0, 1)[None], pose.shrink)
    x = F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)[0]
    y = F.grid_sample(torch.from_numpy(seen)[None, None], grid, mode="nearest", align_corners=False)[0, 0]
    x = look.finish(x.expand(3, -1, -1), rng) * 255
    return torch.where(inside, x, PADDING), (y * inside).to(torch.int32)


def _rotation(angle: float) -> NDArray[np.float64]:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def _window(pose: Pose, size: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of the plane that the crop can touch."""
    reach = np.abs(pose.matrix).sum(1) * size / 2 + 2
    start = np.maximum(np.floor(pose.centre - reach), 0).astype(int)
    stop = np.minimum(np.ceil(pose.centre + reach) + 1, shape).astype(int)
    rows, columns = (slice(int(low), max(int(low), int(high))) for low, high in zip(start, stop, strict=True))
    return rows, columns


def _smoothed(x: Tensor, shrink: float) -> Tensor:
    """Shrink ``(1, c, h, w)`` with a filter where sampling would leave gaps; the sampling grid is relative."""
    if shrink <= _ALIASING:
        return x
    height, width = (max(2, round(side / shrink)) for side in x.shape[-2:])
    return F.interpolate(x, (height, width), mode="bilinear", antialias=True, align_corners=False)


def _grid(pose: Pose, size: int, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return ``(1, S, S, 2)`` sampling positions (x, y) in -1..1, and ``(S, S)`` whether they lie in the plane."""
    steps = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
    rows, columns = torch.meshgrid(steps, steps, indexing="ij")
    (yy, yx), (xy, xx) = pose.matrix
    y = pose.centre[0] + yy * rows + yx * columns
    x = pose.centre[1] + xy * rows + xx * columns
    inside = (y > -0.5) & (y < shape[0] - 0.5) & (x > -0.5) & (x < shape[1] - 0.5)
    unit = torch.stack([(2 * x + 1) / shape[1] - 1, (2 * y + 1) / shape[0] - 1], dim=-1)
    return unit[None].float(), inside
