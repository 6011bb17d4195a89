"""What an object and its surroundings look like to the image encoder: the alarm when a walk has lost its object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from napari_sam.embeddings import ImageEmbedding
    from napari_sam.predictor import LowRes

_NEARLY = 0.3  # cells that the object covers by less count as its surroundings


@dataclass(frozen=True, slots=True, eq=False)
class Appearance:
    """Mean image feature of an object and of a ring around it.

    Attributes
    ----------
    inside, outside : Tensor
        ``(C,)`` unit vectors.
    """

    inside: Tensor
    outside: Tensor

    @classmethod
    def of(cls, low_res_logits: LowRes, embedding: ImageEmbedding, *, channels: int) -> Appearance:
        """Look at an object through its low-res logits.

        Parameters
        ----------
        low_res_logits : ndarray of float32
            ``(h, w)`` of the object, above 0 inside.
        embedding : ImageEmbedding
            Of the same plane.
        channels : int
            The image embedding's first channels that are features; nano packs its skips behind them.

        Returns
        -------
        Appearance
        """
        features = F.normalize(embedding.image_embedding[:channels].float(), dim=0)  # (C, H, W)
        inside = torch.as_tensor(low_res_logits > 0, dtype=features.dtype, device=features.device)
        covered = F.avg_pool2d(inside[None, None], len(inside) // features.shape[1])  # (1, 1, H, W)
        ring = (F.max_pool2d(covered, 5, stride=1, padding=2) - covered) * (covered < _NEARLY)
        # Squared: cells at the border show some of the surroundings.
        means = (F.normalize((features * weight[0]).sum((1, 2)), dim=0) for weight in (covered**2, ring))
        return cls(*means)

    def likeness(self, anchor: Appearance) -> float:
        """Tell how much more this looks like the anchor's object than like its surroundings, -2 to 2."""
        return float(self.inside @ anchor.inside - self.inside @ anchor.outside)
