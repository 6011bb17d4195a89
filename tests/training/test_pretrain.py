"""Pretraining on images without labels: from files to a model file, and on after an interruption."""

import numpy as np
import pytest
import tifffile
import torch
from safetensors.torch import load_file

from napari_sam.stack import open_stack
from napari_sam.training import pretrain as module
from napari_sam.training.pretrain import Unlabelled, draw_visible, find_images, open_unlabelled, pretrain
from napari_sam.training.recipe import Recipe

RECIPE = Recipe(steps=3, batch=2, warmup=2)


@pytest.fixture(autouse=True)
def small_crops(monkeypatch):
    monkeypatch.setattr(module, "_CROP", 64)


@pytest.fixture
def images(nuclei):
    colour = np.random.default_rng(0).integers(0, 4000, (90, 70, 2)).astype(np.uint16)
    return [Unlabelled("nuclei", nuclei.stack), Unlabelled("colour", open_stack(colour, channel_axis=2))]


@pytest.mark.parametrize("kind", ["fresh_sam", "fresh_nano"])
def test_the_image_encoder_changes_and_nothing_else(request, images, tmp_path, kind):
    fresh = request.getfixturevalue(kind)
    steps = list(pretrain(fresh(), images, RECIPE, tmp_path / "my.safetensors"))
    assert all(np.isfinite(step.loss) for step in steps)
    weights, before = load_file(tmp_path / "my.safetensors"), fresh().state_dict()
    changed = {name for name, tensor in weights.items() if not torch.equal(tensor, before[name].to(tensor.dtype))}
    assert changed
    assert all(name.startswith("image_encoder.") for name in changed)


def test_an_interrupted_pretraining_goes_on_to_the_same_weights(fresh_sam, images, tmp_path):
    list(pretrain(fresh_sam(), images, RECIPE, tmp_path / "straight.safetensors"))
    first = pretrain(fresh_sam(), images, RECIPE, tmp_path / "my.safetensors")
    next(first)
    first.close()
    assert [step.step for step in pretrain(fresh_sam(), images, RECIPE, tmp_path / "my.safetensors")] == [2, 3]
    weights, expected = (load_file(tmp_path / f"{name}.safetensors") for name in ("my", "straight"))
    assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items())


def test_a_quarter_of_the_patches_is_visible(rng):
    visible = draw_visible(5, 8, rng)
    assert visible.flatten(1).sum(1).tolist() == [16] * 5
    assert len({tuple(each.flatten().tolist()) for each in visible}) == 5


def test_images_are_found_in_folders_and_labels_are_not(tmp_path):
    for name in ("a.tif", "a_labels.tif", "b.png", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in find_images([tmp_path, tmp_path / "b.png"])] == ["a.tif", "b.png", "b.png"]


def test_a_missing_image_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        find_images([tmp_path / "nothing"])


def test_nothing_to_look_at_is_refused_at_once(fresh_sam, tmp_path):
    with pytest.raises(ValueError, match="no images"):
        pretrain(fresh_sam(), [], RECIPE, tmp_path / "my.safetensors")


def test_a_file_is_opened_by_its_name(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 8, 8), np.uint8), photometric="minisblack")
    assert open_unlabelled(tmp_path / "a.tif").stack.spatial_shape == (4, 8, 8)
