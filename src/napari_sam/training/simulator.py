"""A simulated user: first prompts from the truth, then clicks on the error (Kirillov et al. 2023, sec. A)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Kind = Literal["point", "box", "box+point", "scribble", "mask", "mask+point", "mask+box", "mask+box+point"]


@dataclass(frozen=True, slots=True)
class Prompts:
    """Prompts of P objects of one image, as `Sam.decode` takes them."""

    point_coords: Tensor | None = None
    point_labels: Tensor | None = None
    boxes: Tensor | None = None
    mask_input: Tensor | None = None


class Simulator:
    """Draws prompts for objects given as ``truth (P, h, w)`` bool on the low-res grid.

    Parameters
    ----------
    stride : int
        Model pixels per low-res cell.
    rng : np.random.Generator
        Source of chance.
    """

    def __init__(self, stride: int, rng: np.random.Generator) -> None:
        self.stride = stride
        self.rng = rng

    def first(self, kind: Kind, shown: Tensor, previous: Tensor | None = None) -> Prompts:
        """Prompt for objects whose extent as far as the user knows is ``shown (P, h, w)`` bool.

        ``previous (P, 1, h, w)`` are logits for the mask kinds.
        """
        parts = kind.split("+")
        prompts = Prompts(mask_input=previous if "mask" in parts else None)
        if "box" in parts:
            loose = 0.3 if "mask" in parts else 0.15
            prompts = replace(prompts, boxes=self._boxes(shown, loose))
        clicks = {"point": 1, "scribble": int(self.rng.integers(3, 7))}
        count = next((clicks[part] for part in parts if part in clicks), 0)
        for _ in range(count):
            interior = bool(self.rng.random() < 0.5) and count == 1
            prompts = add_clicks(prompts, *self._click(shown, shown, interior=interior))
        return prompts

    def correct(self, prompts: Prompts, logits: Tensor, truth: Tensor) -> Prompts:
        """Add the click that a user would make next, and the logits ``(P, h, w)`` as the mask prompt."""
        error = (logits > 0) != truth
        settled = ~error.flatten(1).any(1)
        error[settled] = (truth | (logits > 0))[settled]  # nothing to correct: confirm somewhere
        coords, labels = self._click(error, truth, interior=bool(self.rng.random() < 0.6))
        return add_clicks(replace(prompts, mask_input=logits[:, None].detach()), coords, labels)

    def _click(self, where: Tensor, truth: Tensor, *, interior: bool) -> tuple[Tensor, Tensor]:
        score = torch.from_numpy(self.rng.random(where.shape, dtype=np.float32))
        if interior:
            score = interiority(where) + 1e-3 * score
        index = (score * where + where).flatten(1).argmax(1)  # (P,)
        row, column = index // where.shape[2], index % where.shape[2]
        labels = truth[torch.arange(len(truth)), row, column].long()
        jitter = torch.from_numpy(self.rng.uniform(-0.5, 0.5, (len(where), 2)).astype(np.float32))
        coords = (torch.stack([column, row], dim=-1) + 0.5 + 0.7 * jitter) * self.stride - 0.5
        return coords, labels

    def _boxes(self, shown: Tensor, loose: float) -> Tensor:
        """XYXY of the objects, each side moved outward by up to ``loose`` (and inward a little) of the side."""
        boxes = tight_boxes(shown, self.stride)
        sides = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
        amount = torch.from_numpy(self.rng.uniform(-0.06, loose, boxes.shape).astype(np.float32))
        amount = amount * bool(self.rng.random() < 0.8)
        return boxes + amount * sides * torch.tensor([-1.0, -1.0, 1.0, 1.0])


def add_clicks(prompts: Prompts, coords: Tensor, labels: Tensor) -> Prompts:
    """Append one click ``(P, 2)``, ``(P,)`` to each prompt."""
    coords, labels = coords[:, None], labels[:, None]
    if prompts.point_coords is not None and prompts.point_labels is not None:
        coords = torch.cat([prompts.point_coords, coords], dim=1)
        labels = torch.cat([prompts.point_labels, labels], dim=1)
    return replace(prompts, point_coords=coords, point_labels=labels)


def interiority(mask: Tensor) -> Tensor:
    """How deep inside ``mask (P, h, w)`` a pixel lies, in 0..1: repeated box filters, a cheap distance transform."""
    depth = mask.float()[:, None]
    total = depth
    for width in (5, 9, 17, 33):
        depth = F.avg_pool2d(depth, width, stride=1, padding=width // 2) * mask[:, None]
        total = total + depth
    return total[:, 0] / 5


def tight_boxes(masks: Tensor, stride: int) -> Tensor:
    """XYXY model-frame boxes of ``masks (P, h, w)`` on a grid of ``stride``; an empty mask gives a 1-cell box."""
    boxes = []
    for axis in (1, 2):  # columns, then rows
        line = masks.any(axis)  # (P, n)
        n = line.shape[1]
        first = line.float().argmax(1)
        last = n - 1 - line.flip(1).float().argmax(1)
        boxes.append((first * stride - 0.5, (torch.maximum(last, first) + 1) * stride - 0.5))
    (x0, x1), (y0, y1) = boxes
    return torch.stack([x0, y0, x1, y1], dim=1).float()


def mask_logits(mask: Tensor, rng: np.random.Generator) -> Tensor:
    """Turn ``mask (P, h, w)`` bool into ``(P, 1, h, w)`` logits as an uncertain model would have said it."""
    x = mask.float()[:, None]
    width = int(rng.choice([1, 3, 5, 9]))
    x = F.avg_pool2d(x, width, stride=1, padding=width // 2, count_include_pad=False)
    threshold = rng.uniform(0.3, 0.7) if width > 1 else 0.5  # grows or shrinks the mask a little
    logits = (x - threshold) * 16
    return logits.clamp(-8, 8) * rng.uniform(0.5, 1.0)
