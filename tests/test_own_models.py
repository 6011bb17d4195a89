"""Models of the user are listed as long as their files are there."""

from pathlib import Path

import pytest

from napari_sam.own_models import own_models, remember_model, short_names


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_SAM_CACHE", str(tmp_path / "cache"))


def _file(folder: Path, name: str) -> Path:
    path = folder / name
    path.write_bytes(b"weights")
    return path


def test_there_are_none_at_first() -> None:
    assert own_models() == ()


def test_the_latest_comes_first_and_once(tmp_path: Path) -> None:
    first, second = _file(tmp_path, "a.safetensors"), _file(tmp_path, "b.safetensors")
    for path in (first, second, first):
        remember_model(path)
    assert own_models() == (first, second)


def test_a_file_that_is_gone_is_not_listed(tmp_path: Path) -> None:
    path = _file(tmp_path, "a.safetensors")
    remember_model(path)
    path.unlink()
    assert own_models() == ()


def test_a_relative_path_is_found_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _file(tmp_path, "a.safetensors")
    monkeypatch.chdir(tmp_path)
    remember_model("a.safetensors")
    monkeypatch.chdir("/")
    assert own_models() == (path,)


def test_files_are_named_by_what_tells_them_apart() -> None:
    paths = [Path(path) for path in ("/a/cells.pth", "/b/x/cells.pth", "/c/x/cells.pth", "/c/dots.pth", "/c/dots.pt")]
    named = [name.replace("\\", "/") for name in short_names(paths)]
    assert named == ["a/cells.pth", "b/x/cells.pth", "c/x/cells.pth", "dots.pth", "dots.pt"]


def test_a_lone_file_is_named_without_its_ending() -> None:
    assert short_names([Path("/a/cells.pth")]) == ("cells",)
