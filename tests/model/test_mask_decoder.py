"""The mask decoder and its transformer against Meta's, with the same random weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from napari_sam.model.mask_decoder import MaskDecoder

if TYPE_CHECKING:
    from types import SimpleNamespace

    from napari_sam.model.sam import Sam


def official_decode(theirs: torch.nn.Module, embedding: Tensor, prompts: dict[str, Tensor], multimask: bool) -> Tensor:
    points = (prompts["point_coords"], prompts["point_labels"]) if "point_coords" in prompts else None
    sparse, dense = theirs.prompt_encoder(points=points, boxes=prompts.get("boxes"), masks=prompts.get("mask_input"))
    return theirs.mask_decoder(
        image_embeddings=embedding,
        image_pe=theirs.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=multimask,
    )


@pytest.mark.parametrize("multimask_output", [False, True], ids=["single", "multimask"])
def test_every_kind_of_prompt_is_decoded_like_the_official_one(
    sam_pair: SimpleNamespace, prompts: dict[str, Tensor], rng: torch.Generator, multimask_output: bool
) -> None:
    embedding = torch.randn(1, 256, 16, 16, generator=rng)
    logits, ious = sam_pair.ours.decode(embedding, **prompts, multimask_output=multimask_output)
    expected_logits, expected_ious = official_decode(sam_pair.theirs, embedding, prompts, multimask_output)
    assert logits.shape == (3, 3 if multimask_output else 1, 64, 64)
    assert_close(logits, expected_logits, atol=1e-4, rtol=0)
    assert_close(ious, expected_ious, atol=1e-4, rtol=0)


def test_the_transformer_equals_the_official_one(sam_pair: SimpleNamespace, rng: torch.Generator) -> None:
    image = torch.randn(2, 256, 16, 16, generator=rng)
    image_pe = torch.randn(2, 256, 16, 16, generator=rng)
    tokens = torch.randn(2, 9, 256, generator=rng)
    flat = (x.flatten(2).transpose(1, 2) for x in (image, image_pe))
    ours = sam_pair.ours.mask_decoder.transformer(*flat, tokens)
    theirs = sam_pair.theirs.mask_decoder.transformer(image, image_pe, tokens)
    assert_close(ours, theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("tokens", [7, 32, 33, 60])
@pytest.mark.parametrize("shared", [False, True], ids=["own image", "shared image"])
def test_few_tokens_and_many_attend_like_the_official_ones(
    sam_pair: SimpleNamespace, rng: torch.Generator, tokens: int, shared: bool
) -> None:
    """Past 32 tokens the projections of the image are no longer folded into those of the tokens."""
    image = torch.randn(1 if shared else 3, 256, 16, 16, generator=rng)
    image_pe = torch.randn(1, 256, 16, 16, generator=rng)
    queries = torch.randn(3, tokens, 256, generator=rng)
    ours = sam_pair.ours.mask_decoder.transformer(*(x.flatten(2).mT for x in (image, image_pe)), queries)
    each = (x.expand(3, -1, -1, -1) for x in (image, image_pe))
    assert_close(ours, sam_pair.theirs.mask_decoder.transformer(*each, queries), atol=1e-4, rtol=0)


def test_an_object_is_decoded_alike_alone_and_among_others(
    sam_pair: SimpleNamespace, prompts: dict[str, Tensor], rng: torch.Generator
) -> None:
    embedding = torch.randn(1, 256, 16, 16, generator=rng)
    together, _ = sam_pair.ours.decode(embedding, **prompts, multimask_output=True)
    second = {name: tensor[1:2] for name, tensor in prompts.items()}
    alone, _ = sam_pair.ours.decode(embedding, **second, multimask_output=True)
    assert_close(alone[0], together[1], atol=1e-4, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_decodes_on_meta(dtype: torch.dtype) -> None:
    with torch.device("meta"):
        decoder = MaskDecoder(256, num_heads=8, mlp_dim=2048, iou_hidden=256).to(dtype)
        grid, tokens = torch.empty(1, 256, 64, 64, dtype=dtype), torch.empty(5, 3, 256, dtype=dtype)
        logits, ious = decoder(grid, grid, tokens, grid)
    assert (logits.shape, ious.shape) == ((5, 4, 256, 256), (5, 4))
    assert (logits.dtype, logits.device.type) == (torch.float32, "meta")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_masks_of_a_model_in_half_precision_are_those_of_the_exact_one(
    small_sam: Sam, prompts: dict[str, Tensor], rng: torch.Generator, dtype: torch.dtype
) -> None:
    """All weights in bf16 made the error of the logits three to four times as large."""
    embedding = torch.randn(1, 256, 16, 16, generator=rng).to(dtype)
    exact, _ = small_sam.decode(embedding.float(), **prompts, multimask_output=True)
    logits, _ = small_sam.to(dtype).decode(embedding, **prompts, multimask_output=True)
    assert (logits - exact).std() < 0.01 * exact.std()


def test_many_clicks_are_decoded_in_half_precision_too(small_sam: Sam, rng: torch.Generator) -> None:
    embedding = torch.randn(1, 256, 16, 16, generator=rng)
    clicks = {"point_coords": torch.rand(1, 40, 2, generator=rng) * 256, "point_labels": torch.ones(1, 40)}
    exact, _ = small_sam.decode(embedding, **clicks, multimask_output=False)
    logits, _ = small_sam.bfloat16().decode(embedding.bfloat16(), **clicks, multimask_output=False)
    assert (logits - exact).std() < 0.02 * exact.std()


def test_a_part_of_the_mask_is_that_of_the_whole_mask(
    sam_pair: SimpleNamespace, prompts: dict[str, Tensor], rng: torch.Generator
) -> None:
    embedding = torch.randn(1, 256, 16, 16, generator=rng)
    whole, _ = sam_pair.ours.decode(embedding, **prompts, multimask_output=True)
    parts = [(slice(top, top + 8), slice(4, 10)) for top in (0, 3, 8)]
    logits, _ = sam_pair.ours.decode(embedding, **prompts, parts=parts, multimask_output=True)
    for index, top in enumerate((0, 3, 8)):
        assert_close(logits[index], whole[index, :, 4 * top : 4 * top + 32, 16:40], atol=1e-4, rtol=1e-4)
