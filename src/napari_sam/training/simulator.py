"""A simulated user: first prompts from the truth, then clicks on the error (Kirillov et al. 2023, sec. A)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["point", "box", "box+point", "scribble", "mask", "mask+point", "mask+box", "mask+box+point"]

_LOGIT = 8.0  # a mask prompt's largest logit, as that of a painted mask


@dataclass(frozen=True, slots=True)
class Prompts:
    """Prompts of P objects of one image, as `Sam.decode` takes them."""

    point_coords: Tensor | None = None
    point_labels: Tensor | None = None
    boxes: Tensor | None = None
    mask_input: Tensor | None = None


class Simulator:
    """Draws prompts for objects that are given as masks ``(P, h, w)`` bool on the low-res grid.

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
        """Prompt for objects.

        Parameters
        ----------
        kind : str
            What the prompt is made of.
        shown : Tensor
            ``(P, h, w)`` bool: the objects' extent as far as the user knows it; none is empty, unless `kind` is "mask".
        previous : Tensor or None
            ``(P, 1, h, w)`` logits for the mask kinds.
        """
        parts = kind.split("+")
        prompts = Prompts(mask_input=previous if "mask" in parts else None)
        if "box" in parts:
            loose = 0.3 if "mask" in parts else 0.15  # a carried box does not fit the next plane
            prompts = replace(prompts, boxes=self._boxes(shown, loose))
        if "point" in parts:
            return add_clicks(prompts, *self.click(shown, shown, interior=bool(self.rng.random() < 0.5)))
        if "scribble" in parts:
            for _ in range(int(self.rng.integers(3, 7))):
                prompts = add_clicks(prompts, *self.click(shown, shown))
        return prompts

    def correct(self, prompts: Prompts, logits: Tensor, truth: Tensor) -> Prompts:
        """Add the click that a user would make next, and the logits ``(P, h, w)`` as the mask prompt."""
        found = logits > 0
        error = found != truth
        settled = ~error.flatten(1).any(1)
        error[settled] = (truth | found)[settled]  # nothing to correct: confirm somewhere
        coords, labels = self.click(error, truth, interior=bool(self.rng.random() < 0.6))
        return add_clicks(replace(prompts, mask_input=logits[:, None].detach()), coords, labels)

    def click(self, where: Tensor, truth: Tensor, *, interior: bool = False) -> tuple[Tensor, Tensor]:
        """Click once into each mask.

        Parameters
        ----------
        where : Tensor
            ``(P, h, w)`` bool: the region to click into; into the first cell if it is empty.
        truth : Tensor
            ``(P, h, w)`` bool: tells the label of the click.
        interior : bool
            Deep inside the region instead of anywhere in it.

        Returns
        -------
        tuple of Tensor
            ``(P, 2)`` (x, y) in the model frame, within the cell; and labels ``(P,)``.
        """
        score = self._uniform(where.shape, where)
        if interior:
            score = interiority(where) + 1e-3 * score
        index = (where * (1 + score)).flatten(1).argmax(1)  # (P,)
        row, column = index // where.shape[2], index % where.shape[2]
        labels = truth[torch.arange(len(truth), device=truth.device), row, column].long()
        jitter = 0.7 * (self._uniform((len(where), 2), where) - 0.5)
        return (torch.stack([column, row], dim=-1) + 0.5 + jitter) * self.stride - 0.5, labels

    def _boxes(self, shown: Tensor, loose: float) -> Tensor:
        """XYXY of the objects, each side moved outward by up to ``loose`` (and inward a little) of the side."""
        boxes = tight_boxes(shown, self.stride)
        if self.rng.random() < 0.2:
            return boxes
        sides = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
        outward = self._uniform(boxes.shape, boxes) * (loose + 0.06) - 0.06
        return boxes + outward * sides * boxes.new_tensor([-1.0, -1.0, 1.0, 1.0])

    def _uniform(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        return torch.from_numpy(self.rng.random(shape, dtype=np.float32)).to(like.device)


def draw_kind(shares: Mapping[Kind, float], rng: np.random.Generator) -> Kind:
    """Draw a kind of prompt by its share."""
    kinds, weights = list(shares), np.array(list(shares.values()))
    return kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))]


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
        for kernel in ((width, 1), (1, width)):  # one after the other is much less work than a square
            depth = F.avg_pool2d(depth, kernel, stride=1, padding=(kernel[0] // 2, kernel[1] // 2))
        depth = depth * mask[:, None]
        total = total + depth
    return total[:, 0] / 5


def tight_boxes(masks: Tensor, stride: int) -> Tensor:
    """XYXY model-frame boxes of ``masks (P, h, w)`` on a grid of ``stride``; their sides are the outer pixel edges."""
    sides = []
    for axis in (1, 2):  # columns, then rows
        line = masks.any(axis)  # (P, n)
        first = line.float().argmax(1)
        last = line.shape[1] - 1 - line.flip(1).float().argmax(1)
        sides.append((first * stride - 0.5, (last + 1) * stride - 0.5))
    (x0, x1), (y0, y1) = sides
    return torch.stack([x0, y0, x1, y1], dim=1).float()


def uncertain_logits(mask: Tensor, rng: np.random.Generator) -> Tensor:
    """Turn ``mask (P, h, w)`` bool into ``(P, 1, h, w)`` logits as an uncertain model would have said it."""
    x = mask.float()[:, None]
    width = int(rng.choice([1, 3, 5, 9]))
    x = F.avg_pool2d(x, width, stride=1, padding=width // 2, count_include_pad=False)
    threshold = rng.uniform(0.3, 0.7) if width > 1 else 0.5  # grows or shrinks the mask a little
    logits = (x - threshold) * 2 * _LOGIT
    return logits.clamp(-_LOGIT, _LOGIT) * rng.uniform(0.5, 1.0)


def displaced(masks: Tensor, rng: np.random.Generator) -> Tensor:
    """Shift ``masks (P, h, w)`` a little: a stand-in for the previous plane."""
    extent = float(masks.float().sum((1, 2)).mean().sqrt())
    down, right = (int(v) for v in rng.normal(0, 0.15, 2) * extent)
    return torch.roll(masks, (down, right), (1, 2))
