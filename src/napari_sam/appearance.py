"""What an object and its surroundings look like to the image encoder: the alarm when a walk has lost its object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.crops import Crop, Window
    from napari_sam.embeddings import ImageEmbedding

_NEARLY = 0.3  # cells that the object covers by less count as its surroundings
_REACH = 2  # cells around the object that count as its surroundings


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
    def of_all(cls, objects: Sequence[Crop], embedding: ImageEmbedding, *, channels: int) -> list[Appearance]:
        """Look at objects of one plane through their low-res logits.

        Parameters
        ----------
        objects : sequence of Crop of float32
            Low-res logits of each, above 0 inside.
        embedding : ImageEmbedding
            Of the same plane.
        channels : int
            The image embedding's first channels that are features; nano packs its skips behind them.

        Returns
        -------
        list of Appearance
            In the same order.
        """
        features = F.normalize(embedding.image_embedding[:channels].float(), dim=0)  # (C, H, W)
        return [cls._of(logits, features) for logits in objects]

    @classmethod
    def _of(cls, logits: Crop, features: Tensor) -> Appearance:
        cells, fine = _cells_around(logits, features.shape[-2:])
        inside = torch.as_tensor(logits.within(fine) > 0, dtype=features.dtype, device=features.device)
        covered = F.avg_pool2d(inside[None, None], logits.shape[0] // features.shape[1])  # (1, 1, ., .)
        ring = (F.max_pool2d(covered, 2 * _REACH + 1, stride=1, padding=_REACH) - covered) * (covered < _NEARLY)
        near = features[:, *cells]
        # Squared: cells at the border show some of the surroundings.
        means = (F.normalize((near * weight[0]).sum((1, 2)), dim=0) for weight in (covered**2, ring))
        return cls(*means)

    def likeness(self, anchor: Appearance) -> float:
        """Tell how much more this looks like the anchor's object than like its surroundings, -2 to 2."""
        return float(self.inside @ anchor.inside - self.inside @ anchor.outside)


def _cells_around(logits: Crop, grid: tuple[int, ...]) -> tuple[Window, Window]:
    """Window of the image embedding that holds the object and its surroundings, and the same among the logits."""
    per_cell = logits.shape[0] // grid[0]
    rows, columns = (
        slice(max(0, part.start // per_cell - _REACH), min(size, -(-part.stop // per_cell) + _REACH))
        for part, size in zip(logits.window, grid, strict=True)
    )
    fine = (slice(part.start * per_cell, part.stop * per_cell) for part in (rows, columns))
    return (rows, columns), (next(fine), next(fine))
