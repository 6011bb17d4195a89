"""Image embedding and prompt embeddings become low-res mask logits and predicted IoUs."""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING, Self, cast

import torch
from torch import Tensor, nn

from napari_sam.model.layers import MLP, LayerNorm2d, batch_matmul, never_below_fp32
from napari_sam.model.transformer import TwoWayTransformer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Part = tuple[slice, slice]  # rows and columns of the grid

# Bytes of upscaled features alive at once. On a CPU most of the time of large ones is spent on fresh memory: a click on
# nano's grid of 64 x 64 had 24 MB of page faults. A GPU is only filled by large calls.
_FEATURE_BYTES_CPU = 2 * 2**20
_FEATURE_BYTES = 512 * 2**20


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
    # In fp32 tokens, sums and upscaling cost a click 8 % more time than in bf16. Four sets of random ViT-B weights had
    # masks with an IoU of .996 to .998 with those of fp32 then, instead of .982 to .990.
    exact = True  # whether weights stay in fp32 in a model of bf16, where only tokens and image are multiplied in bf16
    halo = 0  # rows of the grid on either side that the upscaled pixels of a row depend on

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
        parts: Sequence[Part] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Decode P prompts on one image, or each on its own.

        Parameters
        ----------
        image_embedding : Tensor
            ``(1 or P, C, H, W)``.
        image_pe : Tensor
            ``(1, C, H, W)`` positional encoding of the grid.
        sparse_prompt_embeddings : Tensor
            ``(P, T, C)``.
        dense_prompt_embeddings : Tensor
            ``(1 or P, C, H, W)``.
        parts : sequence of (slice, slice), optional
            Rows and columns of the grid where the mask of each prompt is made. None: everywhere.

        Returns
        -------
        tuple of Tensor
            ``low_res_logits (P, 4, 4H, 4W)`` and ``iou_predictions (P, 4)``: first the mask for an unambiguous prompt,
            then the three for an ambiguous one. If there are parts, H and W are the most rows and columns that one has,
            and the logits of a smaller one are followed by zeros.
        """
        prompts = len(sparse_prompt_embeddings)
        output_tokens = torch.cat([self.iou_token.weight, self.mask_tokens.weight])  # (5, C)
        sparse = sparse_prompt_embeddings.to(self.dtype)
        tokens = torch.cat([output_tokens.expand(prompts, -1, -1), sparse], dim=1)  # (P, 5+T, C)

        image = self._with_prompts(image_embedding, dense_prompt_embeddings)  # (1 or P, C, H, W)
        flat = (x.to(image.dtype).flatten(2).mT.contiguous() for x in (image, image_pe))  # (1 or P, H*W, C)
        tokens, mixed = self.transformer(*flat, tokens)  # (P, 5+T, C), (P, H*W, C)

        mixed = mixed.unflatten(1, image.shape[-2:]).permute(0, 3, 1, 2)  # (P, C, H, W), channels last in memory
        mixed = self._beside(mixed, dense_prompt_embeddings)
        heads = [head(tokens[:, 1 + i]) for i, head in enumerate(self.output_hypernetworks_mlps)]
        weights = torch.stack(heads, dim=1)  # (P, 4, C/8)
        if parts is not None:
            return self._upscale_and_judge_parts(tokens[:, 0], weights, mixed, image_embedding, parts)
        low_res_logits = self._upscale_in_parts(weights, mixed, image_embedding)  # (P, 4, 4H, 4W)
        return low_res_logits, self._predict_iou(tokens[:, 0], low_res_logits)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights, in which everything but the products of tokens and image is computed."""
        return self.mask_tokens.weight.dtype

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move with the model, but stay in fp32 where `exact` says so when the rest of it becomes bf16 or fp16."""
        how = partial(never_below_fp32, fn) if self.exact else fn
        return cast("Self", super()._apply(how, recurse))  # type: ignore[no-untyped-call]

    def _upscale_and_judge_parts(
        self, iou_tokens: Tensor, weights: Tensor, mixed: Tensor, image_embedding: Tensor, parts: Sequence[Part]
    ) -> tuple[Tensor, Tensor]:
        """Make masks in the part of each prompt, those of one size together: ``(P, 4, 4h, 4w)`` and ``(P, 4)``."""
        sizes = [tuple(cells.stop - cells.start for cells in part) for part in parts]
        height, width = (max(size[axis] for size in sizes) for axis in (0, 1))
        low_res_logits = mixed.new_zeros(len(parts), self.num_mask_tokens, 4 * height, 4 * width)
        ious = mixed.new_zeros(len(parts), self.num_mask_tokens)
        for rows, columns in dict.fromkeys(sizes):
            here = [i for i, size in enumerate(sizes) if size == (rows, columns)]
            cut, image = _cut(mixed, parts, here), _cut(image_embedding, parts, here)  # (p, ., rows, columns)
            made = self._upscale_in_parts(weights[here], cut, image)  # (p, 4, 4*rows, 4*columns)
            low_res_logits[here, :, : 4 * rows, : 4 * columns] = made
            ious[here] = self._predict_iou(iou_tokens[here], made)
        return low_res_logits, ious

    def _upscale_in_parts(self, weights: Tensor, mixed: Tensor, image_embedding: Tensor) -> Tensor:
        """Upscale some prompts or some rows at a time, and weigh the features to logits before the next are made."""
        prompts, rows = self._at_once(mixed)
        images = image_embedding.split(prompts) if len(image_embedding) > 1 else itertools.repeat(image_embedding)
        groups = zip(weights.split(prompts), mixed.split(prompts), images, strict=False)
        return torch.cat([self._upscale_in_bands(w, self._mix(x), image, rows) for w, x, image in groups])

    def _upscale_in_bands(self, weights: Tensor, mixed: Tensor, image_embedding: Tensor, rows: int) -> Tensor:
        height, bands = mixed.shape[2], []
        for first in range(0, height, rows):
            last = min(first + rows, height)
            top, bottom = max(first - self.halo, 0), min(last + self.halo, height)
            upscaled = self._upscale(mixed[:, :, top:bottom], image_embedding[:, :, top:bottom])
            band = upscaled[:, :, 4 * (first - top) : 4 * (last - top)]  # (P, C/8, 4*rows, 4W)
            bands.append(batch_matmul(weights, band.flatten(2)).unflatten(2, band.shape[2:]))  # (P, 4, 4*rows, 4W)
        return torch.cat(bands, dim=2)  # (P, 4, 4H, 4W)

    def _at_once(self, mixed: Tensor) -> tuple[int, int]:
        """How many prompts, and rows of each, have upscaled features that fit the memory."""
        _, channels, height, width = mixed.shape
        row_bytes = channels // 8 * 4 * 4 * width * mixed.element_size()
        allowed = _FEATURE_BYTES_CPU if mixed.device.type == "cpu" else _FEATURE_BYTES
        return max(1, allowed // (height * row_bytes)), min(height, max(1, allowed // row_bytes))

    def _predict_iou(self, iou_token: Tensor, low_res_logits: Tensor) -> Tensor:
        return cast("Tensor", self.iou_prediction_head(iou_token))

    def _with_prompts(self, image_embedding: Tensor, dense_prompt_embeddings: Tensor) -> Tensor:
        return image_embedding + dense_prompt_embeddings

    def _beside(self, mixed: Tensor, dense_prompt_embeddings: Tensor) -> Tensor:
        return mixed

    def _mix(self, mixed: Tensor) -> Tensor:
        return mixed

    def _upscale(self, mixed: Tensor, image_embedding: Tensor) -> Tensor:
        return cast("Tensor", self.output_upscaling(mixed))


def _cut(images: Tensor, parts: Sequence[Part], here: Sequence[int]) -> Tensor:
    """Cut the parts of some prompts, all of one size, out of ``(1 or P, C, H, W)``; channels last in memory."""
    each = images.expand(len(parts), -1, -1, -1)
    cut = torch.stack([each[i].permute(1, 2, 0)[parts[i]] for i in here])  # (p, h, w, C)
    return cut.permute(0, 3, 1, 2)  # (p, C, h, w)
