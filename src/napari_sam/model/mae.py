"""Masked autoencoding (He et al. 2021): an image encoder learns to fill in what it was not shown.

A ViT gets its visible patches alone, as in the paper. A convolutional encoder cannot leave patches out; its features
are zeroed under the mask after each convolution, so that it neither sees nor uses anything there and the mask does not
wear away from its rim (Tian et al. 2023, "SparK"). The decoder is a few dilated convolutions for both.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam.model.config import ViTConfig
from napari_sam.model.image_encoder import Attention, Block, ImageEncoderViT, WindowAttention
from napari_sam.model.layers import ResidualBlock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sam.model.config import NanoEncoderConfig

_NANO_PATCH, _NANO_STRIDE = 32, 8  # the largest stride inside, so that a patch is whole at each; that of the embedding
_DILATIONS = (1, 2, 4, 1)  # 17 cells across: beyond any hole that a random mask leaves


class MaskedAutoencoder(nn.Module):
    """An image encoder with a light decoder that guesses the hidden pixels; only the encoder is kept afterwards.

    Parameters
    ----------
    image_encoder : ImageEncoderViT or NanoEncoder
        Trained in place. The neck of a ViT takes no part.
    config : ViTConfig or NanoEncoderConfig
        What it was built from.
    dim : int
        Width of the decoder.
    """

    def __init__(self, image_encoder: nn.Module, config: ViTConfig | NanoEncoderConfig, *, dim: int = 128) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        if isinstance(config, ViTConfig):
            self.patch_size, self.stride, channels = config.patch_size, config.patch_size, config.embed_dim
        else:
            self.patch_size, self.stride, channels = _NANO_PATCH, _NANO_STRIDE, config.out_chans
        self.narrow = nn.Conv2d(channels, dim, 1)
        self.mask_token = nn.Parameter(torch.zeros(1, dim, 1, 1))
        self.blocks = nn.Sequential(*(ResidualBlock(dim, dilation) for dilation in _DILATIONS))
        self.predict = nn.Conv2d(dim, 3 * self.stride**2, 1)

    def forward(self, images: Tensor, visible: Tensor) -> Tensor:
        """Return the loss: squared error of the hidden pixels, each patch normalised by its own mean and deviation.

        Parameters
        ----------
        images : Tensor
            ``(B, 3, H, W)``, normalised; H and W are multiples of ``patch_size``.
        visible : Tensor
            ``(B, H/patch_size, W/patch_size)`` bool, as many in each image.
        """
        guess = self.reconstruct(images, visible)
        target = normalised_patches(images, self.patch_size)
        error = patches(((guess.float() - target) ** 2), self.patch_size).mean(-1)  # (B, H/p, W/p)
        return error[~visible].mean()

    def reconstruct(self, images: Tensor, visible: Tensor) -> Tensor:
        """Guess all pixels, normalised by patch, ``(B, 3, H, W)``; see `forward`."""
        features = self.narrow(self._encode(images, visible))  # (B, dim, H/stride, W/stride)
        shown = _grown(visible, self.patch_size // self.stride).to(features.dtype)
        features = features * shown + self.mask_token * (1 - shown)
        return F.pixel_shuffle(self.predict(self.blocks(features)), self.stride)

    def _encode(self, images: Tensor, visible: Tensor) -> Tensor:
        if isinstance(self.image_encoder, ImageEncoderViT):
            return encode_visible_tokens(self.image_encoder, images, visible)
        images = images * _grown(visible, self.patch_size).to(images.dtype)
        with _zeroed_under_the_mask(self.image_encoder, visible):
            return cast("Tensor", self.image_encoder(images))


def encode_visible_tokens(encoder: ImageEncoderViT, images: Tensor, visible: Tensor) -> Tensor:
    """Send the visible patches alone through the blocks of a ViT.

    Parameters
    ----------
    encoder : ImageEncoderViT
        Its neck is not used.
    images : Tensor
        ``(B, 3, H, W)``.
    visible : Tensor
        ``(B, H/patch_size, W/patch_size)`` bool, as many in each image.

    Returns
    -------
    Tensor
        ``(B, C, H/patch_size, W/patch_size)``, zero where nothing was visible.
    """
    tokens = encoder.patch_embed(images)  # (B, H, W, C)
    height, width, channels = tokens.shape[1:]
    tokens = tokens + encoder.pos_embed[:, :height, :width]
    x = tokens[visible].view(len(images), -1, channels)  # (B, V, C)
    _, rows, columns = visible.nonzero(as_tuple=True)
    rows, columns = rows.view(x.shape[:2]), columns.view(x.shape[:2])  # (B, V)
    for block in cast("list[Block]", list(encoder.blocks)):
        x = x + _attend(block.attn, block.norm1(x), rows, columns)
        x = x + block.mlp(block.norm2(x))
    grid = x.new_zeros(len(images), height, width, channels)
    grid[visible] = x.flatten(0, 1)
    return cast("Tensor", grid.permute(0, 3, 1, 2))  # (B, C, H, W)


def _attend(attention: Attention, x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Attend among tokens ``(B, V, C)`` at ``rows``, ``columns`` ``(B, V)`` as the layer does among a whole grid."""
    batch, count, channels = x.shape
    qkv = attention.qkv(x).view(batch, count, 3, attention.num_heads, -1)
    q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind()  # (B, heads, V, C/heads)
    bias = _bias(q, attention.rel_pos_h, rows) + _bias(q, attention.rel_pos_w, columns)  # (B, heads, V, V)
    if isinstance(attention, WindowAttention):
        side = (len(attention.rel_pos_h) + 1) // 2
        together = (_differences(rows // side) == 0) & (_differences(columns // side) == 0)
        bias = bias.masked_fill(~together[:, None], float("-inf"))
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    return cast("Tensor", attention.proj(out.transpose(1, 2).reshape(batch, count, channels)))


def _bias(q: Tensor, table: Tensor, position: Tensor) -> Tensor:
    """``q . table[distance]`` of each pair, ``(B, heads, V, V)``; ``q (B, heads, V, C)`` are at ``position (B, V)``."""
    by_distance = q @ table.T  # (B, heads, V, 2*side - 1)
    distance = (_differences(position) + len(table) // 2).clamp(0, len(table) - 1)  # farther apart: other windows
    return by_distance.gather(-1, distance[:, None].expand(-1, q.shape[1], -1, -1))


def _differences(position: Tensor) -> Tensor:
    return position[:, :, None] - position[:, None]  # (B, V, V)


@contextmanager
def _zeroed_under_the_mask(encoder: nn.Module, visible: Tensor) -> Iterator[None]:
    """Make each convolution of an encoder give zeros under the mask."""

    def zero(_: nn.Module, __: object, output: Tensor) -> Tensor:
        """Take the place of what the convolution gave, ``(B, C, H, W)``."""
        return output * F.interpolate(visible[:, None].to(output.dtype), output.shape[-2:])

    convolutions = [module for module in encoder.modules() if isinstance(module, nn.Conv2d)]
    hooks = [convolution.register_forward_hook(zero) for convolution in convolutions]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _grown(visible: Tensor, factor: int) -> Tensor:
    """Repeat ``(B, H, W)`` to ``(B, 1, H*factor, W*factor)``."""
    return visible.repeat_interleave(factor, 1).repeat_interleave(factor, 2)[:, None]


def patches(images: Tensor, size: int) -> Tensor:
    """Cut ``(B, C, H, W)`` into ``(B, H/size, W/size, C*size*size)``."""
    return F.pixel_unshuffle(images, size).permute(0, 2, 3, 1)


def normalised_patches(images: Tensor, size: int) -> Tensor:
    """Bring each patch of ``(B, C, H, W)`` to mean 0 and deviation 1 over its pixels; an even one becomes 0."""
    cut = patches(images.float(), size)
    cut = (cut - cut.mean(-1, keepdim=True)) / (cut.var(-1, keepdim=True) + 1e-6).sqrt()
    return F.pixel_shuffle(cut.permute(0, 3, 1, 2), size)
