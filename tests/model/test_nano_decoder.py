"""What nano adds to the prompt encoder and the mask decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from napari_sam.model import mask_decoder
from napari_sam.model.config import CONFIGS
from napari_sam.model.sam import Sam, build_sam

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = (32, 40)  # cells of the embedding: an image of 256 x 320
LOW_RES = (128, 160)


@pytest.fixture
def nano(randomise: Callable[[nn.Module], None]) -> Sam:
    sam = build_sam(CONFIGS["nano"]).eval()
    randomise(sam)
    return sam


@pytest.fixture
def embedding(rng: torch.Generator) -> Tensor:
    return torch.randn(1, CONFIGS["nano"].image_encoder.out_chans, *SIZE, generator=rng)


@pytest.fixture
def nano_prompts(prompts: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same prompts, with masks of the size of nano's low-res logits."""
    if "mask_input" in prompts:
        prompts["mask_input"] = nn.functional.interpolate(prompts["mask_input"], LOW_RES)
    return prompts


@pytest.mark.parametrize("multimask_output", [False, True], ids=["single", "multimask"])
def test_every_kind_of_prompt_gives_logits_of_half_the_image(
    nano: Sam, embedding: Tensor, nano_prompts: dict[str, Tensor], multimask_output: bool
) -> None:
    logits, ious = nano.decode(embedding, **nano_prompts, multimask_output=multimask_output)
    masks = 3 if multimask_output else 1
    assert (logits.shape, ious.shape) == ((3, masks, *LOW_RES), (3, masks))
    assert logits.isfinite().all()


def test_an_object_is_decoded_alike_alone_and_among_others(
    nano: Sam, embedding: Tensor, nano_prompts: dict[str, Tensor]
) -> None:
    together, _ = nano.decode(embedding, **nano_prompts, multimask_output=True)
    second = {name: tensor[1:2] for name, tensor in nano_prompts.items()}
    alone, _ = nano.decode(embedding, **second, multimask_output=True)
    assert_close(alone[0], together[1], atol=1e-3, rtol=1e-4)


def test_upscaling_in_bands_changes_nothing(nano: Sam, embedding: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = torch.tensor([[20.0, 20.0, 90.0, 200.0], [100.0, 30.0, 300.0, 60.0]])
    masks = 8 * torch.randn(2, 1, *LOW_RES)
    logits, ious = nano.decode(embedding, boxes=boxes, mask_input=masks, multimask_output=True)
    row = 16 * 4 * 4 * SIZE[1] * 4  # bytes of the upscaled features of one row of cells
    for rows in (1, 5, 2 * SIZE[0]):
        monkeypatch.setattr(mask_decoder, "_FEATURE_BYTES_CPU", rows * row)
        banded, banded_ious = nano.decode(embedding, boxes=boxes, mask_input=masks, multimask_output=True)
        assert_close(banded, logits, atol=1e-4, rtol=1e-4)
        assert_close(banded_ious, ious, atol=1e-4, rtol=1e-4)


def test_prompts_in_float32_fit_weights_in_bfloat16(
    nano: Sam, embedding: Tensor, nano_prompts: dict[str, Tensor]
) -> None:
    logits, ious = nano.bfloat16().decode(embedding.bfloat16(), **nano_prompts, multimask_output=True)
    assert logits.isfinite().all()
    assert ious.isfinite().all()


@pytest.mark.parametrize(("label", "channel"), [(1, 0), (0, 1)], ids=["foreground", "background"])
def test_a_click_is_drawn_where_it_was_made(nano: Sam, label: int, channel: int) -> None:
    """The mask branch sees a disc in the channel of its label; x is the column."""
    seen: list[Tensor] = []
    nano.prompt_encoder.mask_downscaling.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    points = {"point_coords": torch.tensor([[[200.5, 30.5]]]), "point_labels": torch.tensor([[label]])}
    nano.decode(torch.zeros(1, CONFIGS["nano"].image_encoder.out_chans, *SIZE), **points, multimask_output=False)
    drawn = seen[0][0, 1:]  # after the mask's own channel
    assert [int(i) for i in torch.unravel_index(drawn.flatten().argmax(), drawn.shape)] == [channel, 15, 100]


def test_a_point_sees_the_image_under_it(nano: Sam) -> None:
    encoder, points = nano.prompt_encoder, torch.tensor([[[100.0, 60.0], [20.0, 20.0]]])
    channels = CONFIGS["nano"].image_encoder.out_chans
    dark, bright = torch.zeros(1, channels, *SIZE), torch.zeros(1, channels, *SIZE)
    bright[:, :, 60 // 8, 100 // 8] = 1
    prompt = {"point_coords": points, "point_labels": torch.tensor([[1, 1]]), "boxes": None, "mask_input": None}
    before, after = (encoder(**prompt, image_embedding=image)[0] for image in (dark, bright))
    changed = (before != after).any(-1)[0]
    assert changed.tolist() == [True, False, False]  # the click in the bright cell, the other click, the padding point


@pytest.mark.parametrize("part", [None, (16, 24)], ids=["all of the image", "a part of it"])
def test_objects_in_images_of_their_own_are_decoded_as_alone(
    nano: Sam, nano_prompts: dict[str, Tensor], rng: torch.Generator, part: tuple[int, int] | None
) -> None:
    images = torch.randn(3, CONFIGS["nano"].image_encoder.out_chans, *SIZE, generator=rng)
    parts = [(slice(top, top + part[0]), slice(4, 4 + part[1])) for top in (0, 5, 16)] if part else None
    logits, ious = nano.decode(images, **nano_prompts, parts=parts, multimask_output=False)
    assert logits.shape == (3, 1, *(4 * cells for cells in part or SIZE))
    for index in range(3):
        own = {name: tensor[index : index + 1] for name, tensor in nano_prompts.items()}
        own["parts"] = parts and parts[index : index + 1]
        alone, iou = nano.decode(images[index : index + 1], **own, multimask_output=False)
        assert_close(logits[index], alone[0], atol=1e-3, rtol=1e-4)
        assert_close(ious[index], iou[0], atol=1e-3, rtol=1e-4)


def test_parts_of_several_sizes_are_decoded_as_alone(
    nano: Sam, nano_prompts: dict[str, Tensor], rng: torch.Generator
) -> None:
    images = torch.randn(3, CONFIGS["nano"].image_encoder.out_chans, *SIZE, generator=rng)
    parts = [(slice(0, 16), slice(4, 28)), (slice(8, 16), slice(0, 8)), (slice(4, 20), slice(0, 24))]
    logits, ious = nano.decode(images, **nano_prompts, parts=parts, multimask_output=False)
    assert logits.shape == (3, 1, 64, 96)
    for index, (rows, columns) in enumerate(((16, 24), (8, 8), (16, 24))):
        own = {name: tensor[index : index + 1] for name, tensor in nano_prompts.items()}
        alone, iou = nano.decode(images[index : index + 1], **own, parts=[parts[index]], multimask_output=False)
        assert_close(logits[index, :, : 4 * rows, : 4 * columns], alone[0], atol=1e-3, rtol=1e-4)
        assert_close(ious[index], iou[0], atol=1e-3, rtol=1e-4)


def test_a_mask_prompt_reaches_the_finest_features_where_it_is(nano: Sam, embedding: Tensor) -> None:
    """Not only through the grid of the embedding, on which sixteen of its cells are one."""
    nn.init.zeros_(nano.prompt_encoder.mask_downscaling[-1].weight)
    mask = torch.full((1, 1, *LOW_RES), -8.0)
    without, _ = nano.decode(embedding, mask_input=mask, multimask_output=False)
    mask[..., 40, 100] = 8
    changed = (nano.decode(embedding, mask_input=mask, multimask_output=False)[0] - without).abs()[0, 0] > 1e-6
    rows, columns = changed.any(1).nonzero(), changed.any(0).nonzero()
    assert 40 - 12 <= rows.min() <= 40 <= rows.max() <= 40 + 12
    assert 100 - 12 <= columns.min() <= 100 <= columns.max() <= 100 + 12
