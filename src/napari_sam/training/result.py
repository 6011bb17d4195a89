"""The result of a training: a safetensors file that `load_sam` loads and that says where it came from."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import napari_sam
from napari_sam.outputs import appears_when_complete, check_output

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from napari_sam.model.sam import Sam

# Frequencies rounded to float16 would misplace clicks by pixels.
_EXACT = ("prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",)


def write_weights(path: Path, sam: Sam, about: Mapping[str, Any]) -> None:
    """Write a model in float16, with its row of the table and what else is known about it as metadata.

    The file appears under its name when it is complete.

    Parameters
    ----------
    path : Path
        Ends with .safetensors.
    sam : Sam
        The model.
    about : mapping of str to JSON
        Becomes metadata, beside ``config`` and what identifies this package: its ``version``, and its git
        ``revision`` if it is a checkout.

    Raises
    ------
    ValueError
        If a weight is not finite or does not fit into float16: the training diverged.
    OSError
        If the file cannot be written.
    """
    from safetensors.torch import save

    tensors = {name: _packed(name, tensor) for name, tensor in sam.state_dict().items()}
    told = {name: value if isinstance(value, str) else json.dumps(value) for name, value in about.items()}
    metadata = {**told, "config": sam.config.name, **_package()}
    with appears_when_complete(path) as partial:
        partial.write_bytes(save(tensors, metadata))  # `save_file` would make it unreadable for others


def read_metadata(path: Path) -> dict[str, str]:
    """Read what `write_weights` has told of a model, to tell it of one that was made from it."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


def check_weights_output(path: Path, *, overwrite: bool = False) -> None:
    """Refuse a path that `write_weights` should not write to: ask before the long work.

    Raises
    ------
    OSError
        If the file exists and may not be overwritten, or the folder is missing.
    ValueError
        If the name does not end with .safetensors.
    """
    check_output(path, (".safetensors",), what="a model is written as tensors", overwrite=overwrite)


def git_revision(folder: Path) -> str | None:
    """Return the last commit that touched a folder; None if it is under no version control, or there is no git."""
    command = ["git", "-C", str(folder), "log", "-1", "--format=%H", "--", "."]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None if found.returncode == 0 else None


def _package() -> dict[str, str]:
    told = {"version": napari_sam.__version__}
    if revision := git_revision(Path(napari_sam.__file__).parent):
        told["revision"] = revision
    return told


def _packed(name: str, tensor: Tensor) -> Tensor:
    packed = tensor.detach().to("cpu", torch.float32 if name in _EXACT else torch.float16).contiguous()
    if not packed.isfinite().all():
        msg = f"the training diverged: {name} is not finite in float16; train again with a lower learning rate"
        raise ValueError(msg)
    return packed
