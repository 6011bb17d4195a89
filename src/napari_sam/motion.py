"""Dense motion between two planes: where the pixels of one come from on the other."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_sam.low_res import SURE_LOGIT

_RADIUS = 5  # pixels: what is so near moves alike
_EVEN = 3  # pixels: over so many to each side an estimate is averaged, for what is left in it is mostly noise
_ESTIMATES = 3  # at each level of the pyramid
_COARSEST = 16  # pixels: no level of it is smaller
_LONGEST_STEP = 2.0  # pixels: more is not believed of one estimate
_STEADY = 2e-3  # of the squared range of the brightness: weaker gradients move little


def flow(after: Tensor, before: Tensor) -> Tensor:
    """Find where the pixels of images come from on others: iterative Lucas-Kanade, from coarse to fine.

    Every pixel is taken to move as its neighbourhood does (Lucas and Kanade 1981; for dense fields Le Besnerais and
    Champagnat 2005). On a plane without structure nothing moves.

    Parameters
    ----------
    after, before : Tensor
        ``(B, 1, h, w)`` float32, brightness of about 0 to 1.

    Returns
    -------
    Tensor
        ``(B, 2, h, w)`` rows and columns: ``after[y, x]`` resembles ``before[y + rows, x + columns]``.
    """
    levels = [(after, before)]
    while min(levels[-1][0].shape[-2:]) >= 2 * _COARSEST:
        one, other = (F.avg_pool2d(image, 2) for image in levels[-1])
        levels.append((one, other))
    found = after.new_zeros(len(after), 2, *levels[-1][0].shape[-2:])
    for one, other in reversed(levels):
        found = resized(found, one.shape[-2:])
        for _ in range(_ESTIMATES):
            found = _mean_around(found + _left_over(one, pull(other, found)), _EVEN)
    return found


def resized(motion: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
    """Bring motions ``(B, 2, h, w)`` to another size of the image, in pixels of that."""
    if motion.shape[-2:] == size:
        return motion
    longer = motion.new_tensor([new / old for new, old in zip(size, motion.shape[-2:], strict=True)])
    return F.interpolate(motion, size, mode="bilinear", align_corners=False) * longer[:, None, None]


def pull(values: Tensor, motion: Tensor, *, padding: str = "border") -> Tensor:
    """Sample ``values (B, C, h, w)`` at each pixel moved by ``motion (B, 2, h, w)`` rows and columns."""
    height, width = values.shape[-2:]
    rows = torch.arange(height, device=values.device)[:, None] + motion[:, 0]
    columns = torch.arange(width, device=values.device) + motion[:, 1]
    grid = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], dim=-1)
    return F.grid_sample(values, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def pull_logits(logits: Tensor, motion: Tensor) -> Tensor:
    """Sample low-res logits ``(B, C, h, w)`` as `pull` does; what comes in from outside is surely background."""
    return pull(logits + SURE_LOGIT, motion, padding="zeros") - SURE_LOGIT


def _left_over(one: Tensor, moved: Tensor) -> Tensor:
    """Solve the normal equations of each neighbourhood for the motion that is left, ``(B, 2, h, w)``."""
    edged = F.pad(moved, (1, 1, 1, 1), mode="replicate")
    down = (edged[..., 2:, 1:-1] - edged[..., :-2, 1:-1]) / 2
    right = (edged[..., 1:-1, 2:] - edged[..., 1:-1, :-2]) / 2
    left = one - moved
    products = torch.cat([down * down, down * right, right * right, down * left, right * left], dim=1)
    yy, yx, xx, y, x = _mean_around(products, _RADIUS).unbind(1)
    yy, xx = yy + _STEADY, xx + _STEADY
    step = torch.stack([xx * y - yx * x, yy * x - yx * y], dim=1) / (yy * xx - yx * yx)[:, None]
    return step.clamp(-_LONGEST_STEP, _LONGEST_STEP)


def _mean_around(values: Tensor, radius: int) -> Tensor:
    """Average squares of ``values (B, C, h, w)``, cut at the border; band matrices are the fastest way on a CPU."""
    rows, columns = (_band(count, radius, values.device) for count in values.shape[-2:])
    return rows @ values @ columns.mT


@lru_cache(maxsize=64)
def _band(count: int, radius: int, device: torch.device) -> Tensor:
    place = torch.arange(count, device=device)
    near = ((place[:, None] - place).abs() <= radius).float()
    return near / near.sum(1, keepdim=True)
