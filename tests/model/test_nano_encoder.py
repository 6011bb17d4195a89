"""The image encoder of nano."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.testing import assert_close

from napari_sam.model.config import CONFIGS
from napari_sam.model.nano_encoder import DepthwiseConv2d, NanoEncoder, split_embedding

CONFIG: Any = CONFIGS["nano"].image_encoder


@pytest.mark.parametrize("size", [(32, 32), (64, 96), (160, 32)])
def test_any_size_of_whole_cells_is_encoded_at_stride_8(size: tuple[int, int]) -> None:
    out = NanoEncoder(CONFIG)(torch.zeros(2, 3, *size))
    assert out.shape == (2, CONFIG.out_chans, size[0] // 8, size[1] // 8)


def test_an_embedding_comes_apart_into_features_at_three_strides() -> None:
    embedding = NanoEncoder(CONFIG)(torch.zeros(1, 3, 64, 96))
    fused, skip4, skip2 = split_embedding(embedding, CONFIG)
    assert fused.shape == (1, CONFIG.width, 8, 12)
    assert skip4.shape == (1, CONFIG.skips[0], 16, 24)
    assert skip2.shape == (1, CONFIG.skips[1], 32, 48)


def test_the_skips_keep_their_place_in_the_image(rng: torch.Generator) -> None:
    encoder = NanoEncoder(CONFIG)
    image = torch.randn(1, 3, 64, 96, generator=rng)
    touched = image.clone()
    touched[..., 40:, 70:] += 5  # the first rows and columns of the skips are too far away to see this
    before, after = (split_embedding(encoder(x), CONFIG) for x in (image, touched))
    for stride, old, new in zip((4, 2), before[1:], after[1:], strict=True):
        assert_close(old[..., : 16 // stride, :], new[..., : 16 // stride, :], atol=1e-5, rtol=0)
        assert (old[..., 40 // stride :, 70 // stride :] - new[..., 40 // stride :, 70 // stride :]).abs().max() > 1e-3


def test_the_skip_at_stride_4_learns_from_the_fused_features(rng: torch.Generator) -> None:
    encoder = NanoEncoder(CONFIG)
    image = torch.randn(1, 3, 64, 96, generator=rng)
    alone, skip2 = split_embedding(encoder(image), CONFIG)[1:]
    torch.nn.init.normal_(encoder.from8.weight, generator=rng)
    informed, same_skip2 = split_embedding(encoder(image), CONFIG)[1:]
    assert (informed - alone).abs().mean() > 0.1 * alone.abs().mean()
    assert_close(same_skip2, skip2)


def test_a_batch_is_encoded_like_its_images_one_by_one(rng: torch.Generator) -> None:
    encoder = NanoEncoder(CONFIG)
    images = torch.randn(2, 3, 64, 64, generator=rng)
    assert_close(encoder(images), torch.cat([encoder(image[None]) for image in images]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_depthwise_convolution_in_bf16_learns_as_one_in_float32_does(stride: int) -> None:
    with torch.inference_mode(mode=False):
        coarse, exact = DepthwiseConv2d(6, 5, stride).bfloat16(), DepthwiseConv2d(6, 5, stride)
        exact.load_state_dict(coarse.state_dict())
        image = torch.randn(2, 6, 16, 16).bfloat16()
        answer = coarse(image)
        answer.square().sum().backward()
        exact(image.float()).square().sum().backward()
    assert answer.dtype == torch.bfloat16
    for ours, truth in zip(coarse.parameters(), exact.parameters(), strict=True):
        assert ours.grad is not None
        assert truth.grad is not None
        assert_close(ours.grad.float(), truth.grad, rtol=0.02, atol=0.02 * float(truth.grad.abs().max()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_runs_on_meta(dtype: torch.dtype) -> None:
    with torch.device("meta"):
        out = NanoEncoder(CONFIG).to(dtype)(torch.empty(2, 3, 512, 512, dtype=dtype))
    assert (out.shape, out.dtype) == ((2, CONFIG.out_chans, 64, 64), dtype)
