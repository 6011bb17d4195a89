"""Gradient steps: float32 weights that are optimised and averaged, and a working copy that looks at the images."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from napari_sam.model.sam import Sam

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from napari_sam.training.lesson import Lesson
    from napari_sam.training.recipe import Recipe

Model = TypeVar("Model", bound=nn.Module)

_BETAS = (0.9, 0.99)
_WEIGHT_DECAY = 0.02
_MAX_NORM = 1.0
_TRUNK, _VIT = ".trunk.", ("image_encoder.patch_embed", "image_encoder.pos_embed", "image_encoder.blocks")


@dataclass(frozen=True, slots=True)
class Step:
    """Figures of one step.

    Attributes
    ----------
    step : int
        Steps that are done, this one included.
    progress : float
        Part of the run that is done, in 0..1.
    rate, norm : float
        Learning rate; norm of the gradient before it was clipped.
    loss, iou : float
        Means over the step's rounds; NaN if it showed no object.
    """

    step: int
    progress: float
    rate: float
    norm: float
    loss: float
    iou: float


class Trainer(Generic[Model]):
    """Trains those parameters of a model that require gradients.

    Several processes joined by ``torch.distributed`` average their gradients; each sees its own data. The data of a
    step follow from (seed, rank, step) alone, so that a run that was interrupted goes on as if it had not been.

    Parameters
    ----------
    model : Sam or MaskedAutoencoder
        float32; changed in place.
    lesson : Lesson
        What a step consists of.
    recipe : Recipe
        How to train.
    seed : int
        Of all chance.
    """

    def __init__(self, model: Model, lesson: Lesson[Model], recipe: Recipe, *, seed: int) -> None:
        if dist.is_initialized() and recipe.steps is None:
            msg = "several processes must do the same steps; give steps instead of minutes"
            raise ValueError(msg)
        self.master = model
        self.lesson = lesson
        self.recipe = recipe
        self.seed = seed
        self.step = 0
        self.seconds = 0.0
        self.working = copy_of(model, getattr(torch, recipe.precision))
        self._pairs = [
            (master, working)
            for master, working in zip(model.parameters(), self.working.parameters(), strict=True)
            if master.requires_grad
        ]
        self._average = [master.detach().clone() for master, _ in self._pairs]
        self.optimizer = torch.optim.AdamW(_groups(model, recipe), betas=_BETAS, weight_decay=_WEIGHT_DECAY)

    def run(self) -> Iterator[Step]:
        """Train to the end of the recipe; yields after each step, and may be closed and run again there."""
        rank = dist.get_rank() if dist.is_initialized() else 0
        while (progress := self.recipe.progress(self.step, self.seconds)) < 1:
            started = perf_counter()
            rate = self._set_rate(progress)
            figures = self.lesson(self.working, np.random.default_rng([self.seed, rank, self.step]))
            norm = self._update()
            self.step += 1
            self.seconds += perf_counter() - started
            done = min(1.0, self.recipe.progress(self.step, self.seconds))
            yield Step(self.step, done, rate, norm, figures.loss, figures.iou)

    def averaged(self) -> Model:
        """Return a copy in evaluation mode with the averaged weights, float32; it shares what is not trained."""
        model = copy_of(self.master, torch.float32)
        trained = (parameter for parameter in model.parameters() if parameter.requires_grad)
        with torch.no_grad():
            for parameter, value in zip(trained, self._average, strict=True):
                parameter.copy_(value)
        return model.eval()

    def state(self) -> dict[str, Any]:
        """Return everything that `restore` needs; tensors and plain values only."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "weights": [master.detach() for master, _ in self._pairs],
            "average": self._average,
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state` of the same model and recipe."""
        self.step, self.seconds = state["step"], state["seconds"]
        with torch.no_grad():
            for (master, _), average, weight, mean in zip(
                self._pairs, self._average, state["weights"], state["average"], strict=True
            ):
                master.copy_(weight)
                average.copy_(mean)
        self.optimizer.load_state_dict(state["optimizer"])
        self._hand_down()

    def _set_rate(self, progress: float) -> float:
        rate = self.recipe.rate(self.step, progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["share"]
        return rate

    def _update(self) -> float:
        """Take the working copy's gradients over, clipped; a step that is not finite changes nothing."""
        flat = torch.cat([_gradient(working) for _, working in self._pairs])
        if dist.is_initialized():
            dist.all_reduce(flat)
            flat /= dist.get_world_size()
        norm = float(flat.norm())
        if math.isfinite(norm):
            flat *= min(1.0, _MAX_NORM / (norm + 1e-6))
            parts = flat.split([master.numel() for master, _ in self._pairs])
            for (master, _), part in zip(self._pairs, parts, strict=True):
                master.grad = part.view_as(master)
            self.optimizer.step()
            self._move_average()
        self._hand_down()
        return norm

    def _move_average(self) -> None:
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))  # a young average forgets its start
        with torch.no_grad():
            torch._foreach_lerp_(self._average, [master for master, _ in self._pairs], 1 - decay)

    def _hand_down(self) -> None:
        """Copy the trained weights into the working copy, and drop its gradients."""
        with torch.no_grad():
            for master, working in self._pairs:
                working.copy_(master)
                working.grad = None


def copy_of(model: Model, dtype: torch.dtype) -> Model:
    """Copy a model with its parameters in another dtype; an image encoder that is wholly frozen is shared, as it is."""
    encoder = model.get_submodule("image_encoder")
    frozen = not any(parameter.requires_grad for parameter in encoder.parameters())
    copy = deepcopy(model, {id(encoder): encoder} if frozen else {})
    vars(copy).pop("weights_sha256", None)  # no longer those of the file
    shared = {id(parameter) for parameter in model.parameters()}
    for parameter in copy.parameters():
        if id(parameter) not in shared:
            layout = torch.channels_last if parameter.ndim == 4 else torch.preserve_format
            parameter.data = parameter.data.to(dtype, memory_format=layout)
    return copy


def _gradient(parameter: Tensor) -> Tensor:
    if parameter.grad is None:
        return torch.zeros(parameter.numel(), device=parameter.device)
    return parameter.grad.float().flatten()


def _groups(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Split the trained parameters into those of a pretrained trunk or ViT, which learn slowly, and the others."""
    trunk: list[nn.Parameter] = []
    heads: list[nn.Parameter] = []
    prompted = isinstance(model, Sam)  # else its image encoder is what is pretrained now
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            slow = _TRUNK in name or (prompted and name.startswith(_VIT))
            (trunk if slow else heads).append(parameter)
    shares = ((heads, 1.0), (trunk, recipe.trunk_rate))
    return [{"params": parameters, "share": share} for parameters, share in shares if parameters]
