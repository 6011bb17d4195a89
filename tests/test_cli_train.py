"""`sam-stacks train` with a tiny model: what a user sees and gets."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_sam import cli
from napari_sam.checkpoints import load_sam
from napari_sam.own_models import own_models
from napari_sam.sample import make_nuclei_stack
from napari_sam.training.result import write_weights


@pytest.fixture
def folder(tmp_path, tiny_sam, monkeypatch):
    """A working folder with an image, its labels and a tiny model to start from."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("napari_sam.checkpoints.CONFIGS", {"tiny": tiny_sam.config})
    sample = make_nuclei_stack((5, 64, 64), seed=1)
    (tmp_path / "data").mkdir()
    tifffile.imwrite("data/nuclei.tif", sample.image)
    tifffile.imwrite("data/nuclei_labels.tif", sample.labels)
    write_weights(tmp_path / "tiny.safetensors", tiny_sam, {})
    return tmp_path


def run(*arguments, command="train"):
    with pytest.raises(SystemExit) as end:
        cli.main((command, *arguments))
    return end.value.code


TRAIN = ("data", "--init", "tiny.safetensors", "--output", "my.safetensors", "--steps", "2", "--batch", "1")


def test_training_prints_a_table_and_writes_a_model(folder, capsys):
    assert run(*TRAIN, "--freeze-encoder", "--cache", "cache") == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("before", "after 2 steps", "3 clicks", "--model my.safetensors"))
    assert load_sam("my.safetensors", device="cpu").config.name == "tiny"
    assert own_models()[0] == Path("my.safetensors").resolve()


def test_an_image_and_its_labels_may_be_named(folder):
    files = ("--image", "data/nuclei.tif", "--labels", "data/nuclei_labels.tif")
    assert run(*files, *TRAIN[1:], "--freeze-encoder", "--held-out", "0") == 0


def test_pretraining_needs_no_labels_and_writes_a_model(folder, capsys, monkeypatch):
    monkeypatch.setattr("napari_sam.training.pretrain._CROP", 64)
    assert run(*TRAIN, command="pretrain") == 0
    assert "train --init my.safetensors" in capsys.readouterr().out
    assert load_sam("my.safetensors", device="cpu").config.name == "tiny"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((*TRAIN[1:], "--freeze-encoder"), "no images to train on"),
        (("nothing", *TRAIN[1:]), "nothing is no folder"),
        ((*TRAIN, "--cache", "cache"), "--cache needs --freeze-encoder"),
        ((*TRAIN, "--minutes", "1"), "either steps or minutes"),
        ((*TRAIN, "--image", "data/nuclei.tif"), "must come in pairs"),
        (("classes", *TRAIN[1:]), "looks like a mask of classes"),
    ],
)
def test_a_users_error_is_one_sentence_and_exit_code_2(folder, capsys, arguments, complaint):
    (folder / "classes").mkdir()
    tifffile.imwrite("classes/a.tif", np.zeros((80, 80), np.uint8))
    tifffile.imwrite("classes/a_labels.tif", np.tile(np.pad(np.full((12, 12), 255, np.uint8), 4), (4, 4)))
    assert run(*arguments) == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert len(said.splitlines()) == 1
    assert not (folder / "my.safetensors").exists()
