"""Tiny models and labelled stacks to train on."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_sam.model.config import CONFIGS, DecoderConfig, NanoEncoderConfig
from napari_sam.model.sam import Sam, build_sam
from napari_sam.sample import make_nuclei_stack
from napari_sam.stack import open_stack
from napari_sam.training import dataset
from napari_sam.training.pairs import Pair, make_pair


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def nuclei() -> Pair:
    """A stack of eight small planes with nuclei."""
    sample = make_nuclei_stack((8, 64, 64), seed=1)
    return make_pair("nuclei", open_stack(sample.image), sample.labels)


@pytest.fixture
def fresh_sam(tiny_sam):
    """Build the tiny model of fixed input size, with the same weights each time: training changes them."""

    def build() -> Sam:
        sam = build_sam(tiny_sam.config)
        sam.load_state_dict(tiny_sam.state_dict())
        return sam.eval()

    return build


@pytest.fixture
def fresh_nano(monkeypatch):
    """Build nano with narrow heads and random weights, always the same ones, and make the crops small."""
    monkeypatch.setattr(dataset, "_SIZES", (64,))
    monkeypatch.setattr(dataset, "CROP", 64)
    config = replace(
        CONFIGS["nano"],
        image_encoder=NanoEncoderConfig(width=16, skips=(4, 4), blocks=(1, 1, 1)),
        decoder=DecoderConfig(dim=16, num_heads=2, mlp_dim=16, iou_hidden=8, mask_in_chans=8, unit=64, mixing=8),
    )

    def build() -> Sam:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return build_sam(config).eval()

    return build
