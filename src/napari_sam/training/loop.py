"""The training loop: an iterator of steps over master weights in fp32 and a working copy in bf16."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from napari_sam.model.sam import Sam, build_sam
from napari_sam.training.dataset import Crop, Source, batches
from napari_sam.training.losses import promptable_loss, true_ious
from napari_sam.training.simulator import Kind, Prompts, Simulator, mask_logits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_FIRST: dict[Kind, float] = {
    "point": 0.45,
    "box": 0.25,
    "box+point": 0.06,
    "scribble": 0.04,
    "mask": 0.08,
    "mask+box": 0.05,
    "mask+box+point": 0.07,
}
_CARRIED: dict[Kind, float] = {"mask": 0.4, "mask+point": 0.15, "mask+box": 0.15, "mask+box+point": 0.3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to train.

    Attributes
    ----------
    steps : int
        Length of the run; the learning rate follows a cosine over it.
    learning_rate, trunk_rate : float
        Peak rate of the heads, and the share of it that the pretrained trunk gets.
    objects : int
        Prompted objects of one crop.
    pair_share : float
        Share of batches that carry masks from one plane to its neighbour.
    ema : float
        Decay of the averaged weights, which are what is saved for use.
    """

    steps: int
    learning_rate: float = 8e-4
    trunk_rate: float = 0.1
    objects: int = 6
    pair_share: float = 0.35
    ema: float = 0.999


class Trainer:
    """Trains a `Sam`; several processes joined by ``torch.distributed`` average their gradients."""

    def __init__(self, sam: Sam, sources: Sequence[Source], recipe: Recipe, *, seed: int) -> None:
        self.recipe = recipe
        self.master = sam.float()
        self.working = build_sam(sam.config).to(torch.bfloat16)
        self.working.prompt_encoder.pe_layer.float()
        self.working.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = [p.detach().clone() for p in self.master.parameters()]
        self.optimizer = torch.optim.AdamW(_groups(self.master, recipe), betas=(0.9, 0.99), weight_decay=0.02)
        self.step = 0
        rank = dist.get_rank() if dist.is_initialized() else 0
        self.rng = np.random.default_rng([seed, rank])
        self.simulator = Simulator(sam.config.grid.low_res_stride, self.rng)
        self.batches = batches(sources, pair_share=recipe.pair_share, rng=self.rng)
        self._hand_down()

    def run(self) -> Iterator[dict[str, float]]:
        """Train to the recipe's last step; yields the figures of each step."""
        while self.step < self.recipe.steps:
            rate = self._schedule()
            figures = self._gradients(*next(self.batches))
            norm = self._update()
            self.step += 1
            yield {"step": self.step, "rate": rate, "norm": norm, **figures}

    def _schedule(self) -> float:
        progress = self.step / self.recipe.steps
        warm = min(1.0, (self.step + 1) / 200)
        rate = self.recipe.learning_rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["share"]
        return rate

    def _gradients(self, pair: bool, crops: Sequence[Crop]) -> dict[str, float]:
        images = torch.stack([crop.images for crop in crops]).flatten(0, 1)
        embeddings = self.working.encode(images.contiguous(memory_format=torch.channels_last))
        leaf = embeddings.detach().requires_grad_()
        views = 2 if pair else 1
        rounds = [self._object_rounds(crop, leaf[i * views : (i + 1) * views]) for i, crop in enumerate(crops)]
        losses = [loss for each in rounds for loss, _ in each]
        if losses:
            (torch.stack(losses).sum() / (2.5 * len(crops) * views)).backward()
        if leaf.grad is not None:
            embeddings.backward(leaf.grad)
        ious = [iou for each in rounds for _, iou in each]
        return {
            "loss": float(np.mean([loss.item() for loss in losses])) if losses else math.nan,
            "iou": float(np.mean(ious)) if ious else math.nan,
        }

    def _object_rounds(self, crop: Crop, embeddings: Tensor) -> list[tuple[Tensor, float]]:
        """Prompt, correct, carry to the second view, correct; returns loss and mean IoU of each round."""
        ids = self._choose(crop.labels[0])
        if not len(ids):
            return []
        truth = _truth(crop.labels[0], ids, self.simulator.stride)
        kind = _draw(_FIRST, self.rng)
        previous = None
        if "mask" in kind:
            previous = mask_logits(_moved(truth, self.rng), self.rng)
        rounds = 1 + int(self.rng.choice([0, 1, 2, 4], p=[0.3, 0.3, 0.25, 0.15]))
        if len(crop.labels) == 2:
            rounds = min(rounds, 2)
        shown = truth if previous is None else previous[:, 0] > 0
        prompts = self.simulator.first(kind, shown if _all_visible(shown) else truth, previous)
        results, logits = self._rounds(prompts, truth, embeddings[:1], rounds, ambiguous=kind == "point")
        if len(crop.labels) == 2:
            following = _truth(crop.labels[1], ids, self.simulator.stride)
            carried = logits[:, None] if self.rng.random() < 0.6 else mask_logits(truth, self.rng)
            shown = carried[:, 0] > 0
            kind = _draw(_CARRIED, self.rng) if _all_visible(shown) else "mask"
            prompts = self.simulator.first(kind, shown, carried)
            if prompts.point_labels is not None:  # the walk always believes its own points
                prompts = Prompts(prompts.point_coords, torch.ones_like(prompts.point_labels), prompts.boxes, carried)
            more, _ = self._rounds(
                prompts, following, embeddings[1:], 1 + int(self.rng.random() < 0.25), ambiguous=False
            )
            results += more
        return results

    def _rounds(
        self, prompts: Prompts, truth: Tensor, embedding: Tensor, rounds: int, *, ambiguous: bool
    ) -> tuple[list[tuple[Tensor, float]], Tensor]:
        results = []
        logits = torch.empty(0)
        for number in range(rounds):
            if number:
                prompts = self.simulator.correct(prompts, logits, truth)
            first = ambiguous and number == 0
            every, ious = self.working.decode_every_mask(
                embedding,
                point_coords=prompts.point_coords,
                point_labels=prompts.point_labels,
                boxes=prompts.boxes,
                mask_input=prompts.mask_input,
            )
            loss = promptable_loss(every, ious, truth, ambiguous=first)
            every, ious = every.detach().float(), ious.detach()
            best = 1 + ious[:, 1:].argmax(1) if first else torch.zeros(len(every), dtype=torch.long)
            logits = every[torch.arange(len(every)), best]
            results.append((loss, float(true_ious(logits[:, None], truth).mean())))
        return results, logits

    def _choose(self, labels: Tensor) -> Tensor:
        counts = torch.bincount(labels.flatten())
        counts[0] = 0
        ids = torch.nonzero(counts >= 40).flatten()
        return ids[torch.from_numpy(self.rng.permutation(len(ids))[: self.recipe.objects])]

    def _update(self) -> float:
        pairs = [
            (m, w) for m, w in zip(self.master.parameters(), self.working.parameters(), strict=True) if m.requires_grad
        ]
        flat = torch.cat([torch.zeros(m.numel()) if w.grad is None else w.grad.float().flatten() for m, w in pairs])
        if dist.is_initialized():
            dist.all_reduce(flat)
            flat /= dist.get_world_size()
        norm = float(flat.norm())
        flat *= min(1.0, 1.0 / (norm + 1e-6))
        for (master, working), part in zip(pairs, flat.split([m.numel() for m, _ in pairs]), strict=True):
            master.grad = part.view_as(master)
            working.grad = None
        if math.isfinite(norm):
            self.optimizer.step()
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(self.average, list(self.master.parameters()), 1 - decay)
        self._hand_down()
        return norm

    def _hand_down(self) -> None:
        """Copy the master weights into the working copy."""
        with torch.no_grad():
            for working, master in zip(self.working.parameters(), self.master.parameters(), strict=True):
                working.copy_(master)
                working.requires_grad_(master.requires_grad)
            for copy, buffer in zip(self.working.buffers(), self.master.buffers(), strict=True):
                copy.copy_(buffer)

    def averaged(self) -> dict[str, Tensor]:
        """State dict of the averaged weights, fp32."""
        state = dict(self.master.state_dict())
        for (name, _), value in zip(self.master.named_parameters(), self.average, strict=True):
            state[name] = value.clone()
        return state

    def save(self, path: Path) -> None:
        """Write everything that `resume` needs, atomically."""
        state: dict[str, Any] = {
            "step": self.step,
            "master": self.master.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "rng": self.rng.bit_generator.state,
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)

    def resume(self, path: Path) -> None:
        """Go on from a file that `save` wrote."""
        state = torch.load(path, weights_only=True)
        self.step = state["step"]
        self.master.load_state_dict(state["master"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        if not dist.is_initialized() or dist.get_rank() == 0:
            self.rng.bit_generator.state = state["rng"]
        self._hand_down()


def _groups(sam: Sam, recipe: Recipe) -> list[dict[str, Any]]:
    trunk: list[nn.Parameter] = []
    heads: list[nn.Parameter] = []
    for name, parameter in sam.named_parameters():
        if parameter.requires_grad:
            (trunk if ".trunk." in name else heads).append(parameter)
    groups = [{"params": heads, "share": 1.0}]
    return [*groups, {"params": trunk, "share": recipe.trunk_rate}] if trunk else groups


def _truth(labels: Tensor, ids: Tensor, stride: int) -> Tensor:
    """Masks ``(P, S/stride, S/stride)`` bool of the objects on the low-res grid."""
    masks = (labels == ids[:, None, None]).float()
    return nn.functional.avg_pool2d(masks[:, None], stride)[:, 0] >= 0.5


def _all_visible(masks: Tensor) -> bool:
    return bool(masks.flatten(1).any(1).all())


def _moved(truth: Tensor, rng: np.random.Generator) -> Tensor:
    """Shift the masks a little: a stand-in for the previous plane."""
    extent = float(truth.float().sum((1, 2)).mean().sqrt())
    dy, dx = (int(v) for v in rng.normal(0, 0.15, 2) * extent)
    return torch.roll(truth, (dy, dx), (1, 2))


def _draw(shares: dict[Kind, float], rng: np.random.Generator) -> Kind:
    kinds = list(shares)
    weights = np.array([shares[kind] for kind in kinds])
    return kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))]
