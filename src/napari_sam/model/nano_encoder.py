"""The image encoder of nano: EfficientNet-Lite0's trunk, fused at stride 8, its skips packed beside it.

The trunk (Tan & Le 2019; the "Lite" variant has neither squeeze-excitation nor swish) has its batch norms folded into
the convolutions. Every level is normalised before it is fused: without that, training collapses to empty masks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam.model.layers import Conv1x1, LayerNorm2d, ResidualBlock

if TYPE_CHECKING:
    from napari_sam.model.config import NanoEncoderConfig

_STEM = 32
# (expansion, kernel, stride, channels, repeats) of EfficientNet-Lite0; levels end at strides 2, 4, 8, 16, 32.
_STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
_LEVELS = {0: 2, 1: 4, 2: 8, 4: 16, 6: 32}  # stage -> stride of the level that it ends


class NanoEncoder(nn.Module):
    """Encode ``(B, 3, H, W)`` to ``(B, config.out_chans, H/8, W/8)``; H and W are multiples of 32."""

    def __init__(self, config: NanoEncoderConfig) -> None:
        super().__init__()
        width, (at4, at2) = config.width, config.skips
        self.trunk = Trunk()
        self.level32 = _level(320, width)
        self.level16 = _level(112, width)
        self.level8 = _level(40, width)
        self.blocks16 = nn.Sequential(*(ResidualBlock(width) for _ in range(config.blocks[0])))
        self.blocks8 = nn.Sequential(*(ResidualBlock(width, dilation=1 + i % 2) for i in range(config.blocks[1])))
        self.norm = LayerNorm2d(width)
        self.level4 = nn.Sequential(nn.Conv2d(24, config.width4, 3, padding=1), nn.ReLU())
        self.from8 = Conv1x1(width, config.width4)
        nn.init.zeros_(self.from8.weight)  # like a residual block, it does nothing at first
        self.blocks4 = nn.Sequential(*(ResidualBlock(config.width4) for _ in range(config.blocks[2])))
        self.skip4 = Conv1x1(config.width4, at4)
        self.skip2 = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), Conv1x1(16, at2))

    def forward(self, x: Tensor) -> Tensor:
        """Return the image embedding; ``split_embedding`` takes it apart again."""
        levels = self.trunk(x.contiguous(memory_format=torch.channels_last))
        fused = self.blocks16(self.level16(levels[16]) + _double(self.level32(levels[32])))
        fused = self.norm(self.blocks8(self.level8(levels[8]) + _double(fused)))  # (B, width, H/8, W/8)
        fine = self.blocks4(self.level4(levels[4]) + _double(self.from8(fused)))  # (B, width4, H/4, W/4)
        skip4 = F.pixel_unshuffle(self.skip4(fine), 2)  # (B, 4*at4, H/8, W/8)
        skip2 = F.pixel_unshuffle(self.skip2(levels[2]), 4)  # (B, 16*at2, H/8, W/8)
        return torch.cat([fused, skip4, skip2], dim=1)


def split_embedding(image_embedding: Tensor, config: NanoEncoderConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Return fused features ``(B, width, H, W)`` and skips ``(B, c4, 2H, 2W)``, ``(B, c2, 4H, 4W)``."""
    at4, at2 = config.skips
    fused, skip4, skip2 = image_embedding.split([config.width, 4 * at4, 16 * at2], dim=1)
    return fused, F.pixel_shuffle(skip4, 2), F.pixel_shuffle(skip2, 4)


class Trunk(nn.Module):
    """EfficientNet-Lite0 without its head; returns the features of each level by stride."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, _STEM, 3, stride=2, padding=1)
        self.stages = nn.ModuleList()
        channels = _STEM
        for expansion, kernel, stride, out, repeats in _STAGES:
            stage = nn.Sequential()
            for index in range(repeats):
                stage.append(InvertedResidual(channels, out, kernel, stride if index == 0 else 1, expansion))
                channels = out
            self.stages.append(stage)

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """Return ``{stride: (B, C, H/stride, W/stride)}`` for strides 2, 4, 8, 16, 32."""
        x = F.relu6(self.stem(x), inplace=True)
        levels = {}
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in _LEVELS:
                levels[_LEVELS[index]] = x
        return levels


class InvertedResidual(nn.Module):
    """Expand, depthwise, project (Sandler et al. 2018), with the batch norms folded in."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = channels * expansion
        self.expand = Conv1x1(channels, hidden) if expansion != 1 else None
        self.depthwise = DepthwiseConv2d(hidden, kernel, stride)
        self.project = Conv1x1(hidden, out)
        self.residual = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, H, W)`` to ``(B, out, H/stride, W/stride)``."""
        hidden = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        hidden = cast("Tensor", self.project(F.relu6(self.depthwise(hidden), inplace=True)))
        return x + hidden if self.residual else hidden


class DepthwiseConv2d(nn.Conv2d):
    """Convolve each channel by itself; in float32 where a gradient will be asked for.

    In bf16 the gradient of a 5x5 kernel took three to six times as long (oneDNN of torch 2.13, a core with AMX).
    """

    def __init__(self, channels: int, kernel: int, stride: int) -> None:
        super().__init__(channels, channels, kernel, stride=stride, padding=kernel // 2, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, H, W)`` to ``(B, C, H/stride, W/stride)``."""
        learns = torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad)
        if not learns or x.dtype == torch.float32:
            return super().forward(x)
        bias = None if self.bias is None else self.bias.float()
        return cast("Tensor", self._conv_forward(x.float(), self.weight.float(), bias)).to(x.dtype)


def _level(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(LayerNorm2d(channels), Conv1x1(channels, width))


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
