"""Every model size is a row of the table ``CONFIGS``; no other module knows a size by name."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Size = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputGrid:
    """How a plane of any size becomes a model input.

    The longest side is brought into ``[shortest, longest]`` by one isotropic zoom; the result is padded at the bottom
    and at the right to multiples of ``multiple``. The official models use a square of 1024 (Kirillov et al. 2023,
    sec. A): ``shortest == longest == multiple == 1024``.

    Attributes
    ----------
    stride : int
        Model pixels per cell of the image embedding.
    low_res_stride : int
        Model pixels per cell of the low-res logits.
    zooms : tuple of int
        If there are any, powers of two: a plane up to ``longest`` gets the one of these zooms that brings its longest
        side nearest to ``shortest``. Cells then begin at whole pixels, and any window of a plane can be cut out.
    largest_whole : int
        Planes whose longest side is larger are encoded as tiles unless told otherwise. The official models were trained
        on pictures that had been shrunk to about half.
    tile, overlap : int
        Side of such tiles, and what neighbours share at least, in pixels.
    """

    shortest: int = 1024
    longest: int = 1024
    multiple: int = 1024
    stride: int = 16
    low_res_stride: int = 4
    zooms: tuple[int, ...] = ()
    largest_whole: int = 2048
    tile: int = 1024
    overlap: int = 256

    @property
    def fixed_side(self) -> int | None:
        """Side of the square that every input is padded to; None if planes keep their shape."""
        return self.longest if self.multiple == self.longest else None

    def input_size(self, original_size: Size) -> Size:
        """``(h, w)`` of a plane after the resize, before padding."""
        longest = max(original_size)
        if self.zooms and longest <= self.longest:
            zoom: float = min(self.zooms, key=lambda zoom: abs(math.log(zoom * longest / self.shortest)))
        else:
            zoom = min(max(longest, self.shortest), self.longest) / longest
        height, width = (max(1, int(side * zoom + 0.5)) for side in original_size)
        return height, width

    def padded_size(self, original_size: Size) -> Size:
        """``(H, W)`` of the tensor that the image encoder sees."""
        return self.pad(self.input_size(original_size))

    def pad(self, input_size: Size) -> Size:
        """``(H, W)`` of a resized plane after padding."""
        height, width = (-(-side // self.multiple) * self.multiple for side in input_size)
        return height, width


@dataclass(frozen=True, slots=True, kw_only=True)
class ViTConfig:
    """Plain ViT image encoder with windowed attention and a few global blocks (Li et al. 2022, ViTDet)."""

    embed_dim: int
    depth: int
    num_heads: int
    global_attn_indexes: tuple[int, ...]
    img_size: int = 1024
    patch_size: int = 16
    window_size: int = 14
    out_chans: int = 256

    @property
    def is_local(self) -> bool:
        """Whether the features of a place depend on its neighbourhood alone: then those of two tiles can be joined."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class NanoEncoderConfig:
    """Convolutional image encoder: a MobileNet-like trunk, fused at stride 8, with skips packed beside it.

    Attributes
    ----------
    width : int
        Channels of the fused features at stride 8.
    skips : tuple[int, int]
        Channels of the skip features at strides 4 and 2.
    width4 : int
        Channels at stride 4, where the fused features meet the trunk's.
    blocks : tuple[int, int, int]
        Residual blocks at strides 16, 8 and 4.
    """

    width: int = 128
    skips: tuple[int, int] = (16, 4)
    width4: int = 64
    blocks: tuple[int, int, int] = (5, 4, 2)

    @property
    def out_chans(self) -> int:
        """Channels of the image embedding: fused features, then both skips folded to stride 8."""
        return self.width + 4 * self.skips[0] + 16 * self.skips[1]

    @property
    def is_local(self) -> bool:
        """Whether the features of a place depend on its neighbourhood alone: then those of two tiles can be joined."""
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderConfig:
    """Prompt encoder and mask decoder (Kirillov et al. 2023, sec. A).

    Attributes
    ----------
    unit : int
        Model pixels per unit of the positional encoding's coordinates.
    mixing : int
        Channels in which neighbouring pixels are mixed per object before upscaling (nano); 0 is the official decoder.
    """

    dim: int = 256
    num_heads: int = 8
    mlp_dim: int = 2048
    iou_hidden: int = 256
    mask_in_chans: int = 16
    unit: int = 1024
    mixing: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SamConfig:
    """One model: its name in the registry, its input grid and the sizes of its three parts.

    Attributes
    ----------
    lone_masks : bool
        Whether the model was trained on mask prompts without points or box.
    """

    name: str
    image_encoder: ViTConfig | NanoEncoderConfig
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    grid: InputGrid = field(default_factory=InputGrid)
    pixel_mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    pixel_std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    lone_masks: bool = False


def _vit(name: str, embed_dim: int, depth: int, num_heads: int, global_attn_indexes: tuple[int, ...]) -> SamConfig:
    encoder = ViTConfig(embed_dim=embed_dim, depth=depth, num_heads=num_heads, global_attn_indexes=global_attn_indexes)
    return SamConfig(name=name, image_encoder=encoder)


_NANO = SamConfig(
    name="nano",
    image_encoder=NanoEncoderConfig(),
    decoder=DecoderConfig(dim=128, num_heads=4, mlp_dim=512, iou_hidden=128, mask_in_chans=32, unit=512, mixing=64),
    # Small planes are enlarged because what is 10 px across should reach the network at 20-40 px.
    # With 128 px of overlap, masks of ten phase-contrast cells on a seam had a mean IoU of .985 (box) and .96 (click)
    # with those of the whole plane; with 64 px .975 and .94.
    grid=InputGrid(
        shortest=512,
        longest=1024,
        zooms=(1, 2, 4),
        multiple=32,
        stride=8,
        low_res_stride=2,
        largest_whole=1024,
        tile=512,
        overlap=128,
    ),
    pixel_mean=(127.0, 127.0, 127.0),
    pixel_std=(128.0, 128.0, 128.0),
    lone_masks=True,
)

CONFIGS: Mapping[str, SamConfig] = MappingProxyType(
    {
        "nano": _NANO,
        "vit_b": _vit("vit_b", 768, 12, 12, (2, 5, 8, 11)),
        "vit_l": _vit("vit_l", 1024, 24, 16, (5, 11, 17, 23)),
        "vit_h": _vit("vit_h", 1280, 32, 16, (7, 15, 23, 31)),
    }
)
