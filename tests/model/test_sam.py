"""The whole model against Meta's with the same random weights, and every row of the table on meta."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from napari_sam.model.config import CONFIGS
from napari_sam.model.sam import Sam, build_sam

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType, SimpleNamespace

OFFICIAL = ("vit_b", "vit_l", "vit_h")


def photo(*size: int) -> Tensor:
    return torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(3)) * 255


def shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("name", OFFICIAL)
def test_names_and_shapes_of_the_weights_are_the_official_ones(name: str, official: ModuleType) -> None:
    with torch.device("meta"):
        theirs = official.sam_model_registry[name]()
        ours = build_sam(CONFIGS[name])
    assert shapes(ours) == shapes(theirs)


@pytest.mark.parametrize("size", [(256, 256), (256, 190), (100, 256)])
def test_images_are_normalised_padded_and_encoded_like_the_official_ones(
    sam_pair: SimpleNamespace, size: tuple[int, int]
) -> None:
    image = photo(*size)
    expected = sam_pair.theirs.image_encoder(sam_pair.theirs.preprocess(image))
    assert_close(sam_pair.ours.encode(image), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("original_size", [(300, 400), (31, 17), (256, 256)])
def test_masks_are_brought_to_the_original_size_like_the_official_ones(
    sam_pair: SimpleNamespace, rng: torch.Generator, original_size: tuple[int, int]
) -> None:
    logits = torch.randn(2, 3, 64, 64, generator=rng)
    input_size = sam_pair.ours.config.grid.input_size(original_size)
    expected = sam_pair.theirs.postprocess_masks(logits, input_size, original_size)
    masks = sam_pair.ours.postprocess(logits, input_size=input_size, original_size=original_size)
    assert_close(masks, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("input_size", [(256, 256), (256, 171), (90, 256)])
@pytest.mark.parametrize("enlarged", [1, 2])
def test_masks_are_where_the_upscaled_logits_are_above_0(
    sam_pair: SimpleNamespace, rng: torch.Generator, input_size: tuple[int, int], enlarged: int
) -> None:
    logits = torch.randn(2, 3, 64, 64, generator=rng)
    sizes = {"input_size": input_size, "original_size": (enlarged * input_size[0], enlarged * input_size[1])}
    masks = sam_pair.ours.to_masks(logits, **sizes)
    assert torch.equal(masks, sam_pair.ours.postprocess(logits, **sizes) > 0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_prompts_in_float32_fit_weights_of_any_precision(
    small_sam: Sam, prompts: dict[str, Tensor], dtype: torch.dtype
) -> None:
    small_sam.to(dtype)
    logits, ious = small_sam.decode(small_sam.encode(photo(256, 190)), **prompts, multimask_output=True)
    assert (logits.shape, ious.shape) == ((3, 3, 64, 64), (3, 3))
    assert logits.isfinite().all()
    assert ious.isfinite().all()


def test_bfloat16_stays_close_to_float32(small_sam: Sam, prompts: dict[str, Tensor]) -> None:
    image = photo(256, 256)
    expected, _ = small_sam.decode(small_sam.encode(image), **prompts, multimask_output=False)
    small_sam.to(torch.bfloat16)
    logits, _ = small_sam.decode(small_sam.encode(image), **prompts, multimask_output=False)
    assert (logits.float() - expected).abs().mean() < 0.1 * expected.std()


@pytest.mark.parametrize("name", CONFIGS)
def test_every_model_of_the_table_runs_on_meta(name: str) -> None:
    grid = CONFIGS[name].grid
    height, width = grid.padded_size((768, 1024))
    low_res = (height // grid.low_res_stride, width // grid.low_res_stride)
    with torch.device("meta"):
        sam = build_sam(CONFIGS[name])
        embedding = sam.encode(torch.empty(1, 3, 768, 1024))
        prompts = {"boxes": torch.empty(3, 4), "mask_input": torch.empty(3, 1, *low_res)}
        logits, ious = sam.decode(embedding, **prompts, multimask_output=False)
        masks = sam.postprocess(logits, input_size=(768, 1024), original_size=(300, 400))
    assert embedding.shape[-2:] == (height // grid.stride, width // grid.stride)
    assert (logits.shape, ious.shape, masks.shape) == ((3, 1, *low_res), (3, 1), (3, 1, 300, 400))


@pytest.mark.slow
def test_all_of_vit_b_equals_the_official_model(official: ModuleType, randomise: Callable[[nn.Module], None]) -> None:
    theirs = official.build_sam_vit_b()
    randomise(theirs)
    ours = build_sam(CONFIGS["vit_b"]).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    image = photo(1024, 700)
    points = {"point_coords": torch.tensor([[[500.0, 375.0]]]), "point_labels": torch.ones(1, 1)}
    record = {"image": image[0], "original_size": (2048, 1400), **points}
    embeddings: list[Tensor] = []
    theirs.image_encoder.register_forward_hook(lambda module, inputs, output: embeddings.append(output))
    expected = theirs([record], multimask_output=True)[0]

    embedding = ours.encode(image)
    logits, ious = ours.decode(embedding, **points, multimask_output=True)
    masks = ours.postprocess(logits, input_size=(1024, 700), original_size=(2048, 1400)) > 0
    assert_close(embedding, embeddings[0], atol=1e-4, rtol=0)
    assert_close(logits, expected["low_res_logits"], atol=1e-4, rtol=0)
    assert_close(ious, expected["iou_predictions"], atol=1e-4, rtol=0)
    assert (masks == expected["masks"]).float().mean() > 0.9999
