"""Weights: which there are, where they lie, and how a file of tensors becomes a `Sam`."""

from __future__ import annotations

import os
import pickle
import zipfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pooch

from napari_sam.model.config import CONFIGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import torch
    from torch import Tensor

    from napari_sam.model.config import SamConfig
    from napari_sam.model.sam import Sam

    Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where the weights of one model come from.

    Attributes
    ----------
    name : str
        By which `load_sam` knows it; of a row of `CONFIGS`.
    url, sha256 : str or None
        Where the file is fetched and the hash that it must have; None: it comes with the package.
    licence, what : str
        Of the weights, and what they are, for a list.
    size : int
        Bytes, about.
    """

    name: str
    url: str | None
    sha256: str | None
    licence: str
    size: int
    what: str


def _official(name: str, file: str, sha256: str, size: int) -> Checkpoint:
    url = f"https://dl.fbaipublicfiles.com/segment_anything/{file}"
    what = f"Segment Anything with a ViT-{name[-1].upper()} image encoder, trained on SA-1B (Kirillov et al. 2023)"
    return Checkpoint(name, url, sha256, "Apache-2.0", size, what)


_VIT_B = "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912"
_VIT_L = "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622"
_VIT_H = "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e"
_NANO = "Small model for microscopy that comes with the package and needs no download"

REGISTRY: Mapping[str, Checkpoint] = MappingProxyType(
    {
        "nano": Checkpoint("nano", None, None, "BSD-3-Clause and Apache-2.0", 13_757_000, _NANO),
        "vit_b": _official("vit_b", "sam_vit_b_01ec64.pth", _VIT_B, 375_042_383),
        "vit_l": _official("vit_l", "sam_vit_l_0b3195.pth", _VIT_L, 1_249_524_607),
        "vit_h": _official("vit_h", "sam_vit_h_4b8939.pth", _VIT_H, 2_564_550_879),
    }
)

_PATIENCE = 30  # seconds without a byte, after which a download has failed


def load_sam(
    name_or_path: str | Path, *, device: str | torch.device | None = None, dtype: torch.dtype | None = None
) -> Sam:
    """Load a model, in evaluation mode.

    Parameters
    ----------
    name_or_path : str or Path
        A name of `REGISTRY`, fetched if it is not here yet, or a ``.safetensors`` or ``.pth`` file whose architecture
        is recognised from its tensors.
    device : str, torch.device or None
        Where to put the weights. None: the CUDA GPU if there is one, else the CPU.
    dtype : torch.dtype or None
        Floating-point type of the weights. None: float32, whatever the file has.

    Returns
    -------
    Sam
        ``weights_sha256`` is the hash of the file. The model owns its memory: the file may go away.

    Raises
    ------
    ValueError
        If the name is unknown, the device is missing, or the file is damaged, would need unpickling of code, or fits
        no architecture.
    OSError
        If the file is missing or cannot be downloaded.
    """
    import torch

    from napari_sam.model.sam import Sam, build_sam

    target = _device(device)
    path = fetch(str(name_or_path)) if str(name_or_path) in REGISTRY else _existing(Path(name_or_path))
    tensors, metadata = _read_safetensors(path) if path.suffix.lower() == ".safetensors" else (_read_pth(path), {})
    config = recognise(tensors, path, declared=metadata.get("config"))
    with torch.device("meta"):  # no memory and no random numbers for weights that are replaced at once
        parts = build_sam(config)
    sam = Sam(parts.image_encoder, parts.prompt_encoder, parts.mask_decoder, config)
    sam.load_state_dict({key: tensor.to(target, copy=True) for key, tensor in tensors.items()}, assign=True)
    sam.weights_sha256 = pooch.file_hash(str(path), alg="sha256")
    return sam.to(target, dtype or torch.float32).eval()


def fetch(name: str) -> Path:
    """Bring the weights of a named model onto this machine, unless they are here, and check their hash.

    Parameters
    ----------
    name : str
        A name of `REGISTRY`.

    Returns
    -------
    Path
        The file. A half downloaded one never stands under this name.

    Raises
    ------
    ValueError
        If the name is unknown, or what was downloaded has another hash.
    OSError
        If the file cannot be downloaded or written.
    """
    for _ in download(name):
        pass
    return weights_path(name)


def download(name: str) -> Iterator[tuple[int, int]]:
    """Do what `fetch` does, step by step.

    Yields
    ------
    tuple of int
        Bytes that are here, and bytes in all; nothing if the weights are here already. Closing the iterator ends the
        download and leaves no file behind.
    """
    row, path = _row(name), weights_path(name)
    if row.url is None:
        if not path.is_file():
            msg = f"the weights of {name} should be at {path}, but are not; reinstall napari-sam-stacks"
            raise FileNotFoundError(msg)
        return
    if path.is_file() and pooch.file_hash(str(path), alg="sha256") == row.sha256:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield from _download(row.url, partial)
        if pooch.file_hash(str(partial), alg="sha256") != row.sha256:
            msg = f"what {row.url} gave does not match the known hash {row.sha256}; try again, or use the model 'nano'"
            raise ValueError(msg)
        partial.replace(path)
    except OSError as error:
        msg = (
            f"could not fetch the weights of {name} ({type(error).__name__}): go online, put {row.url} into "
            f"{path.parent} yourself, or use the model 'nano', which needs no download"
        )
        raise OSError(msg) from error
    finally:
        partial.unlink(missing_ok=True)


def _download(url: str, path: Path) -> Iterator[tuple[int, int]]:
    import requests

    with requests.get(url, stream=True, timeout=_PATIENCE) as answer, path.open("wb") as file:
        answer.raise_for_status()
        total = int(answer.headers.get("Content-Length", 0))
        for chunk in answer.iter_content(2**20):
            file.write(chunk)
            yield file.tell(), max(total, file.tell())
        if file.tell() < total:
            msg = f"the connection ended after {file.tell()} of {total} bytes"
            raise ConnectionError(msg)


def weights_path(name: str) -> Path:
    """Return where the weights of a named model lie, or would lie: in the package, or in `cache_folder`."""
    row = _row(name)
    if row.url is None:
        return Path(str(files("napari_sam") / "weights" / f"{name}.safetensors"))
    return cache_folder() / row.url.rpartition("/")[2]


def cache_folder() -> Path:
    """Return where downloads are kept: ``NAPARI_SAM_CACHE`` if it is set, else the user's cache folder."""
    chosen = os.environ.get("NAPARI_SAM_CACHE")
    return Path(chosen).expanduser() if chosen else Path(pooch.os_cache("napari-sam-stacks"))


def recognise(tensors: Mapping[str, Tensor], path: Path, *, declared: str | None = None) -> SamConfig:
    """Find the row of `CONFIGS` that has just these names and shapes.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        A state dict; only its names and shapes are looked at.
    path : Path
        Where it came from, for the error message.
    declared : str or None
        Name of a row that is tried first: two rows may differ in more than shapes.

    Raises
    ------
    ValueError
        If there is no such row; the message says which keys differ from the nearest one.
    """
    found = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    rows = {name: _shapes(CONFIGS[name]) for name in sorted(CONFIGS, key=lambda name: name != declared)}
    for name, expected in rows.items():
        if found == expected:
            return CONFIGS[name]
    nearest = declared if declared in rows else max(rows, key=lambda name: len(found.items() & rows[name].items()))
    msg = f"{path} fits no model of {', '.join(CONFIGS)}; from {nearest} it differs in: "
    raise ValueError(msg + _differences(found, rows[nearest]))


def _row(name: str) -> Checkpoint:
    if name not in REGISTRY:
        msg = f"model must be one of {', '.join(REGISTRY)} or a .safetensors or .pth file, got {name!r}"
        raise ValueError(msg)
    return REGISTRY[name]


def _device(device: str | torch.device | None) -> torch.device:
    import torch

    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built with CUDA
        msg = f"device {str(device)!r} cannot be used here ({str(error).splitlines()[0]}); use 'cpu'"
        raise ValueError(msg) from error
    return torch.device(device)


def _existing(path: Path) -> Path:
    if path.suffix.lower() not in (".pth", ".safetensors"):
        _row(str(path))  # says which names there are
    if not path.is_file():
        msg = f"there is no file {path}"
        raise FileNotFoundError(msg)
    return path


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        msg = f"{path} is damaged or no safetensors file ({error}); get it again"
        raise ValueError(msg) from error


def _read_pth(path: Path) -> dict[str, Tensor]:
    """Return tensors, mapped from the file if it is of the zipped kind; no code in it is ever run."""
    import torch

    with path.open("rb") as file:
        zipped = file.read(2) == b"PK"
    if zipped and not zipfile.is_zipfile(path):
        msg = f"{path} is damaged: it ends too early; get it again"
        raise ValueError(msg)
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        msg = (
            f"{path} was refused: it is damaged, or holds more than tensors and would need unpickling of code, which "
            "can do anything to your machine; get the weights as .safetensors, or as a plain state dict"
        )
        raise ValueError(msg) from error
    if not isinstance(tensors, dict) or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        held = ", ".join(map(str, tensors)) if isinstance(tensors, dict) else type(tensors).__name__
        msg = f"{path} must hold a state dict, names and their tensors, but holds {held}; save only the state dict"
        raise ValueError(msg)
    return tensors


def _shapes(config: SamConfig) -> Shapes:
    import torch

    from napari_sam.model.sam import build_sam

    with torch.device("meta"):
        return {key: tuple(tensor.shape) for key, tensor in build_sam(config).state_dict().items()}


def _differences(found: Shapes, expected: Shapes) -> str:
    reshaped = (
        f"{key} {found[key]} instead of {expected[key]}"
        for key in found
        if key in expected and found[key] != expected[key]
    )
    kinds = {
        "unexpected": [key for key in found if key not in expected],
        "missing": [key for key in expected if key not in found],
        "of another shape": list(reshaped),
    }
    return "; ".join(f"{kind} {_some(keys)}" for kind, keys in kinds.items() if keys)


def _some(keys: Iterable[str], most: int = 4) -> str:
    first, *rest = list(keys)
    shown = ", ".join([first, *rest[: most - 1]])
    return f"{shown} and {len(rest) - most + 1} more" if len(rest) >= most else shown
