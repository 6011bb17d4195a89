"""Image embedding and prompt embeddings become low-res mask logits and predicted IoUs."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from napari_sam.model.layers import MLP, LayerNorm2d
from napari_sam.model.transformer import TwoWayTransformer


class MaskDecoder(nn.Module):
    """Two-way transformer, upscaling and hypernetwork heads (Kirillov et al. 2023, sec. A "Mask decoder").

    Parameters
    ----------
    transformer_dim : int
        Width of tokens and image embedding.
    num_heads : int
        Heads of the transformer's attention.
    mlp_dim : int
        Hidden width of the transformer's MLPs.
    iou_hidden : int
        Hidden width of the head that predicts each mask's IoU.
    """

    num_mask_tokens = 4  # one for unambiguous prompts, three for an ambiguous one

    def __init__(self, transformer_dim: int, *, num_heads: int, mlp_dim: int, iou_hidden: int) -> None:
        super().__init__()
        dim = transformer_dim
        self.transformer = TwoWayTransformer(depth=2, embedding_dim=dim, num_heads=num_heads, mlp_dim=mlp_dim)
        self.iou_token = nn.Embedding(1, dim)
        self.mask_tokens = nn.Embedding(self.num_mask_tokens, dim)
        self.output_upscaling: nn.Module = nn.Sequential(
            nn.ConvTranspose2d(dim, dim // 4, 2, stride=2),
            LayerNorm2d(dim // 4),
            nn.GELU(),
            nn.ConvTranspose2d(dim // 4, dim // 8, 2, stride=2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            MLP(dim, dim, dim // 8, depth=3) for _ in range(self.num_mask_tokens)
        )
        self.iou_prediction_head = MLP(dim, iou_hidden, self.num_mask_tokens, depth=3)

    def forward(
        self,
        image_embedding: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Decode P prompts on one image.

        Parameters
        ----------
        image_embedding : Tensor
            ``(1, C, H, W)``.
        image_pe : Tensor
            ``(1, C, H, W)`` positional encoding of the grid.
        sparse_prompt_embeddings : Tensor
            ``(P, T, C)``.
        dense_prompt_embeddings : Tensor
            ``(1 or P, C, H, W)``.

        Returns
        -------
        tuple of Tensor
            ``low_res_logits (P, 4, 4H, 4W)`` and ``iou_predictions (P, 4)``; row 0 is the mask for an unambiguous
            prompt, rows 1-3 those for an ambiguous one.
        """
        prompts = len(sparse_prompt_embeddings)
        output_tokens = torch.cat([self.iou_token.weight, self.mask_tokens.weight])  # (5, C)
        tokens = torch.cat([output_tokens.expand(prompts, -1, -1), sparse_prompt_embeddings], dim=1)  # (P, 5+T, C)

        image = self._image_features(image_embedding) + dense_prompt_embeddings  # (1 or P, C, H, W)
        image = image.expand(prompts, -1, -1, -1)
        tokens, mixed = self.transformer(*(x.flatten(2).transpose(1, 2) for x in (image, image_pe)), tokens)

        mixed = mixed.transpose(1, 2).unflatten(2, image.shape[-2:])  # (P, C, H, W)
        upscaled = self._upscale(mixed, image_embedding)  # (P, C/8, 4H, 4W)
        heads = [head(tokens[:, 1 + i]) for i, head in enumerate(self.output_hypernetworks_mlps)]
        weights = torch.stack(heads, dim=1)  # (P, 4, C/8)
        low_res_logits = (weights @ upscaled.flatten(2)).unflatten(2, upscaled.shape[-2:])  # (P, 4, 4H, 4W)
        return low_res_logits, self._predict_iou(tokens[:, 0], low_res_logits)

    def _predict_iou(self, iou_token: Tensor, low_res_logits: Tensor) -> Tensor:
        return cast("Tensor", self.iou_prediction_head(iou_token))

    def _image_features(self, image_embedding: Tensor) -> Tensor:
        return image_embedding

    def _upscale(self, mixed: Tensor, image_embedding: Tensor) -> Tensor:
        return cast("Tensor", self.output_upscaling(mixed))
