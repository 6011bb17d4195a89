"""The ViT image encoder against Meta's, with the same random weights."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from napari_sam.model import image_encoder
from napari_sam.model.config import CONFIGS, ViTConfig
from napari_sam.model.image_encoder import Attention, Block, ImageEncoderViT, WindowAttention

if TYPE_CHECKING:
    from collections.abc import Callable

    EncoderPair = Callable[[ViTConfig], tuple[ImageEncoderViT, nn.Module]]

VIT_B = CONFIGS["vit_b"].image_encoder
TINY = ViTConfig(embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,), img_size=320)
VIT_NAMES = [name for name, config in CONFIGS.items() if isinstance(config.image_encoder, ViTConfig)]


def image(*size: int) -> Tensor:
    return torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))


def filled(attention: Attention) -> Attention:
    generator = torch.Generator().manual_seed(0)
    for parameter in attention.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) / 4)
    return attention


@pytest.mark.parametrize("side", [224, 320, 448], ids=["one window", "padded windows", "four windows"])
def test_three_blocks_of_vit_b_equal_the_official_ones(encoder_pair: EncoderPair, side: int) -> None:
    config = replace(VIT_B, depth=3, global_attn_indexes=(1,), img_size=side)
    ours, theirs = encoder_pair(config)
    x = image(side, side)
    assert_close(ours(x), theirs(x), atol=1e-4, rtol=0)


def test_a_batch_is_encoded_like_its_images_one_by_one(encoder_pair: EncoderPair) -> None:
    ours, _ = encoder_pair(TINY)
    images = torch.cat([image(320, 320), image(320, 320) * 2 + 1])
    one_by_one = torch.cat([ours(x[None]) for x in images])
    assert_close(ours(images), one_by_one, atol=1e-5, rtol=0)


def test_a_smaller_image_keeps_the_positions_and_distances_of_the_large_one(encoder_pair: EncoderPair) -> None:
    ours, _ = encoder_pair(TINY)
    _, smaller = encoder_pair(replace(TINY, img_size=128))
    state = ours.state_dict()
    for name, tensor in smaller.state_dict().items():
        if name == "pos_embed":
            state[name] = state[name][:, :8, :8]
        elif len(tensor) == 2 * 8 - 1:  # a table of distances: keep -7 to 7 of -19 to 19
            state[name] = state[name][12:-12]
    smaller.load_state_dict(state)
    x = image(128, 128)
    assert_close(ours(x), smaller(x), atol=1e-4, rtol=0)


def test_attention_equals_a_loop_over_heads_and_queries_of_an_oblong_grid() -> None:
    attention = filled(Attention(8, num_heads=2, side=4))
    x = torch.randn(1, 3, 4, 8, generator=torch.Generator().manual_seed(1))
    assert_close(attention(x), attention.proj(loop(attention, attention.qkv(x)[0]))[None], atol=1e-5, rtol=0)


def loop(attention: Attention, qkv: Tensor) -> Tensor:
    height, width, _ = qkv.shape
    q, k, v = qkv.reshape(height, width, 3, 2, 4).unbind(2)  # (H, W, heads, C/heads)
    far = len(attention.rel_pos_h) // 2
    out = torch.zeros(height, width, 2, 4)
    for y, x, head in ((y, x, head) for y in range(height) for x in range(width) for head in range(2)):
        query = q[y, x, head]
        logits = torch.empty(height, width)
        for ky, kx in ((ky, kx) for ky in range(height) for kx in range(width)):
            position = attention.rel_pos_h[y - ky + far] + attention.rel_pos_w[x - kx + far]
            logits[ky, kx] = query @ k[ky, kx, head] / math.sqrt(4) + query @ position
        weights = logits.flatten().softmax(0).reshape(height, width, 1)
        out[y, x, head] = (weights * v[:, :, head]).sum((0, 1))
    return out.flatten(2)


@pytest.mark.parametrize("kind", [Attention, WindowAttention])
def test_attention_in_small_pieces_equals_attention_at_once(
    kind: type[Attention], monkeypatch: pytest.MonkeyPatch
) -> None:
    attention = filled(kind(8, num_heads=2, side=6))
    x = torch.randn(2, 5, 6, 8, generator=torch.Generator().manual_seed(1))
    at_once = attention(x)
    monkeypatch.setattr(image_encoder, "_BIAS_BYTES_CPU", 1)
    assert_close(attention(x), at_once, atol=1e-6, rtol=0)


def test_gradients_reach_every_parameter(encoder_pair: EncoderPair) -> None:
    with torch.inference_mode(mode=False):
        ours = ImageEncoderViT(TINY)
        ours(torch.randn(1, 3, 320, 320)).square().sum().backward()
        assert all(parameter.grad is not None for parameter in ours.parameters())


def test_bfloat16_stays_close_to_float32(encoder_pair: EncoderPair) -> None:
    ours, theirs = encoder_pair(replace(VIT_B, depth=2, global_attn_indexes=(1,), img_size=224))
    x = image(224, 224)
    expected = theirs(x)
    out = ours.bfloat16()(x.bfloat16())
    assert out.dtype == torch.bfloat16
    assert (out.float() - expected).abs().mean() < 0.02 * expected.std()


def test_what_a_block_adds_in_bfloat16_is_not_rounded_away_in_a_large_sum() -> None:
    block = Block(16, filled(Attention(16, num_heads=2, side=4)))
    x = 1000 * torch.randn(1, 4, 4, 16, generator=torch.Generator().manual_seed(1))
    added = block(x) - x
    assert (block.bfloat16()(x) - x - added).abs().mean() < 0.05 * added.std()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", VIT_NAMES)
def test_every_size_runs_on_meta(name: str, dtype: torch.dtype) -> None:
    config: Any = CONFIGS[name].image_encoder
    with torch.device("meta"):
        out = ImageEncoderViT(config).to(dtype)(torch.empty(2, 3, 1024, 1024, dtype=dtype))
    assert out.shape == (2, 256, 64, 64)
    assert (out.dtype, out.device.type) == (dtype, "meta")


def test_an_image_that_is_not_whole_patches_is_refused() -> None:
    with pytest.raises(ValueError, match=r"multiples of 16, got \(100, 64\); pad"):
        ImageEncoderViT(TINY)(image(100, 64))


def test_an_image_larger_than_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 20 x 20 patches, got 21 x 20; resize"):
        ImageEncoderViT(TINY)(image(336, 320))
