"""The two-way transformer of the mask decoder: tokens attend to the image, and the image to the tokens."""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam.model.layers import MLPBlock


class TwoWayTransformer(nn.Module):
    """Stack of two-way blocks and a last attention from tokens to image (Kirillov et al. 2023, fig. 14)."""

    def __init__(
        self, depth: int, embedding_dim: int, num_heads: int, mlp_dim: int, *, downsample_rate: int = 2
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayAttentionBlock(
                embedding_dim, num_heads, mlp_dim, downsample_rate=downsample_rate, skip_first_layer_pe=index == 0
            )
            for index in range(depth)
        )
        self.final_attn_token_to_image = TokenToImageAttention(embedding_dim, num_heads, downsample_rate)
        self.norm_final_attn = nn.LayerNorm(embedding_dim)

    def forward(self, image: Tensor, image_pe: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Let tokens and image exchange what they know.

        Parameters
        ----------
        image : Tensor
            ``(P, H*W, C)`` image embedding plus dense prompt, or ``(H*W, C)`` shared by all prompts.
        image_pe : Tensor
            Positional encoding of the grid, of either shape.
        tokens : Tensor
            ``(P, T, C)`` output tokens and sparse prompts, or ``(T, C)`` of one prompt; they are also their own
            positional encoding.

        Returns
        -------
        tuple of Tensor
            Tokens ``(P, T, C)`` and image ``(P, H*W, C)``; without P for one prompt.
        """
        queries, keys = tokens, image
        for layer in self.layers:
            queries, keys = layer(queries, keys, tokens, image_pe)
        attended = self.final_attn_token_to_image(queries + tokens, keys + image_pe, keys)
        return cast("Tensor", self.norm_final_attn(queries + attended)), keys


class TwoWayAttentionBlock(nn.Module):
    """Self-attention of tokens, tokens to image, MLP on tokens, image to tokens."""

    def __init__(
        self, embedding_dim: int, num_heads: int, mlp_dim: int, *, downsample_rate: int, skip_first_layer_pe: bool
    ) -> None:
        super().__init__()
        self.self_attn = Attention(embedding_dim, num_heads)
        self.norm1 = nn.LayerNorm(embedding_dim)
        self.cross_attn_token_to_image = TokenToImageAttention(embedding_dim, num_heads, downsample_rate)
        self.norm2 = nn.LayerNorm(embedding_dim)
        self.mlp = MLPBlock(embedding_dim, mlp_dim, nn.ReLU)
        self.norm3 = nn.LayerNorm(embedding_dim)
        self.norm4 = nn.LayerNorm(embedding_dim)
        self.cross_attn_image_to_token = ImageToTokenAttention(embedding_dim, num_heads, downsample_rate)
        self.skip_first_layer_pe = skip_first_layer_pe

    def forward(self, queries: Tensor, keys: Tensor, query_pe: Tensor, key_pe: Tensor) -> tuple[Tensor, Tensor]:
        """Return updated tokens ``(..., T, C)`` and image ``(..., H*W, C)``."""
        if self.skip_first_layer_pe:
            queries = self.self_attn(queries, queries, queries)
        else:
            placed = queries + query_pe
            queries = queries + self.self_attn(placed, placed, queries)
        queries = self.norm1(queries)

        placed_keys = keys + key_pe
        queries = self.norm2(queries + self.cross_attn_token_to_image(queries + query_pe, placed_keys, keys))
        queries = self.norm3(queries + self.mlp(queries))
        keys = self.norm4(keys + self.cross_attn_image_to_token(placed_keys, queries + query_pe, queries))
        return queries, keys


class Attention(nn.Module):
    """Multi-head attention whose inner width is ``embedding_dim / downsample_rate``.

    A prompt has some ten tokens and an image thousands of cells, so the two classes that attend across never project
    the image: ``(q Wq) (k Wk)'`` is also ``((q Wq) Wk') k'``, in which both projections are on the side of the tokens,
    and likewise for the values. For a point and ViT-B's grid that is less than half of the arithmetic. Past
    ``embedding_dim / num_heads`` tokens it would be more, and the usual way is taken.
    """

    def __init__(self, embedding_dim: int, num_heads: int, downsample_rate: int = 1) -> None:
        super().__init__()
        inner = embedding_dim // downsample_rate
        self.num_heads = num_heads
        self.q_proj = nn.Linear(embedding_dim, inner)
        self.k_proj = nn.Linear(embedding_dim, inner)
        self.v_proj = nn.Linear(embedding_dim, inner)
        self.out_proj = nn.Linear(inner, embedding_dim)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend from ``q (..., Nq, C)`` to ``k, v (..., Nk, C)``; returns ``(..., Nq, C)``."""
        q, k, v = (self._heads(x) for x in (self.q_proj(q), self.k_proj(k), self.v_proj(v)))
        out = F.scaled_dot_product_attention(q, k, v)  # (..., heads, Nq, C/heads)
        return cast("Tensor", self.out_proj(out.transpose(-3, -2).flatten(-2)))  # (..., Nq, C)

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, -1)).transpose(-3, -2)  # (..., heads, N, c)

    def _few(self, tokens: Tensor) -> bool:
        return tokens.shape[-2] * self.num_heads <= tokens.shape[-1]


class TokenToImageAttention(Attention):
    """Attention from few tokens to the cells of the image."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend from ``q (..., T, C)`` to ``k, v (..., H*W, C)``; returns ``(..., T, C)``."""
        if not self._few(q):
            return super().forward(q, k, v)
        q = self._heads(self.q_proj(q)) * self.scale  # (..., heads, T, c)
        q = q @ self.k_proj.weight.unflatten(0, (self.num_heads, -1))  # (..., heads, T, C); k_proj.bias shifts all cells alike
        weights = (q.flatten(-3, -2) @ k.mT).softmax(-1)  # (..., heads*T, H*W)
        out = (weights @ v).unflatten(-2, (self.num_heads, -1))  # (..., heads, T, C)
        out = out @ self.v_proj.weight.unflatten(0, (self.num_heads, -1)).mT  # (..., heads, T, c)
        return cast("Tensor", self.out_proj(out.transpose(-3, -2).flatten(-2) + self.v_proj.bias))  # (..., T, C)


class ImageToTokenAttention(Attention):
    """Attention from the cells of the image to few tokens."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend from ``q (..., H*W, C)`` to ``k, v (..., T, C)``; returns ``(..., H*W, C)``."""
        if not self._few(k):
            return super().forward(q, k, v)
        k, v = self._heads(self.k_proj(k)) * self.scale, self._heads(self.v_proj(v))  # (..., heads, T, c)
        bias = k @ self.q_proj.bias.view(self.num_heads, -1, 1)  # (..., heads, T, 1)
        k = k @ self.q_proj.weight.unflatten(0, (self.num_heads, -1))  # (..., heads, T, C)
        v = v @ self.out_proj.weight.T.unflatten(0, (self.num_heads, -1))  # (..., heads, T, C)
        logits = (k.flatten(-3, -2) @ q.mT).unflatten(-2, (self.num_heads, -1)) + bias  # (..., heads, T, H*W)
        weights = logits.softmax(-2).flatten(-3, -2)  # (..., heads*T, H*W)
        return weights.mT @ v.flatten(-3, -2) + self.out_proj.bias  # (..., H*W, C)
