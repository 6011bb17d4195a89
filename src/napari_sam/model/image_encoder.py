"""The ViT image encoder: 16x16 patches, attention inside windows, a few global blocks, a convolutional neck."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam.model.layers import LayerNorm2d, Linear, MLPBlock

if TYPE_CHECKING:
    from napari_sam.model.config import ViTConfig

_MLP_RATIO = 4
# Bytes of attention bias alive at once. On a CPU fresh memory costs more than small calls: a global attention of ViT-B
# (64x64 tokens, fp32, two cores) took 1.29 s with its whole bias of 0.8 GB, and 0.61 s with 16 MB at a time. A GPU
# is only filled by large calls.
_BIAS_BYTES_CPU = 16 * 2**20
_BIAS_BYTES = 512 * 2**20


class ImageEncoderViT(nn.Module):
    """Encode an image with a plain ViT (Kirillov et al. 2023, sec. A "Image encoder"; Li et al. 2022, ViTDet).

    Attribute names and shapes are those of the official checkpoints.

    Parameters
    ----------
    config : ViTConfig
        Depth, widths and the largest image.
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        dim, side = config.embed_dim, config.img_size // config.patch_size
        self.patch_embed = PatchEmbed(config.patch_size, dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, side, side, dim))
        self.blocks = nn.ModuleList(
            Block(dim, Attention(dim, config.num_heads, side))
            if index in config.global_attn_indexes
            else Block(dim, WindowAttention(dim, config.num_heads, config.window_size))
            for index in range(config.depth)
        )
        self.neck = nn.Sequential(
            nn.Conv2d(dim, config.out_chans, 1, bias=False),
            LayerNorm2d(config.out_chans),
            nn.Conv2d(config.out_chans, config.out_chans, 3, padding=1, bias=False),
            LayerNorm2d(config.out_chans),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Encode normalised and padded images.

        Parameters
        ----------
        x : Tensor
            ``(B, 3, H, W)``; H and W are multiples of ``patch_size``, at most ``img_size``. A smaller image is the
            top left of a larger one: the same positions and distances, without the padding.

        Returns
        -------
        Tensor
            ``image_embedding (B, out_chans, H/patch_size, W/patch_size)``, channels last in memory.

        Raises
        ------
        ValueError
            If the image does not fit the patches or the table of positions.
        """
        x = self.patch_embed(x)  # (B, H, W, C)
        x = x.to(torch.promote_types(x.dtype, torch.float32)) + self._positions(x.shape[1], x.shape[2])
        for block in self.blocks:
            x = block(x)
        x = x.to(self.pos_embed.dtype).permute(0, 3, 1, 2)
        return cast("Tensor", self.neck(x))  # (B, out_chans, H, W)

    def _positions(self, height: int, width: int) -> Tensor:
        _, rows, columns, _ = self.pos_embed.shape
        if height > rows or width > columns:
            msg = f"image must have at most {rows} x {columns} patches, got {height} x {width}; resize it first"
            raise ValueError(msg)
        return self.pos_embed[:, :height, :width]


class PatchEmbed(nn.Module):
    """Cut an image into patches and project each to a token."""

    def __init__(self, patch_size: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch_size, stride=patch_size)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, 3, H, W)`` to tokens ``(B, H/patch_size, W/patch_size, C)``, contiguous."""
        patch_size = self.proj.stride[0]
        if x.shape[-2] % patch_size or x.shape[-1] % patch_size:
            msg = f"image sides must be multiples of {patch_size}, got {tuple(x.shape[-2:])}; pad the image first"
            raise ValueError(msg)
        return cast("Tensor", self.proj(x)).permute(0, 2, 3, 1).contiguous()  # (B, H, W, C)


class Block(nn.Module):
    """Pre-normalised transformer block on a grid of tokens.

    What all blocks add to stays in float32 where they compute in half precision: rounding the sum at each of them
    doubled the error of a ViT-B embedding in bf16, and keeping it took no measurable time.
    """

    def __init__(self, dim: int, attn: Attention) -> None:
        super().__init__()
        self.norm1 = NormOfSum(dim, eps=1e-6)
        self.attn = attn
        self.norm2 = NormOfSum(dim, eps=1e-6)
        self.mlp = MLPBlock(dim, _MLP_RATIO * dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, H, W, C)`` to the same shape."""
        x = x + self.attn(self.norm1(x))
        return cast("Tensor", x + self.mlp(self.norm2(x)))


class NormOfSum(nn.LayerNorm):
    """Layer normalisation in the precision of what comes in; what goes out has that of the weights."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., C)`` to the same shape."""
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        return F.layer_norm(x, self.normalized_shape, weight, bias, self.eps).to(self.weight.dtype)


class Attention(nn.Module):
    """Self-attention of a grid of tokens with decomposed relative positions (Li et al. 2022, MViTv2, eq. 4).

    The bias of query (y, x) and key (y', x') is ``q . rel_pos_h[y - y'] + q . rel_pos_w[x - x']``.

    Parameters
    ----------
    dim, num_heads : int
        Width of the tokens, and in how many heads they attend.
    side : int
        Largest height and width of the grid: the tables hold the distances ``1 - side`` to ``side - 1``.
    """

    def __init__(self, dim: int, num_heads: int, side: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = Linear(dim, 3 * dim)
        self.proj = Linear(dim, dim)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * side - 1, dim // num_heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * side - 1, dim // num_heads))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, H, W, C)`` to the same shape."""
        return cast("Tensor", self.proj(self._attend(self.qkv(x))))

    def _attend(self, qkv: Tensor) -> Tensor:
        """Attend over whole grids: ``(B, H, W, 3*C)`` to ``(B, H, W, C)``."""
        batch, height, width, channels = qkv.shape
        qkv = qkv.reshape(batch, height, width, 3, self.num_heads, -1)  # (B, H, W, 3, heads, C/heads)
        grid, k, v = qkv.permute(3, 0, 4, 1, 2, 5).unbind()  # (B, heads, H, W, C/heads)
        # Contiguous, or their sum would inherit einsum's order of axes and be copied once more.
        along_h = torch.einsum("bnhwc,hkc->bnhwk", grid, _by_distance(self.rel_pos_h, height)).contiguous()
        along_w = torch.einsum("bnhwc,wkc->bnhwk", grid, _by_distance(self.rel_pos_w, width)).contiguous()
        k, v = k.flatten(2, 3), v.flatten(2, 3)  # (B, heads, H*W, C/heads)
        rows = _rows_at_once(along_h, width)
        by_rows = (torch.split(x, rows, dim=2) for x in (grid, along_h, along_w))
        parts = [
            F.scaled_dot_product_attention(q.flatten(2, 3), k, v, attn_mask=_outer_sum(bias_h, bias_w))
            for q, bias_h, bias_w in zip(*by_rows, strict=True)
        ]
        out = torch.cat(parts, dim=2)  # (B, heads, H*W, C/heads)
        return out.transpose(1, 2).reshape(batch, height, width, channels // 3)  # (B, H, W, C)


class WindowAttention(Attention):
    """Self-attention inside square windows; ``side`` is the side of a window.

    Windows that stick out at the bottom or right are filled with tokens that take part in the attention, as in the
    official models. Those tokens are zero before ``qkv``, so that afterwards they are its bias.
    """

    def _attend(self, qkv: Tensor) -> Tensor:
        side = (len(self.rel_pos_h) + 1) // 2
        batch, height, width, channels = qkv.shape
        rows, columns = -(-height // side), -(-width // side)
        if (rows * side, columns * side) != (height, width):
            padded = self.qkv.bias.expand(batch, rows * side, columns * side, channels).clone()
            padded[:, :height, :width] = qkv
            qkv = padded
        qkv = qkv.view(batch, rows, side, columns, side, channels).transpose(2, 3)
        windows = super()._attend(qkv.flatten(0, 2))  # (B*rows*columns, side, side, C)
        out = windows.view(batch, rows, columns, side, side, -1).transpose(2, 3)
        out = out.reshape(batch, rows * side, columns * side, -1)  # (B, H, W, C), padded
        return out[:, :height, :width]


def _by_distance(table: Tensor, size: int) -> Tensor:
    """Look up the distances of ``size`` queries to ``size`` keys: ``(2*side - 1, C)`` to ``(size, size, C)``."""
    position = torch.arange(size, device=table.device)
    return table[position[:, None] - position + len(table) // 2]


def _rows_at_once(along_h: Tensor, width: int) -> int:
    """How many rows of queries have a bias that fits the memory, at least one."""
    row_bytes = along_h[:, :, 0].numel() * width * along_h.element_size()
    allowed = _BIAS_BYTES_CPU if along_h.device.type == "cpu" else _BIAS_BYTES
    return max(1, allowed // row_bytes)


def _outer_sum(along_h: Tensor, along_w: Tensor) -> Tensor:
    """Bias of rows of queries: ``(B, heads, h, W, H)`` and ``(B, heads, h, W, W)`` to ``(B, heads, h*W, H*W)``."""
    return (along_h[..., :, None] + along_w[..., None, :]).flatten(4).flatten(2, 3)
