"""How to train, as one value that fits into a log, a state file and the metadata of the result."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to train; the defaults are those that made nano.

    Attributes
    ----------
    steps : int or None
        Length of the run; the learning rate follows a cosine over it.
    minutes : float or None
        The same by the clock; such a run cannot be repeated exactly. Give one of the two.
    batch : int
        Crops of 256 model pixels, or whole planes, of one step.
    learning_rate, trunk_rate : float
        Peak rate of the heads, and the share of it that a pretrained trunk gets.
    warmup : int
        Steps until the peak rate.
    objects : int
        Prompted objects of one crop or plane.
    chain_share : float
        Share of steps that carry masks from plane to plane.
    ema : float
        Decay of the averaged weights, which are what is saved for use.
    precision : {"bfloat16", "float32"}
        Of the copy of the weights that looks at the images; what is optimised is always float32.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """

    steps: int | None = None
    minutes: float | None = None
    batch: int = 2
    learning_rate: float = 8e-4
    trunk_rate: float = 0.1
    warmup: int = 200
    objects: int = 6
    chain_share: float = 0.35
    ema: float = 0.999
    precision: Precision = "bfloat16"

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            msg = f"give either steps or minutes, got steps={self.steps} and minutes={self.minutes}"
            raise ValueError(msg)
        for name in ("steps", "minutes", "batch", "learning_rate", "warmup", "objects"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                msg = f"{name} must be a positive number, got {value}"
                raise ValueError(msg)

    def progress(self, step: int, seconds: float) -> float:
        """Part of the run that is behind after so many steps and seconds; 1 or more at its end."""
        if self.steps is not None:
            return step / self.steps
        return seconds / (60 * (self.minutes or math.inf))

    def rate(self, step: int, progress: float) -> float:
        """Learning rate of a step: linear warm-up, then a cosine down to 2 % of the peak."""
        warm = min(1.0, (step + 1) / self.warmup)
        return self.learning_rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))
