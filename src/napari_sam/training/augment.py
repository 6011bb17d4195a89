"""How a microscope could have shown the same plane: contrast, gamma, polarity, blur, noise, uneven light."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Look:
    """One way of showing a stack; `contrast` acts on raw pixels, `finish` on the resampled crop.

    Attributes
    ----------
    low, high : float
        Pixel values that go to 0 and 1.
    gamma, noise, blur, light : float
        Exponent; standard deviation of Gaussian noise; of a Gaussian blur in pixels; strength of uneven light.
    invert, grey : bool
        Whether dark and bright change places; whether colour is dropped.
    """

    low: float
    high: float
    gamma: float
    noise: float
    blur: float
    light: float
    invert: bool
    grey: bool

    def contrast(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Map raw ``(h, w, c)`` to 0..1."""
        x = np.clip((pixels - self.low) / (self.high - self.low), 0, 1)
        if self.grey:
            x = x.mean(2, keepdims=True)
        return np.asarray(x, np.float32)

    def jittered(self, rng: np.random.Generator) -> Self:
        """Return the look of the next plane: a little brighter or darker."""
        span = self.high - self.low
        return replace(
            self,
            low=self.low + span * rng.normal(0, 0.03),
            high=self.high + span * rng.normal(0, 0.06),
            gamma=self.gamma * math.exp(rng.normal(0, 0.05)),
        )

    def finish(self, x: Tensor, rng: np.random.Generator) -> Tensor:
        """Map a resampled ``(3, h, w)`` crop in 0..1 to what the camera gives, in 0..1."""
        x = x.clamp(0, 1) ** self.gamma
        if self.light:
            x = (x * _uneven(x.shape[-2:], self.light, rng)).clamp(0, 1)
        if self.invert:
            x = 1 - x
        if self.blur:
            x = _blur(x, self.blur)
        if self.noise:
            grain = torch.from_numpy(rng.normal(0, self.noise, x.shape[-2:]).astype(np.float32))
            x = x + grain * (x.mean(0) + 0.1).sqrt()  # shot noise grows with the square root of the signal
        return x.clamp(0, 1)


def draw_look(stack: NDArray[Any], rng: np.random.Generator) -> Look:
    """Draw a look for a stack ``(z, y, x[, 3])``; its limits are percentiles of the whole stack, as at inference."""
    colour = stack.ndim == 4
    low, high = _draw_limits(stack, rng)
    span = (high - low) or 1.0
    tune = rng.random() < 0.5
    return Look(
        low=low + span * rng.normal(0, 0.05) * tune,
        high=low + span * math.exp(rng.normal(0, 0.2) * tune),
        gamma=math.exp(rng.normal(0, 0.35)) if rng.random() < 0.6 else 1.0,
        noise=rng.exponential(0.06) if rng.random() < 0.5 else 0.0,
        blur=rng.uniform(0.4, 2.0) if rng.random() < 0.3 else 0.0,
        light=rng.uniform(0, 0.5) if rng.random() < 0.25 else 0.0,
        invert=bool(rng.random() < (0.1 if colour else 0.3)),
        grey=colour and bool(rng.random() < 0.3),
    )


def _draw_limits(stack: NDArray[Any], rng: np.random.Generator) -> tuple[float, float]:
    """Draw robust limits over a sample of the stack; most colour pictures are shown as they are."""
    if stack.ndim == 4 and rng.random() < 0.7:
        return 0.0, 255.0
    sample = stack.reshape(-1, 3 if stack.ndim == 4 else 1)
    sample = sample[rng.integers(len(sample), size=4000)]
    low, high = np.percentile(sample, [rng.uniform(0, 3), rng.uniform(98.5, 100)])
    return float(low), float(high)


def _uneven(size: torch.Size, strength: float, rng: np.random.Generator) -> Tensor:
    coarse = torch.from_numpy(rng.uniform(1 - strength, 1 + strength, (1, 1, 3, 3)).astype(np.float32))
    return F.interpolate(coarse, size, mode="bicubic", align_corners=True)[0]


def _blur(x: Tensor, sigma: float) -> Tensor:
    radius = math.ceil(2.5 * sigma)
    kernel = torch.exp(-(torch.arange(-radius, radius + 1.0) ** 2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).view(1, 1, -1, 1)
    x = F.pad(x[:, None], (radius,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(x, kernel), kernel.transpose(2, 3))[:, 0]
