"""What `napari_sam` offers, and what looking at it costs."""

import inspect
import subprocess
import sys

import numpy as np
import pytest

import napari_sam
from napari_sam import Prompt, Segmenter, load_sam

HEAVY = ("torch", "numpy", "scipy", "skimage", "zarr", "napari")


def run(code):
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()


def parameters(function):
    return [
        p.name if p.kind != p.KEYWORD_ONLY else f"{p.name}=" for p in inspect.signature(function).parameters.values()
    ]


def test_importing_the_package_imports_nothing_heavy():
    loaded = run("import sys, napari_sam; print(*sys.modules)")
    assert not set(HEAVY) & set(loaded)


def test_importing_the_package_imports_no_other_module_of_it():
    """The napari menu and `sam-stacks --help` wait for what is imported here."""
    loaded = run("import sys, napari_sam; print(*sys.modules)")
    assert [name for name in loaded if name.startswith("napari_sam")] == ["napari_sam"]


@pytest.mark.parametrize("said", ["Prompt(points=[[1, 2]])", "StepPrompt(points=3)", "StopRules()"])
def test_what_is_said_before_a_model_is_loaded_needs_no_torch(said):
    loaded = run(f"import sys, napari_sam; napari_sam.{said}; print(*sys.modules)")
    assert "torch" not in loaded


def test_every_public_name_can_be_had():
    assert all(getattr(napari_sam, name) is not None for name in napari_sam.__all__)
    assert {"Prompt", "Segmenter", "load_sam", "MaskPrediction", "PlaneMask"} <= set(napari_sam.__all__)


def test_signatures_are_as_documented():
    assert parameters(load_sam) == ["name_or_path", "device=", "dtype="]
    assert parameters(Prompt)[:2] == ["plane", "points"]
    constructor = ["image", "model", "cache=", "contrast=", "channel_axis=", "rgb=", "channels="]
    constructor += ["orientation=", "labels=", "tile=", "overlap=", "device=", "source="]
    assert parameters(Segmenter) == constructor
    assert parameters(Segmenter.embed) == ["self", "planes"]
    assert parameters(Segmenter.predict)[:3] == ["self", "prompt", "multimask_output="]
    assert parameters(Segmenter.segment)[:2] == ["self", "prompts"]
    assert parameters(Segmenter.propagate)[:5] == ["self", "prompts", "axis=", "start=", "stop="]


def test_what_comes_back_tells_of_itself_in_a_line(tiny_sam):
    """In a notebook a step of a walk filled the screen with True and False."""
    seg = Segmenter(np.zeros((2, 48, 64), np.uint16), tiny_sam)
    prompt = Prompt(plane=(1,), points=[[20, 30]])
    assert repr(seg) == "<Segmenter: image (2, 48, 64) uint16, model tiny on cpu>"
    assert repr(Segmenter(np.zeros((2, 4, 8)), tiny_sam, orientation="xz")).count(
        "image (4, 2, 8) float64 as xz planes"
    )
    assert len(repr(seg.predict(prompt))) < 400
    assert len(repr(next(iter(seg.propagate([prompt]))))) < 400
