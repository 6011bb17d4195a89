"""Layers that more than one part of the model uses."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable

_MANY_ROWS = 512  # fewer are better left to MKL: the weights are reordered in each call


class LayerNorm2d(nn.Module):
    """Layer normalisation over the channels of ``(B, C, H, W)``; free of copies on channels-last tensors."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised tensor, same shape."""
        x = x.permute(0, 2, 3, 1)  # (B, H, W, C)
        x = F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)  # (B, C, H, W)


class Conv1x1(nn.Conv2d):
    """Convolution with a kernel of one pixel.

    Its dilation means nothing, but makes PyTorch leave the convolution to oneDNN on a single thread too; its own was
    half as fast (Zen 5, torch 2.13).
    """

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out, 1, dilation=2)


class Linear(nn.Linear):
    """Linear layer for many rows.

    On a CPU in fp32 it is a 1x1 convolution: oneDNN does that at 180-220 GFLOP/s on one thread of a Zen 5, where MKL
    does the matrix product at 95.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., in_features)`` to ``(..., out_features)``."""
        if x.device.type != "cpu" or x.dtype != torch.float32 or x.numel() < _MANY_ROWS * self.in_features:
            return super().forward(x)
        rows = x.reshape(1, 1, -1, self.in_features).permute(0, 3, 1, 2)  # (1, in_features, 1, rows)
        out = F.conv2d(rows, self.weight[..., None, None], self.bias, dilation=2)  # (1, out_features, 1, rows)
        return out.permute(0, 2, 3, 1).reshape(*x.shape[:-1], self.out_features)


class MLPBlock(nn.Module):
    """Two linear layers around an activation: the feed-forward part of a transformer block."""

    def __init__(self, dim: int, mlp_dim: int, activation: type[nn.Module] = nn.GELU) -> None:
        super().__init__()
        self.lin1 = Linear(dim, mlp_dim)
        self.lin2 = Linear(mlp_dim, dim)
        self.act = activation()

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., dim)`` to ``(..., dim)``."""
        return cast("Tensor", self.lin2(self.act(self.lin1(x))))


class MLP(nn.Module):
    """Linear layers with ReLU between them: the heads on the decoder's output tokens."""

    def __init__(self, dim: int, hidden: int, out: int, depth: int) -> None:
        super().__init__()
        sizes = [dim, *[hidden] * (depth - 1), out]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., dim)`` to ``(..., out)``."""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return cast("Tensor", self.layers[-1](x))


class ResidualBlock(nn.Module):
    """Pre-normalised residual pair of 3x3 convolutions; the second starts at zero: at first the block does nothing."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.norm = LayerNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, H, W)`` to the same shape."""
        change = cast("Tensor", self.conv2(F.relu(self.conv1(self.norm(x)), inplace=True)))
        return change.add_(x)


def batch_matmul(a: Tensor, b: Tensor) -> Tensor:
    """Multiply ``(1 or B, m, k)`` by ``(1 or B, k, n)``; a batch of one takes part as a plain matrix.

    The numbers are those of ``a @ b``, which would copy the one matrix B times, and for which a bf16 batch of one was
    five times slower than a matrix (oneDNN 3.12, Zen 5).
    """
    product = a.squeeze(0) @ b.squeeze(0)
    return product if product.ndim == 3 else product[None]  # (B, m, n)


def never_below_fp32(fn: Callable[[Tensor], Tensor], weight: Tensor) -> Tensor:
    """Do with a weight what `nn.Module._apply` is told, such as to move it, but do not let it become bf16 or fp16."""
    changed = fn(weight)
    return weight.to(changed.device) if changed.dtype in (torch.bfloat16, torch.float16) else changed
