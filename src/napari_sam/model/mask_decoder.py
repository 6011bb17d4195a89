"""Image embedding and prompt embeddings become low-res mask logits and predicted IoUs."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from napari_sam.model.layers import MLP, LayerNorm2d, batch_matmul
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
        *,
        masks: slice = slice(None),
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
        masks : slice
            Which of the four: 0 is the mask for an unambiguous prompt, 1-3 are those for an ambiguous one.

        Returns
        -------
        tuple of Tensor
            ``low_res_logits (P, M, 4H, 4W)`` and ``iou_predictions (P, M)``.
        """
        prompts = len(sparse_prompt_embeddings)
        output_tokens = torch.cat([self.iou_token.weight, self.mask_tokens.weight])  # (5, C)
        tokens = torch.cat([output_tokens.expand(prompts, -1, -1), sparse_prompt_embeddings], dim=1)  # (P, 5+T, C)

        image = self._image_features(image_embedding) + dense_prompt_embeddings  # (1 or P, C, H, W)
        flat = (x.flatten(2).mT.contiguous() for x in (image, image_pe))  # (1 or P, H*W, C)
        tokens, mixed = self.transformer(*flat, tokens)  # (P, 5+T, C), (P, H*W, C)

        mixed = mixed.unflatten(1, image.shape[-2:]).permute(0, 3, 1, 2)  # (P, C, H, W), channels last in memory
        upscaled = self._upscale(mixed, image_embedding)  # (P, C/8, 4H, 4W)
        heads = [self.output_hypernetworks_mlps[i](tokens[:, 1 + i]) for i in range(self.num_mask_tokens)[masks]]
        weights = torch.stack(heads, dim=1)  # (P, M, C/8)
        low_res_logits = batch_matmul(weights, upscaled.flatten(2)).unflatten(2, upscaled.shape[-2:])  # (P, M, 4H, 4W)
        return low_res_logits, self._predict_iou(tokens[:, 0], low_res_logits)[:, masks]

    def _predict_iou(self, iou_token: Tensor, low_res_logits: Tensor) -> Tensor:
        return cast("Tensor", self.iou_prediction_head(iou_token))

    def _image_features(self, image_embedding: Tensor) -> Tensor:
        return image_embedding

    def _upscale(self, mixed: Tensor, image_embedding: Tensor) -> Tensor:
        return cast("Tensor", self.output_upscaling(mixed))
