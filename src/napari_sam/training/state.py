"""What a training leaves beside its output while it runs: the state to go on from, and a log of JSON lines."""

from __future__ import annotations

import json
import math
import os
import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Files:
    """Where a training writes: ``my.safetensors`` at its end, ``my.state`` and ``my.jsonl`` beside it."""

    output: Path

    @property
    def state(self) -> Path:
        """What an interrupted run goes on from; gone when it is finished."""
        return self.output.with_suffix(".state")

    @property
    def log(self) -> Path:
        """One JSON object per line."""
        return self.output.with_suffix(".jsonl")


def save_state(path: Path, plan: Json, values: Mapping[str, Any]) -> None:
    """Write a state: the file is the former or the new one, whole, at any moment."""
    partial = path.with_name(f".{path.name}.part")
    with partial.open("wb") as file:
        torch.save({"plan": json.dumps(plan), "values": dict(values)}, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def load_state(path: Path, plan: Json) -> dict[str, Any]:
    """Read the values of a state of the same plan.

    Raises
    ------
    ValueError
        If it belongs to another plan, which is told from the first entry that differs, or is damaged.
    """
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        earlier, values = json.loads(stored["plan"]), dict(stored["values"])
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError, ValueError) as error:
        msg = f"{path} is damaged or no state of a training ({type(error).__name__}); delete it to start over"
        raise ValueError(msg) from error
    if differs := _difference(earlier, json.loads(json.dumps(plan))):
        msg = (
            f"{path} is the state of another training: {differs}; repeat its settings to go on, or overwrite it to "
            "start over"
        )
        raise ValueError(msg)
    return values


def _difference(earlier: Json, now: Json) -> str | None:
    """Say what differs first between two plans."""
    for key in sorted(earlier.keys() | now.keys()):
        was, is_now = earlier.get(key), now.get(key)
        if was == is_now:
            continue
        if isinstance(was, dict) and isinstance(is_now, dict):
            return _difference(was, is_now)
        return f"{key} are others" if isinstance(was, list) else f"{key} was {was}, now {is_now}"
    return None


class Log:
    """Appends JSON lines.

    Parameters
    ----------
    path : Path
        The file.
    step : int
        Lines of later steps, from before an interruption, are dropped: those steps are done again.
    """

    def __init__(self, path: Path, *, step: int) -> None:
        self.path = path
        lines = path.read_text("utf-8").splitlines() if step and path.exists() else []
        kept = [line for line in lines if _step_of(line) <= step]
        path.write_text("".join(f"{line}\n" for line in kept), "utf-8")

    def write(self, line: Mapping[str, Any]) -> None:
        """Append a line; NaN becomes null."""
        tidy = {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in line.items()}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(tidy) + "\n")


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line).get("step", 0))
    except ValueError:  # the last line before a power cut
        return math.inf
