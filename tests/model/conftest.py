"""Two independent implementations with the same random weights: ours, and Meta's `segment-anything`."""

from __future__ import annotations

import copy
import importlib
import sys
from functools import partial
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from napari_sam.model.config import DecoderConfig, InputGrid, SamConfig, ViTConfig
from napari_sam.model.image_encoder import ImageEncoderViT
from napari_sam.model.sam import build_sam

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.model.sam import Sam

SIDE = 256  # model pixels of the small pair: the decoder's grid is then 16 x 16
PROMPTS = [
    ("points",),
    ("padded points",),
    ("boxes",),
    ("mask",),
    ("points", "boxes"),
    ("padded points", "mask"),
    ("boxes", "mask"),
    ("padded points", "boxes", "mask"),
]


@pytest.fixture(scope="session")
def official() -> ModuleType:
    """`segment_anything.build_sam`; an empty parent stands in for the package, whose top level wants torchvision."""
    spec = find_spec("segment_anything")
    assert spec is not None, "pip install --no-deps segment-anything"
    parent = ModuleType("segment_anything")
    parent.__path__ = list(spec.submodule_search_locations or ())
    sys.modules["segment_anything"] = parent
    return importlib.import_module("segment_anything.build_sam")


@pytest.fixture(scope="session", name="randomise")
def randomise_fixture() -> Callable[[nn.Module], None]:
    """Return the function that makes all weights random."""
    return randomise


@torch.no_grad()
def randomise(module: nn.Module) -> None:
    """Fill every weight and buffer, so that no zero or one hides a mistake; signals keep about their size."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in module.state_dict().items():
        matrix = tensor.ndim > 1 and name.endswith("weight")
        std = tensor[0].numel() ** -0.5 if matrix else 1.0 if name.endswith("gaussian_matrix") else 0.2
        tensor.normal_(std=std, generator=generator)
        if tensor.ndim == 1 and name.endswith("weight"):  # of a layer norm
            tensor.add_(1)


@pytest.fixture(scope="session")
def encoder_pair(official: ModuleType) -> Callable[[ViTConfig], tuple[ImageEncoderViT, nn.Module]]:
    """Return a function that makes our image encoder and the official one with the same weights."""

    def make(config: ViTConfig) -> tuple[ImageEncoderViT, nn.Module]:
        theirs = official_encoder(official, config)
        randomise(theirs)
        ours = ImageEncoderViT(config)
        ours.load_state_dict(theirs.state_dict(), strict=True)
        return ours, theirs

    return make


@pytest.fixture(scope="session")
def sam_pair(official: ModuleType) -> SimpleNamespace:
    """`ours` and `theirs`: a small encoder, and the prompt encoder and decoder at their full width."""
    vit = ViTConfig(embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,), img_size=SIDE)
    grid = InputGrid(shortest=SIDE, longest=SIDE, multiple=SIDE)
    config = SamConfig(name="small", image_encoder=vit, decoder=DecoderConfig(unit=SIDE), grid=grid)
    theirs = official.Sam(
        image_encoder=official_encoder(official, vit),
        prompt_encoder=official.PromptEncoder(
            embed_dim=256, image_embedding_size=(SIDE // 16,) * 2, input_image_size=(SIDE,) * 2, mask_in_chans=16
        ),
        mask_decoder=official.MaskDecoder(
            transformer_dim=256,
            transformer=official.TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8),
        ),
    )
    randomise(theirs)
    ours = build_sam(config)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return SimpleNamespace(ours=ours.eval(), theirs=theirs.eval())


@pytest.fixture
def small_sam(sam_pair: SimpleNamespace) -> Sam:
    """Return a copy of our half of the pair, to be changed."""
    return copy.deepcopy(sam_pair.ours)


def official_encoder(official: ModuleType, config: ViTConfig) -> Any:
    """Build the official image encoder of a row of our table."""
    return official.ImageEncoderViT(
        img_size=config.img_size,
        patch_size=config.patch_size,
        embed_dim=config.embed_dim,
        depth=config.depth,
        num_heads=config.num_heads,
        global_attn_indexes=config.global_attn_indexes,
        window_size=config.window_size,
        out_chans=config.out_chans,
        use_rel_pos=True,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
    )


@pytest.fixture
def rng() -> torch.Generator:
    """Return a seeded generator."""
    return torch.Generator().manual_seed(1)


@pytest.fixture(params=PROMPTS, ids=" + ".join)
def prompts(request: pytest.FixtureRequest) -> dict[str, Tensor]:
    """Every kind of prompt alone and together, three of each, in pixels of the small model frame."""
    generator = torch.Generator().manual_seed(2)
    corners = (torch.rand(3, 2, 2, generator=generator) * SIDE).sort(dim=1).values
    kinds = {
        "points": {
            "point_coords": torch.rand(3, 4, 2, generator=generator) * SIDE,
            "point_labels": torch.tensor([[1, 0, 1, 0], [1, 1, 1, 1], [0, 1, 0, 0]]),
        },
        "padded points": {
            "point_coords": torch.rand(3, 3, 2, generator=generator) * SIDE,
            "point_labels": torch.tensor([[1, 0, 1], [1, -1, -1], [0, 1, -1]]),
        },
        "boxes": {"boxes": corners.flatten(1)},
        "mask": {"mask_input": torch.randn(3, 1, SIDE // 4, SIDE // 4, generator=generator) * 8},
    }
    return {name: tensor for kind in request.param for name, tensor in kinds[kind].items()}


@pytest.fixture(autouse=True)
def _no_gradients() -> Any:
    with torch.inference_mode():
        yield
