"""The pretrained trunk: folding a batch norm changes nothing, and early stages can be frozen."""

import pytest
import torch
from torch import nn

from napari_sam.model.nano_encoder import Trunk
from napari_sam.training.trunk import fold_batch_norm, freeze_early_stages, load_efficientnet_lite0


def test_a_folded_convolution_does_what_both_did():
    torch.manual_seed(0)
    convolution, norm = nn.Conv2d(3, 5, 3, bias=False), nn.BatchNorm2d(5, eps=1e-3)
    for parameter in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(parameter)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    weight, bias = fold_batch_norm(
        convolution.weight, "norm", {f"norm.{name}": tensor for name, tensor in norm.state_dict().items()}
    )
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(nn.functional.conv2d(x, weight, bias), norm.eval()(convolution(x)), atol=1e-5, rtol=1e-5)


def test_a_state_dict_without_a_layer_is_refused():
    with pytest.raises(KeyError, match="_conv_stem"):
        load_efficientnet_lite0(Trunk(), {})


def test_the_stem_and_two_stages_of_nano_are_frozen(fresh_nano):
    sam = fresh_nano()
    freeze_early_stages(sam)
    frozen = {name for name, parameter in sam.named_parameters() if not parameter.requires_grad}
    starts = ("image_encoder.trunk.stem", "image_encoder.trunk.stages.0", "image_encoder.trunk.stages.1")
    assert frozen == {name for name, _ in sam.named_parameters() if name.startswith(starts)}
    assert frozen


def test_other_models_have_no_early_stages_to_freeze(fresh_sam):
    sam = fresh_sam()
    freeze_early_stages(sam)
    assert all(parameter.requires_grad for parameter in sam.parameters())
