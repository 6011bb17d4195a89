"""Losses of promptable training: focal and dice on masks, squared error on IoUs (Kirillov et al. 2023, sec. A)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

FOCAL_WEIGHT = 20.0
IOU_WEIGHT = 6.0  # six times the paper's: propagation stops and ranks by this number
_FOCUS = 2  # the focal loss's gamma (Lin et al. 2017)
_SMOOTH = 10.0  # low-res cells: keeps the dice of tiny and of ended objects from jumping
# How the four masks share the IoU loss, the single one first: after an ambiguous prompt alike, else the single one.
_AMBIGUOUS_SHARES = (1.0, 1.0, 1.0, 1.0)
_SINGLE_SHARES = (3.0, 0.2, 0.2, 0.2)


def promptable_loss(logits: Tensor, iou_predictions: Tensor, truth: Tensor, *, ambiguous: bool) -> Tensor:
    """Loss of one round: masks and the IoUs predicted for them.

    The single mask always learns; for an ambiguous prompt the best of the other three learns as well.

    Parameters
    ----------
    logits : Tensor
        ``(P, 4, h, w)``, the single mask first.
    iou_predictions : Tensor
        ``(P, 4)``.
    truth : Tensor
        ``(P, h, w)`` bool; empty where an object has ended.
    ambiguous : bool
        Whether the prompt may mean several things: a lone click.
    """
    each = mask_losses(logits, truth)  # (P, 4)
    loss = each[:, 0].mean()
    if ambiguous:
        loss = 0.5 * loss + each[:, 1:].min(dim=1).values.mean()
    error = (iou_predictions.float() - true_ious(logits.detach(), truth)) ** 2
    shares = error.new_tensor(_AMBIGUOUS_SHARES if ambiguous else _SINGLE_SHARES)
    return loss + IOU_WEIGHT * (error * shares).sum(1).mean() / shares.sum()


def mask_losses(logits: Tensor, truth: Tensor) -> Tensor:
    """``20 * focal + dice`` of each mask.

    Parameters
    ----------
    logits : Tensor
        ``(P, M, h, w)``.
    truth : Tensor
        ``(P, h, w)`` bool; may be empty.

    Returns
    -------
    Tensor
        ``(P, M)``.
    """
    logits = logits.float()
    target = truth[:, None].expand_as(logits).float()
    probability = logits.sigmoid()
    cross = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    miss = torch.where(target > 0, 1 - probability, probability)
    focal = (cross * miss**_FOCUS).mean((2, 3))
    overlap = 2 * (probability * target).sum((2, 3)) + _SMOOTH
    dice = 1 - overlap / (probability.sum((2, 3)) + target.sum((2, 3)) + _SMOOTH)
    return FOCAL_WEIGHT * focal + dice


def true_ious(logits: Tensor, truth: Tensor) -> Tensor:
    """IoU of ``logits (P, M, h, w) > 0`` with ``truth (P, h, w)``, as ``(P, M)``; 0 where the object has ended."""
    masks, target = logits > 0, truth[:, None]
    union = (masks | target).sum((2, 3))
    return torch.where(union > 0, (masks & target).sum((2, 3)) / union.clamp(min=1), 0.0)
