"""What a model does in one step of training: look at crops or at planes encoded before, and talk about objects."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
import torch

from napari_sam.training.affinities import Pupil
from napari_sam.training.dataset import draw_batch
from napari_sam.training.rounds import MEAN_ROUNDS, View, converse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.model.sam import Sam
    from napari_sam.training.dataset import Source
    from napari_sam.training.recipe import Recipe

Model = TypeVar("Model", contravariant=True)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a step was worth.

    Attributes
    ----------
    loss, iou : float
        What was minimised, and the true IoU of the masks: means over the rounds of the step, NaN if there was none.
    """

    loss: float
    iou: float


class Lesson(Protocol[Model]):
    """One step's material and practice."""

    def __call__(self, model: Model, rng: np.random.Generator, /) -> Figures:
        """Add the gradients of one step to the parameters of a model that ask for them.

        All chance comes from ``rng``: the same one gives the same step.
        """
        ...


class CropLesson:
    """Augmented crops through the whole model, as large as its input if that is fixed; a `Pupil` learns affinities too.

    Parameters
    ----------
    sources : sequence of Source
        Where the crops come from.
    recipe : Recipe
        Their number, and that of the objects.
    """

    def __init__(self, sources: Sequence[Source], recipe: Recipe) -> None:
        self.sources = sources
        self.recipe = recipe

    def __call__(self, sam: Sam, rng: np.random.Generator) -> Figures:
        """See `Lesson`."""
        recipe = self.recipe
        side = sam.config.grid.fixed_side
        crops = draw_batch(self.sources, batch=recipe.batch, chain_share=recipe.chain_share, rng=rng, side=side)
        images = torch.stack([crop.images for crop in crops]).flatten(0, 1)  # (crops * views, 3, S, S)
        embeddings = sam.encode(images.to(sam.device, memory_format=torch.channels_last)).to(sam.dtype)
        leaves = [each.detach().requires_grad_(embeddings.requires_grad) for each in embeddings.split(1)]
        labels = torch.cat([crop.labels for crop in crops]).to(sam.device)
        brightness = (images.mean(1) / 255).to(sam.device)  # (crops * views, S, S)
        views = [View(*each) for each in zip(leaves, labels, brightness, strict=True)]
        each = len(crops[0].labels)
        scenes = [views[i : i + each] for i in range(0, len(views), each)]
        figures = practise(sam, scenes, objects=recipe.objects, rng=rng)
        if not embeddings.requires_grad:
            return figures
        gradients = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]
        gradient = torch.cat(gradients)
        if isinstance(sam, Pupil):
            gradient += sam.affinity_gradient(embeddings, torch.stack([view.labels for view in views]))
        embeddings.backward(gradient)
        return figures


def practise(sam: Sam, scenes: Sequence[Sequence[View]], *, objects: int, rng: np.random.Generator) -> Figures:
    """Converse about each scene; gradients are added round by round, so that memory holds one round.

    Parameters
    ----------
    sam : Sam
        Its prompt encoder and mask decoder learn, and the embeddings that ask for gradients get them.
    scenes : sequence of sequences of View
        Each of one view, or of several that show the same objects.
    objects, rng
        As in `converse`.
    """
    share = 1 / (MEAN_ROUNDS * sum(len(views) for views in scenes))
    losses, ious = [], []
    for views in scenes:
        for answer in converse(sam, views, objects=objects, rng=rng):
            (answer.loss * share).backward()
            losses.append(answer.loss.item())
            ious.append(answer.iou)
    return Figures(_mean(losses), _mean(ious))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan
