"""Points, boxes and masks become sparse and dense prompt embeddings."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Self, cast

import torch
from torch import Tensor, nn

from napari_sam.model.layers import Conv1x1, LayerNorm2d, never_below_fp32

if TYPE_CHECKING:
    from collections.abc import Callable


class PositionEmbeddingRandom(nn.Module):
    """Random Fourier features of coordinates (Tancik et al. 2020)."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, num_pos_feats: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, num_pos_feats))

    def forward(self, coords: Tensor) -> Tensor:
        """Encode ``coords (..., 2)``, (x, y) in units of the encoding, as ``(..., 2 * num_pos_feats)`` fp32."""
        frequencies = self.positional_encoding_gaussian_matrix
        phase = 2 * torch.pi * ((2 * coords.to(frequencies.dtype) - 1) @ frequencies)
        return torch.cat([phase.sin(), phase.cos()], dim=-1)

    def grid(self, x: Tensor, y: Tensor) -> Tensor:
        """Encode the grid of ``x (W,)`` and ``y (H,)`` as ``(H, W, 2 * num_pos_feats)``, like `forward` does.

        The phase is a sum of a part of x and one of y: sines and cosines of rows and of columns give those of all.
        """
        along_x, along_y = self.positional_encoding_gaussian_matrix * (2 * torch.pi)  # (num_pos_feats,)
        phase_x, phase_y = (2 * x.float() - 1)[:, None] * along_x, (2 * y.float() - 1)[:, None, None] * along_y
        sin_x, cos_x, sin_y, cos_y = phase_x.sin(), phase_x.cos(), phase_y.sin(), phase_y.cos()
        sines = torch.addcmul(sin_y * cos_x, cos_y, sin_x)  # (H, W, num_pos_feats)
        cosines = torch.addcmul(cos_y * cos_x, sin_y, sin_x, value=-1)  # (H, W, num_pos_feats)
        return torch.cat([sines, cosines], dim=-1)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move with the model but stay in fp32: frequencies rounded to bf16 would misplace clicks by several pixels."""
        return cast("Self", super()._apply(partial(never_below_fp32, fn), recurse))  # type: ignore[no-untyped-call]


class PromptEncoder(nn.Module):
    """Encode prompts (Kirillov et al. 2023, sec. A "Prompt encoder").

    Parameters
    ----------
    embed_dim : int
        Width of the embeddings.
    unit : int
        Model pixels per unit of the positional encoding; the image side for the official models.
    mask_in_chans : int
        Hidden channels of the mask branch.
    mask_channels : int
        Channels of the mask branch's input.
    """

    def __init__(self, embed_dim: int, *, unit: int, mask_in_chans: int, mask_channels: int = 1) -> None:
        super().__init__()
        self.unit = unit
        self.pe_layer = PositionEmbeddingRandom(embed_dim // 2)
        # Rows: background click, foreground click, top-left corner, bottom-right corner.
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, embed_dim) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, embed_dim)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(mask_channels, mask_in_chans // 4, 2, stride=2),
            LayerNorm2d(mask_in_chans // 4),
            nn.GELU(),
            nn.Conv2d(mask_in_chans // 4, mask_in_chans, 2, stride=2),
            LayerNorm2d(mask_in_chans),
            nn.GELU(),
            Conv1x1(mask_in_chans, embed_dim),
        )
        self.no_mask_embed = nn.Embedding(1, embed_dim)

    def dense_pe(self, grid_size: tuple[int, int], stride: int) -> Tensor:
        """Positional encoding of the embedding's cell centres, ``(1, C, H, W)``."""
        weight = self.no_mask_embed.weight
        y, x = (
            (torch.arange(n, device=weight.device, dtype=torch.float32) + 0.5) * (stride / self.unit) for n in grid_size
        )
        return self.pe_layer.grid(x, y).permute(2, 0, 1)[None]

    def forward(
        self,
        *,
        point_coords: Tensor | None,
        point_labels: Tensor | None,
        boxes: Tensor | None,
        mask_input: Tensor | None,
        image_embedding: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Encode P prompts of one image, or of one image each.

        Parameters
        ----------
        point_coords, point_labels : Tensor or None
            ``(P, N, 2)`` (x, y) in model pixels and ``(P, N)`` in {1, 0, -1}.
        boxes : Tensor or None
            ``(P, 4)`` XYXY in model pixels.
        mask_input : Tensor or None
            ``(P, 1, 4H, 4W)`` low-res logits.
        image_embedding : Tensor
            ``(1 or P, C', H, W)``; gives the grid, and to nano the features under the clicks.

        Returns
        -------
        tuple of Tensor
            Sparse ``(P, T, C)``, T may be 0, and dense ``(1 or P, C, H, W)``.
        """
        parts = []
        if point_coords is not None and point_labels is not None:
            parts.append(self._points(point_coords, point_labels, pad=boxes is None))
        if boxes is not None:
            parts.append(self._boxes(boxes))
        prompts = 1 if mask_input is None else mask_input.shape[0]
        empty = self.no_mask_embed.weight.new_zeros(prompts, 0, self.no_mask_embed.embedding_dim)
        sparse = torch.cat(parts, dim=1) if parts else empty
        return sparse, self._dense(mask_input, image_embedding.shape[-2:])

    def _points(self, coords: Tensor, labels: Tensor, *, pad: bool) -> Tensor:
        if pad:  # the official models have seen one padding point wherever there is no box
            coords = torch.cat([coords, coords.new_zeros(len(coords), 1, 2)], dim=1)
            labels = torch.cat([labels, labels.new_full((len(labels), 1), -1)], dim=1)
        encoding = self.pe_layer((coords + 0.5) / self.unit)  # (P, N, C)
        encoding = torch.where(labels[..., None] == -1, self.not_a_point_embed.weight, encoding)
        for label in (0, 1):
            encoding = encoding + (labels[..., None] == label) * self._kind(label)
        return encoding

    def _boxes(self, boxes: Tensor) -> Tensor:
        corners = (boxes + 0.5).reshape(-1, 2, 2) / self.unit
        kinds = torch.cat([self._kind(2), self._kind(3)])  # (2, C)
        return cast("Tensor", self.pe_layer(corners)) + kinds  # (P, 2, C)

    def _kind(self, row: int) -> Tensor:
        return cast("nn.Embedding", self.point_embeddings[row]).weight  # (1, C)

    def _dense(self, mask_input: Tensor | None, grid_size: torch.Size) -> Tensor:
        if mask_input is not None:
            mask_input = mask_input.to(self.no_mask_embed.weight.dtype)
            return cast("Tensor", self.mask_downscaling(mask_input))  # (P, C, H, W)
        return self.no_mask_embed.weight[..., None, None].expand(1, -1, *grid_size)  # (1, C, H, W)
