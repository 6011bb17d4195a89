"""Refit the head that predicts IoU on whole planes, where it is used; all other weights stay as they are.

Joint training leaves the head behind: it learns on crops, under losses that are mostly about masks. Its inputs are
cheap to collect from a finished model, and a head is refitted in seconds.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam.training.rounds import converse
from napari_sam.training.trainer import copy_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np

    from napari_sam.model.sam import Sam
    from napari_sam.training.rounds import View

_STEPS, _BATCH, _RATE, _DECAY = 2000, 256, 5e-4, 0.05
_HELD_OUT = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """What the head sees, and what it should have said.

    Attributes
    ----------
    inputs : Tensor
        ``(n, D)``.
    ious : Tensor
        ``(n, 4)``: true IoU of each of the four masks.
    """

    inputs: Tensor
    ious: Tensor


def calibrate(
    sam: Sam, scenes: Iterable[Sequence[View]], *, objects: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Refit the IoU head of a finished model, in place.

    Parameters
    ----------
    sam : Sam
        Only ``mask_decoder.iou_prediction_head`` changes.
    scenes : iterable of sequences of View
        Each of one whole plane, or of two neighbours.
    objects : int
        The most that are prompted for together.
    rng : np.random.Generator
        Source of chance.

    Returns
    -------
    tuple of float
        Mean absolute error of the predicted IoUs on held-out examples, before and after.
    """
    looking = copy_of(sam, torch.bfloat16)  # three times faster, and the head does not mind
    cast = ([replace(view, image_embedding=view.image_embedding.bfloat16()) for view in views] for views in scenes)
    examples = collect_examples(looking, cast, objects=objects, rng=rng)
    head, before, after = refit(sam.mask_decoder.iou_prediction_head, examples, rng=rng)
    sam.mask_decoder.iou_prediction_head.load_state_dict(head.state_dict())
    return before, after


def collect_examples(sam: Sam, scenes: Iterable[Sequence[View]], *, objects: int, rng: np.random.Generator) -> Examples:
    """Converse about whole planes as in training, and note what the head saw in each round.

    Parameters
    ----------
    sam : Sam
        A finished model; nothing of it changes.
    scenes : iterable of sequences of View
        Each of one plane, or of two neighbours.
    objects, rng
        As in `converse`.
    """
    seen: list[Tensor] = []
    ious: list[Tensor] = []

    def note(_: nn.Module, inputs: tuple[Any, ...], __: Any) -> None:
        """Remember what the head was given."""
        seen.append(inputs[0].float())

    handle = sam.mask_decoder.iou_prediction_head.register_forward_hook(note)
    try:
        with torch.no_grad():
            for views in scenes:
                ious += [answer.true_ious for answer in converse(sam, views, objects=objects, rng=rng)]
    finally:
        handle.remove()
    return Examples(torch.cat(seen), torch.cat(ious))


def refit(head: nn.Module, examples: Examples, *, rng: np.random.Generator) -> tuple[nn.Module, float, float]:
    """Train a copy of a head on most of the examples.

    Parameters
    ----------
    head : nn.Module
        ``(n, D)`` to ``(n, 4)``.
    examples : Examples
        At least five.
    rng : np.random.Generator
        Draws the fifth that is held out, and the batches.

    Returns
    -------
    tuple of (nn.Module, float, float)
        The refitted head, and the mean absolute error on the held-out examples before and after.
    """
    order = torch.from_numpy(rng.permutation(len(examples.inputs)))
    held_out, learnt = order.split([int(_HELD_OUT * len(order)), len(order) - int(_HELD_OUT * len(order))])
    fitted = copy.deepcopy(head).float().requires_grad_()
    before = _error(fitted, examples, held_out)
    optimizer = torch.optim.AdamW(fitted.parameters(), lr=_RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=_STEPS)
    for _ in range(_STEPS):
        batch = learnt[torch.from_numpy(rng.integers(len(learnt), size=_BATCH))]
        loss = F.smooth_l1_loss(fitted(examples.inputs[batch]), examples.ious[batch], beta=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return fitted, before, _error(fitted, examples, held_out)


def _error(head: nn.Module, examples: Examples, rows: Tensor) -> float:
    with torch.no_grad():
        return float((head(examples.inputs[rows]) - examples.ious[rows]).abs().mean())
