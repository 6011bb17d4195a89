"""The prompt encoder against Meta's, with the same random weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from napari_sam.model.prompt_encoder import PositionEmbeddingRandom, PromptEncoder

if TYPE_CHECKING:
    from types import SimpleNamespace

EMBEDDING = torch.zeros(1, 256, 16, 16)


def encode(encoder: PromptEncoder, prompts: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    names = ("point_coords", "point_labels", "boxes", "mask_input")
    return encoder(**{name: prompts.get(name) for name in names}, image_embedding=EMBEDDING)


def official_encode(encoder: torch.nn.Module, prompts: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    points = (prompts["point_coords"], prompts["point_labels"]) if "point_coords" in prompts else None
    return encoder(points=points, boxes=prompts.get("boxes"), masks=prompts.get("mask_input"))


def test_every_kind_of_prompt_equals_the_official_one(sam_pair: SimpleNamespace, prompts: dict[str, Tensor]) -> None:
    sparse, dense = encode(sam_pair.ours.prompt_encoder, prompts)
    expected_sparse, expected_dense = official_encode(sam_pair.theirs.prompt_encoder, prompts)
    assert_close(sparse, expected_sparse, atol=1e-4, rtol=0)
    assert_close(dense.expand_as(expected_dense), expected_dense, atol=1e-4, rtol=0)


def test_no_prompt_at_all_equals_the_official_one(sam_pair: SimpleNamespace) -> None:
    sparse, dense = encode(sam_pair.ours.prompt_encoder, {})
    expected_sparse, expected_dense = official_encode(sam_pair.theirs.prompt_encoder, {})
    assert sparse.shape == expected_sparse.shape == (1, 0, 256)
    assert_close(dense, expected_dense, atol=0, rtol=0)


def test_the_positional_encoding_of_the_grid_equals_the_official_one(sam_pair: SimpleNamespace) -> None:
    image_pe = sam_pair.ours.prompt_encoder.dense_pe((16, 16), 16)
    assert_close(image_pe, sam_pair.theirs.prompt_encoder.get_dense_pe(), atol=1e-4, rtol=0)


def test_a_click_on_the_centre_of_a_cell_is_encoded_like_the_cell(sam_pair: SimpleNamespace) -> None:
    encoder = sam_pair.ours.prompt_encoder
    column, row = 3, 5
    centre = torch.tensor([column + 0.5, row + 0.5]) * 16 / 256
    assert_close(encoder.pe_layer(centre), encoder.dense_pe((16, 16), 16)[0, :, row, column], atol=1e-5, rtol=0)


def test_a_padding_point_is_encoded_alike_wherever_it_lies(sam_pair: SimpleNamespace) -> None:
    coords = torch.tensor([[[1.0, 2.0]], [[200.0, 7.0]]])
    labels = torch.full((2, 1), -1)
    sparse, _ = encode(sam_pair.ours.prompt_encoder, {"point_coords": coords, "point_labels": labels})
    assert_close(sparse[0], sparse[1], atol=0, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_weights_do_not_misplace_clicks(dtype: torch.dtype, rng: torch.Generator) -> None:
    layer = PositionEmbeddingRandom(64)
    coords = torch.rand(10, 2, generator=rng)
    expected = layer(coords)
    assert_close(layer.to(dtype)(coords), expected, atol=0, rtol=0)


def test_double_precision_places_clicks_as_well(rng: torch.Generator) -> None:
    layer = PositionEmbeddingRandom(64)
    coords = torch.rand(10, 2, generator=rng)
    expected = layer(coords).double()
    assert_close(layer.double()(coords.double()), expected, atol=1e-5, rtol=0)


def test_encodes_on_meta(prompts: dict[str, Tensor]) -> None:
    on_meta = {name: tensor.to("meta") for name, tensor in prompts.items()}
    with torch.device("meta"):
        sparse, dense = encode(PromptEncoder(256, unit=256, mask_in_chans=16), on_meta)
    assert sparse.device.type == dense.device.type == "meta"
    assert (sparse.shape[0], sparse.shape[2], dense.shape[1:]) == (3, 256, (256, 16, 16))
