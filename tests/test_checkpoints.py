"""Files of weights: recognised, loaded, refused, fetched."""

from __future__ import annotations

import copy
import hashlib
import os
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.testing import assert_close

from napari_sam import checkpoints
from napari_sam.checkpoints import REGISTRY, Checkpoint, fetch, load_sam, recognise, weights_path
from napari_sam.model.config import CONFIGS
from napari_sam.model.sam import Sam, build_sam

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _table(tiny_sam: Sam, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Know two small models, which differ in how a plane is resized but not in their tensors."""
    tiny = tiny_sam.config
    other = replace(tiny, name="other", grid=replace(tiny.grid, shortest=32))
    monkeypatch.setattr(checkpoints, "CONFIGS", {"tiny": tiny, "other": other})
    monkeypatch.setenv("NAPARI_SAM_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def sam(tiny_sam: Sam) -> Sam:
    return copy.deepcopy(tiny_sam)


def save(sam: Sam, path: Path, **metadata: str) -> Path:
    if path.suffix == ".pth":
        torch.save(sam.state_dict(), path)
    else:
        save_file(sam.state_dict(), path, metadata)
    return path


def encode(sam: Sam) -> Tensor:
    with torch.inference_mode():
        return sam.encode(torch.linspace(0, 255, 3 * 64 * 64).reshape(1, 3, 64, 64))


@pytest.mark.parametrize("name", ["any.pth", "any.safetensors"])
def test_a_file_is_recognised_and_gives_the_model_back(sam: Sam, tmp_path: Path, name: str) -> None:
    loaded = load_sam(save(sam, tmp_path / name), device="cpu")
    assert loaded.config.name == "tiny"
    assert not loaded.training
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    assert_close(encode(loaded), encode(sam), atol=0, rtol=0)


def test_a_pth_file_of_the_old_kind_is_read(sam: Sam, tmp_path: Path) -> None:
    torch.save(sam.state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert_close(encode(load_sam(tmp_path / "old.pth", device="cpu")), encode(sam), atol=0, rtol=0)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_model_is_recognised_from_its_tensors(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "CONFIGS", CONFIGS)
    with torch.device("meta"):
        tensors = build_sam(CONFIGS[name]).state_dict()
    assert recognise(tensors, Path("any.pth")) is CONFIGS[name]


def test_the_metadata_of_a_file_choose_between_models_with_the_same_tensors(sam: Sam, tmp_path: Path) -> None:
    assert load_sam(save(sam, tmp_path / "a.safetensors", config="other"), device="cpu").config.name == "other"
    assert load_sam(save(sam, tmp_path / "b.safetensors", config="unheard of"), device="cpu").config.name == "tiny"


def test_half_precision_weights_are_loaded_as_float32_unless_a_type_is_asked_for(sam: Sam, tmp_path: Path) -> None:
    path = save(sam.half(), tmp_path / "half.safetensors")
    assert {tensor.dtype for tensor in load_sam(path, device="cpu").state_dict().values()} == {torch.float32}
    assert load_sam(path, device="cpu", dtype=torch.bfloat16).dtype == torch.bfloat16


def test_the_hash_of_the_file_travels_with_the_model(sam: Sam, tmp_path: Path) -> None:
    path = save(sam, tmp_path / "weights.pth")
    assert load_sam(path, device="cpu").weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["any.pth", "any.safetensors"])
def test_a_loaded_model_does_not_notice_that_its_file_is_overwritten(sam: Sam, tmp_path: Path, name: str) -> None:
    path = save(sam, tmp_path / name)
    loaded = load_sam(path, device="cpu")
    path.write_bytes(bytes(path.stat().st_size))
    assert_close(encode(loaded), encode(sam), atol=0, rtol=0)


def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path: Path) -> None:
    class Malicious:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "harmed"),)

    torch.save({"weight": Malicious()}, tmp_path / "evil.pth")
    with pytest.raises(ValueError, match=r"evil\.pth was refused: .* unpickling of code"):
        load_sam(tmp_path / "evil.pth")
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("name", ["short.pth", "short.safetensors"])
@pytest.mark.parametrize("share", [0.02, 0.9])
def test_a_truncated_file_is_called_damaged(sam: Sam, tmp_path: Path, name: str, share: float) -> None:
    path = save(sam, tmp_path / name)
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(ValueError, match=r"short.* is damaged.* get it again"):
        load_sam(path)


@pytest.mark.parametrize(("content", "held"), [({"model": {}, "epoch": 3}, "model, epoch"), ([1, 2], "list")])
def test_a_file_without_a_state_dict_says_what_it_holds(tmp_path: Path, content: Any, held: str) -> None:
    torch.save(content, tmp_path / "run.pth")
    with pytest.raises(ValueError, match=f"must hold a state dict, .* but holds {held}; save only"):
        load_sam(tmp_path / "run.pth")


def test_a_file_that_fits_no_model_says_which_keys_surprised_it(sam: Sam, tmp_path: Path) -> None:
    state = sam.state_dict()
    state["head.weight"] = state.pop("image_encoder.pos_embed")
    state["image_encoder.neck.1.bias"] = torch.zeros(17)
    save_file(state, tmp_path / "alien.safetensors")
    with pytest.raises(
        ValueError,
        match=r"fits no model of tiny, other; from tiny .* unexpected head\.weight; "
        r"missing image_encoder\.pos_embed; of another shape image_encoder\.neck\.1\.bias \(17,\) instead of \(32,\)",
    ):
        load_sam(tmp_path / "alien.safetensors")


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"one of nano, vit_b, vit_l, vit_h or a \.safetensors .*, got 'vit_x'"):
        load_sam("vit_x")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file .*gone\.pth"):
        load_sam(tmp_path / "gone.pth")


def test_a_device_that_is_not_there_is_said_before_the_file_is_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"device 'xpu:7' cannot be used here .*use 'cpu'"):
        load_sam(tmp_path / "gone.pth", device="xpu:7")


def test_a_package_without_nano_asks_for_reinstallation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(checkpoints, "files", lambda package: tmp_path)
    with pytest.raises(FileNotFoundError, match=r"weights of nano .* reinstall napari-sam-stacks"):
        load_sam("nano")


@pytest.fixture
def served(sam: Sam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Serve the weights of a model "remote" on this machine; `content` is sent, `size` is announced."""
    content = save(sam, tmp_path / "origin.safetensors").read_bytes()
    state: dict[str, Any] = {"content": content, "size": len(content), "requests": 0}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state["requests"] += 1
            self.send_response(200)
            self.send_header("Content-Length", str(state["size"]))
            self.end_headers()
            self.wfile.write(state["content"])

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state["url"] = f"http://127.0.0.1:{server.server_port}/remote.safetensors"
        row = Checkpoint("remote", state["url"], hashlib.sha256(content).hexdigest(), "none", len(content), "test")
        monkeypatch.setattr(checkpoints, "REGISTRY", {**REGISTRY, "remote": row})
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield state
        server.shutdown()


def test_a_named_model_is_fetched_once(sam: Sam, served: dict[str, Any]) -> None:
    for _ in range(2):
        assert_close(encode(load_sam("remote", device="cpu")), encode(sam), atol=0, rtol=0)
    assert served["requests"] == 1


def test_a_download_with_another_hash_is_thrown_away(served: dict[str, Any]) -> None:
    served["content"] = bytes(served["size"])
    with pytest.raises(ValueError, match="does not match the known hash"):
        fetch("remote")
    assert list(weights_path("remote").parent.iterdir()) == []


def test_a_broken_download_leaves_no_half_file(served: dict[str, Any]) -> None:
    served["content"] = served["content"][:100]
    with pytest.raises(OSError, match="could not fetch"):
        fetch("remote")
    assert list(weights_path("remote").parent.iterdir()) == []


def test_a_download_tells_how_far_it_is(served: dict[str, Any]) -> None:
    steps = list(checkpoints.download("remote"))
    assert steps[-1] == (served["size"], served["size"])
    assert list(checkpoints.download("remote")) == []


def test_a_download_that_is_closed_leaves_no_file(served: dict[str, Any]) -> None:
    steps = checkpoints.download("remote")
    next(steps)
    steps.close()
    assert list(weights_path("remote").parent.iterdir()) == []


def test_a_damaged_file_in_the_cache_is_fetched_again(sam: Sam, served: dict[str, Any]) -> None:
    fetch("remote").write_bytes(b"damaged")
    assert_close(encode(load_sam("remote", device="cpu")), encode(sam), atol=0, rtol=0)
    assert served["requests"] == 2


def test_without_a_network_the_user_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/remote.pth"  # the discard port: nobody listens
    monkeypatch.setattr(checkpoints, "REGISTRY", {"remote": replace(REGISTRY["vit_b"], url=url)})
    with pytest.raises(
        OSError, match=rf"could not fetch .* remote .* {url} into {tmp_path / 'cache'} .* 'nano'.* no download"
    ):
        load_sam("remote")
