"""The layers that several parts share."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from napari_sam.model.layers import MLP, Conv1x1, LayerNorm2d, Linear, MLPBlock, ResidualBlock, batch_matmul


def test_layer_norm_2d_normalises_the_channels_of_every_pixel(rng: torch.Generator) -> None:
    x = torch.randn(2, 5, 3, 4, generator=rng) * 7 + 3
    out = LayerNorm2d(5)(x)
    assert_close(out.mean(1), torch.zeros(2, 3, 4), atol=1e-5, rtol=0)
    assert_close(out.var(1, correction=0), torch.ones(2, 3, 4), atol=1e-4, rtol=0)


def test_layer_norm_2d_keeps_the_memory_layout(rng: torch.Generator) -> None:
    x = torch.randn(2, 5, 3, 4, generator=rng).contiguous(memory_format=torch.channels_last)
    assert LayerNorm2d(5)(x).is_contiguous(memory_format=torch.channels_last)


def test_a_new_residual_block_is_the_identity(rng: torch.Generator) -> None:
    x = torch.randn(1, 4, 6, 5, generator=rng)
    assert_close(ResidualBlock(4, dilation=2)(x), x, atol=0, rtol=0)


@pytest.mark.parametrize("rows", [3, 700], ids=["few", "many"])
def test_a_linear_layer_is_a_matrix_product_for_few_and_for_many_rows(rows: int, rng: torch.Generator) -> None:
    layer = Linear(48, 5)
    x = torch.randn(2, rows, 48, generator=rng)
    out = layer(x)
    assert out.is_contiguous()
    assert_close(out, x @ layer.weight.T + layer.bias, atol=1e-5, rtol=1e-5)


def test_a_convolution_of_one_pixel_is_a_matrix_product_per_pixel(rng: torch.Generator) -> None:
    layer = Conv1x1(4, 3)
    x = torch.randn(2, 4, 6, 5, generator=rng)
    expected = torch.einsum("oc,bchw->bohw", layer.weight[:, :, 0, 0], x) + layer.bias[:, None, None]
    assert_close(layer(x), expected, atol=1e-5, rtol=1e-5)


def test_the_last_layer_of_a_head_is_linear(rng: torch.Generator) -> None:
    head = MLP(4, 8, 3, depth=1)
    x = torch.randn(2, 4, generator=rng)
    assert_close(head(x), x @ head.layers[0].weight.T + head.layers[0].bias, atol=1e-6, rtol=0)


def test_layers_run_on_meta() -> None:
    with torch.device("meta"):
        grid, tokens = torch.empty(2, 4, 6, 5), torch.empty(2, 7, 4)
        shapes = [layer(x).shape for layer, x in ((LayerNorm2d(4), grid), (ResidualBlock(4), grid))]
        shapes += [layer(tokens).shape for layer in (MLPBlock(4, 8), MLP(4, 8, 3, depth=3), Linear(4, 3))]
    assert shapes == [(2, 4, 6, 5), (2, 4, 6, 5), (2, 7, 4), (2, 7, 3), (2, 7, 3)]


@pytest.mark.parametrize(("left", "right"), [(1, 1), (3, 3), (1, 3), (3, 1)])
def test_a_batch_of_one_is_multiplied_with_every_matrix_of_the_other(
    left: int, right: int, rng: torch.Generator
) -> None:
    a, b = torch.randn(left, 2, 4, generator=rng), torch.randn(right, 4, 5, generator=rng)
    assert_close(batch_matmul(a, b), a @ b, atol=1e-6, rtol=0)
