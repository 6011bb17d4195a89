"""The two-way transformer of the mask decoder: tokens attend to the image, and the image to the tokens."""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam.model.layers import Linear, MLPBlock, batch_matmul


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
            ``(1 or P, H*W, C)`` image embedding plus dense prompt.
        image_pe : Tensor
            ``(1 or P, H*W, C)`` positional encoding of the grid.
        tokens : Tensor
            ``(P, T, C)`` output tokens and sparse prompts; they are also their own positional encoding. Of the type of
            the weights; where that of the image is coarser, products of tokens and image alone are computed in it.

        Returns
        -------
        tuple of Tensor
            Tokens ``(P, T, C)`` and image ``(P, H*W, C)``.
        """
        queries, keys = tokens, image
        for layer in self.layers:
            queries, keys = layer(queries, keys, tokens, image_pe)
        seen = keys.to(image.dtype)
        attended = self.final_attn_token_to_image(queries + tokens, seen + image_pe, seen)
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
        """Return updated tokens ``(P, T, C)`` and image ``(P, H*W, C)``; `keys` may be the same for all prompts."""
        if self.skip_first_layer_pe:
            queries = self.self_attn(queries, queries, queries)
        else:
            placed_queries = queries + query_pe
            queries = queries + self.self_attn(placed_queries, placed_queries, queries)
        queries = self.norm1(queries)

        seen = keys.to(key_pe.dtype)  # (1 or P, H*W, C)
        placed = seen + key_pe
        queries = self.norm2(queries + self.cross_attn_token_to_image(queries + query_pe, placed, seen))
        queries = self.norm3(queries + self.mlp(queries))
        attended = self.cross_attn_image_to_token(placed, queries + query_pe, queries)  # (P, H*W, C)
        return queries, self.norm4(attended.to(queries.dtype).add_(keys))


class Attention(nn.Module):
    """Multi-head attention whose inner width is ``embedding_dim / downsample_rate``."""

    def __init__(self, embedding_dim: int, num_heads: int, downsample_rate: int = 1) -> None:
        super().__init__()
        inner = embedding_dim // downsample_rate
        self.num_heads = num_heads
        self.scale = (inner / num_heads) ** -0.5
        self.q_proj = Linear(embedding_dim, inner)
        self.k_proj = Linear(embedding_dim, inner)
        self.v_proj = Linear(embedding_dim, inner)
        self.out_proj = Linear(inner, embedding_dim)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend from ``q (1 or P, Nq, C)`` to ``k, v (1 or P, Nk, C)``; returns ``(P, Nq, C)``."""
        q, k, v = self._heads(self.q_proj(q)), self._heads(self.k_proj(k)), self._heads(self.v_proj(v))
        q, k, v = (x.expand(max(len(q), len(k)), -1, -1, -1) for x in (q, k, v))
        out = F.scaled_dot_product_attention(q, k, v)  # (P, heads, Nq, c)
        return cast("Tensor", self.out_proj(self._merge(out)))  # (P, Nq, C)

    def _heads(self, x: Tensor) -> Tensor:
        return cast("Tensor", x.unflatten(2, (self.num_heads, -1))).transpose(1, 2)  # (P, heads, N, c)

    def _merge(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2).flatten(2)  # (P, N, heads*c)

    def _of_heads(self, projection: nn.Linear) -> Tensor:
        return cast("Tensor", projection.weight.unflatten(0, (self.num_heads, -1)))  # (heads, c, C)


class CrossAttention(Attention):
    """Attention between the few tokens of a prompt and the many cells of an image, which are never projected.

    ``(q Wq) (k Wk)'`` is also ``((q Wq) Wk') k'``: both projections can be done on the side of the tokens, and likewise
    those of the values. With the seven tokens of a click that is less than half of the arithmetic. From
    ``embedding_dim / num_heads`` tokens on it would be more, and the usual way is taken.
    """

    def _is_worth_it(self, tokens: Tensor) -> bool:
        return tokens.shape[1] * self.num_heads <= tokens.shape[2]


class TokenToImageAttention(CrossAttention):
    """Tokens look at the image."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend from ``q (P, T, C)`` to ``k, v (1 or P, H*W, C)``; returns ``(P, T, C)``."""
        if not self._is_worth_it(q):
            return super().forward(q, k.to(q.dtype), v.to(q.dtype))
        q = self._heads(self.q_proj(q)) * self.scale  # (P, heads, T, c)
        q = q @ self._of_heads(self.k_proj)  # (P, heads, T, C); k_proj.bias would move all logits of a token alike
        weights = batch_matmul(q.flatten(1, 2).to(k.dtype), k.mT).softmax(-1)  # (P, heads*T, H*W)
        out = batch_matmul(weights, v).to(q.dtype).unflatten(1, (self.num_heads, -1))  # (P, heads, T, C)
        out = self._merge(out @ self._of_heads(self.v_proj).mT) + self.v_proj.bias  # (P, T, heads*c)
        return cast("Tensor", self.out_proj(out))  # (P, T, C)


class ImageToTokenAttention(CrossAttention):
    """The image looks at tokens."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend from ``q (1 or P, H*W, C)`` to ``k, v (P, T, C)``; returns ``(P, H*W, C)``."""
        if not self._is_worth_it(k):
            return super().forward(q.to(k.dtype), k, v)
        k, v = self._heads(self.k_proj(k)) * self.scale, self._heads(self.v_proj(v))  # (P, heads, T, c)
        offset = k @ self.q_proj.bias.view(self.num_heads, -1, 1)  # (P, heads, T, 1)
        k = k @ self._of_heads(self.q_proj)  # (P, heads, T, C)
        v = v @ self.out_proj.weight.mT.unflatten(0, (self.num_heads, -1))  # (P, heads, T, C)
        v = v + self.out_proj.bias / self.num_heads  # the weights of each head add up to one
        k, v = k.flatten(1, 2).to(q.dtype), v.flatten(1, 2).to(q.dtype)  # (P, heads*T, C)
        logits = batch_matmul(k, q.mT).unflatten(1, (self.num_heads, -1))  # (P, heads, T, H*W)
        weights = (logits + offset.to(q.dtype)).softmax(2)
        return batch_matmul(weights.flatten(1, 2).mT, v)  # (P, H*W, C)
