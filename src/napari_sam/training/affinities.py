"""A second thing to learn from every crop: which pixels belong together, everywhere and not for a few prompts alone.

A small head reads affinities from the image embedding: for each pixel and each of some offsets, whether the pixel and
the one at the offset show the same object (Turaga et al. 2010; long-range ones: Lee et al. 2017, "Superhuman accuracy
on the SNEMI3D connectomics challenge"). It shapes the embedding and is dropped after training.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam.model.sam import Sam

_STRIDE = 4  # model pixels: of the grid on which affinities are learnt
_OFFSETS = ((0, 0), (0, 1), (1, 0), (0, 3), (3, 0), (2, 2), (2, -2), (0, 7), (7, 0), (5, 5), (5, -5), (0, 14), (14, 0))
_HIDDEN = 128


class Pupil(Sam):
    """A model that learns affinities beside masks.

    Parameters
    ----------
    sam : Sam
        Its parts are taken over, not copied.
    """

    def __init__(self, sam: Sam) -> None:
        super().__init__(sam.image_encoder, sam.prompt_encoder, sam.mask_decoder, sam.config)
        self.affinities = AffinityHead(sam.config.image_encoder.out_chans, sam.config.grid.stride // _STRIDE)

    def sam(self) -> Sam:
        """Return the model without what was there for learning only; it shares the parts."""
        return Sam(self.image_encoder, self.prompt_encoder, self.mask_decoder, self.config)

    def affinity_gradient(self, image_embeddings: Tensor, labels: Tensor) -> Tensor:
        """Add the gradients of the affinity loss to the head, and return that of ``image_embeddings``.

        Parameters
        ----------
        image_embeddings : Tensor
            ``(B, C, H/stride, W/stride)``.
        labels : Tensor
            ``(B, H, W)`` integers, 0 is background.
        """
        leaf = image_embeddings.detach().requires_grad_()
        affinity_loss(self.affinities(leaf), labels).backward()
        return cast("Tensor", leaf.grad)


class AffinityHead(nn.Module):
    """Map an embedding ``(B, C, H, W)`` to affinity logits ``(B, K, finer*H, finer*W)``, one for each offset."""

    def __init__(self, channels: int, finer: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, _HIDDEN, 1), nn.ReLU(), nn.Conv2d(_HIDDEN, len(_OFFSETS) * finer**2, 1)
        )
        self.finer = finer

    def forward(self, image_embedding: Tensor) -> Tensor:
        """Return logits; the offset (0, 0) stands for *part of an object*."""
        return F.pixel_shuffle(cast("Tensor", self.layers(image_embedding)), self.finer)


def affinity_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean binary cross-entropy of affinities; offsets that are larger than the crop are left out.

    Parameters
    ----------
    logits : Tensor
        ``(B, K, h, w)`` of an `AffinityHead`.
    labels : Tensor
        ``(B, 4h, 4w)`` integers, 0 is background.
    """
    seen = labels[:, _STRIDE // 2 :: _STRIDE, _STRIDE // 2 :: _STRIDE]
    height, width = seen.shape[1:]
    losses = []
    for channel, (down, right) in zip(logits.float().unbind(1), _OFFSETS, strict=True):
        if down >= height or abs(right) >= width:
            continue
        here = (slice(0, height - down), slice(max(0, -right), width - max(0, right)))
        there = (slice(down, height), slice(max(0, right), width - max(0, -right)))
        together = (seen[:, *here] == seen[:, *there]) & (seen[:, *here] > 0)
        losses.append(F.binary_cross_entropy_with_logits(channel[:, *here], together.float()))
    return torch.stack(losses).mean()
