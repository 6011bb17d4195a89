"""Tables of scores: Markdown for people, JSON for programs."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.outputs import appears_when_complete, check_output

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from napari_sam.evaluation.scores import Score


@dataclass(frozen=True, slots=True)
class Summary:
    """All scores of one way of prompting.

    Attributes
    ----------
    way : str
        As in `Score`.
    objects : int
        How many were scored.
    mean_iou : float
        Over objects, each counting the same.
    calibration_error : float or None
        Mean absolute difference between predicted and true IoU; None where nothing was predicted.
    """

    way: str
    objects: int
    mean_iou: float
    calibration_error: float | None


def summarise(scores: Sequence[Score]) -> tuple[Summary, ...]:
    """Summarise scores by way, in the order in which the ways first come."""
    ways: dict[str, list[Score]] = defaultdict(list)
    for score in scores:
        ways[score.way].append(score)
    return tuple(
        Summary(way, len(own), float(np.mean([score.iou for score in own])), calibration_error(own))
        for way, own in ways.items()
    )


def calibration_error(scores: Sequence[Score]) -> float | None:
    """Mean absolute difference between predicted and true IoU; None without predictions."""
    errors = [abs(score.predicted - score.iou) for score in scores if score.predicted is not None]
    return float(np.mean(errors)) if errors else None


def check_report_output(path: Path, *, overwrite: bool = False) -> None:
    """Refuse a path that `write_report` should not write to: ask before the long work.

    Raises
    ------
    OSError
        If something is there that may not be overwritten, or the folder is missing.
    ValueError
        If the ending is neither .md nor .json.
    """
    check_output(path, (".md", ".json"), what="one is a table, the other every score", overwrite=overwrite)


def write_report(path: Path, scores: Mapping[str, Sequence[Score]]) -> None:
    """Write scores by data set as a Markdown table or as JSON, by the ending of the path."""
    text = to_markdown(scores) if path.suffix.lower() == ".md" else json.dumps(to_json(scores), indent=1)
    with appears_when_complete(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def to_markdown(scores: Mapping[str, Sequence[Score]]) -> str:
    """Make a table of mean IoU per object: data sets down, ways of prompting across, the calibration error last."""
    summaries = {name: {each.way: each for each in summarise(own)} for name, own in scores.items()}
    ways = list(dict.fromkeys(way for own in summaries.values() for way in own))
    rows = [["data set", "objects", *ways, "calibration error"], ["---", *["--:"] * (len(ways) + 2)]]
    for name, own in summaries.items():
        objects = max((each.objects for way, each in own.items() if way != "3D, each plane"), default=0)
        means = [_figure(own[way].mean_iou if way in own else None) for way in ways]
        rows.append([name, str(objects), *means, _figure(calibration_error(scores[name]))])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def to_json(scores: Mapping[str, Sequence[Score]]) -> dict[str, Any]:
    """Make a JSON-able mapping: data set to the summary of each way, and to the score of each object."""
    return {
        name: {
            "calibration_error": calibration_error(own),
            "ways": [asdict(summary) for summary in summarise(own)],
            "scores": [
                {"object_id": s.target.object_id, "plane": s.target.plane, "way": s.way, "iou": s.iou}
                | ({} if s.predicted is None else {"predicted": s.predicted})
                for s in own
            ],
        }
        for name, own in scores.items()
    }


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}".lstrip("0")
