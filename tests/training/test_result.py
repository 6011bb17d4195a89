"""The weights file: loads like any other, and says where it came from."""

import json
import subprocess

import pytest
import torch
from safetensors import safe_open

from napari_sam.checkpoints import load_sam
from napari_sam.training.result import git_revision, write_weights

MATRIX = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"


@pytest.fixture
def known(tiny_sam, monkeypatch):
    """Make the tiny model one that `load_sam` recognises."""
    monkeypatch.setattr("napari_sam.checkpoints.CONFIGS", {"tiny": tiny_sam.config})


def test_the_result_loads(tmp_path, tiny_sam, known):
    write_weights(tmp_path / "my.safetensors", tiny_sam, {})
    loaded = load_sam(tmp_path / "my.safetensors", device="cpu")
    assert loaded.config == tiny_sam.config
    for name, tensor in tiny_sam.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, atol=1e-3, rtol=1e-3)


def test_everything_is_float16_but_the_frequencies_are_exact(tmp_path, tiny_sam):
    write_weights(tmp_path / "my.safetensors", tiny_sam, {})
    with safe_open(tmp_path / "my.safetensors", framework="pt") as file:
        wide = [name for name in file.keys() if file.get_tensor(name).dtype != torch.float16]  # noqa: SIM118
        assert wide == [MATRIX]
        assert torch.equal(file.get_tensor(MATRIX), tiny_sam.state_dict()[MATRIX])


def test_the_metadata_tell_the_model_and_what_is_known_about_it(tmp_path, tiny_sam):
    write_weights(tmp_path / "my.safetensors", tiny_sam, {"seed": 3, "recipe": {"steps": 5}})
    with safe_open(tmp_path / "my.safetensors", framework="pt") as file:
        metadata = file.metadata()
    assert metadata["config"] == "tiny"
    assert json.loads(metadata["recipe"]) == {"steps": 5}
    assert {"seed", "version"} <= metadata.keys()


def test_weights_that_diverged_are_not_written(tmp_path, fresh_sam):
    sam = fresh_sam()
    sam.mask_decoder.iou_token.weight.data.fill_(float("nan"))
    with pytest.raises(ValueError, match=r"diverged: mask_decoder.iou_token.weight"):
        write_weights(tmp_path / "my.safetensors", sam, {})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_under_no_version_control_has_no_revision(tmp_path):
    assert git_revision(tmp_path) is None


def test_the_revision_is_the_last_commit_that_touched_the_folder(tmp_path):
    def git(*arguments):
        identity = ("-c", "user.name=t", "-c", "user.email=t@t")
        ran = subprocess.run(("git", "-C", tmp_path, *identity, *arguments), check=True, capture_output=True, text=True)
        return ran.stdout.strip()

    git("init", "--quiet")
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "file").write_text("x")
    assert git_revision(tmp_path / "inside") is None
    git("add", ".")
    git("commit", "--quiet", "--message", "x")
    assert git_revision(tmp_path / "inside") == git("rev-parse", "HEAD")
