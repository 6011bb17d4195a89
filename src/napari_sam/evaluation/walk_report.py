"""Tables of walks: ways down, volumes across."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.evaluation.corrections import COUNTS
from napari_sam.evaluation.reliability import BINS, calibration_error, reliability
from napari_sam.evaluation.ways import MAIN

if TYPE_CHECKING:
    from napari_sam.evaluation.reliability import PlaneScore
    from napari_sam.evaluation.throughput import Throughput
    from napari_sam.evaluation.walks import WalkScore

Scores = Mapping[str, Sequence["WalkScore"]]  # by volume

_CHOICES = ("weakest", "random")


def mean_iou_table(volumes: Scores) -> str:
    """Mean 3D IoU of the objects, without the rows of corrected planes.

    Of a rival with several settings the best on the volume counts: the settings are chosen after looking at the truth.
    """
    means = {name: best_settings(mean_ious(scores)) for name, scores in volumes.items()}
    ways = [way for way in _keys(means) if not way.startswith(_CHOICES)]
    return _table("way", volumes, ways, lambda name, way: _figure(means[name].get(way)))


def false_planes_table(volumes: Scores) -> str:
    """Count false planes per object before the start and after the end, and their share of all planes with a mask.

    Ways that are given the true extent have none, and are left out.
    """
    by_way = {name: _by_way(scores) for name, scores in volumes.items()}
    ways = [
        way for way in _keys(by_way) if any(s.before + s.after for own in by_way.values() for s in own.get(way, []))
    ]
    ways = [way for way in ways if not way.startswith((*_CHOICES, "re-prompted"))]
    return _table("way", volumes, ways, lambda name, way: _false_planes(by_way[name].get(way, [])))


def corrections_table(volumes: Scores) -> str:
    """Mean 3D IoU after correcting planes: ways of choosing down, with the gain over no correction."""
    means = {name: mean_ious(scores) for name, scores in volumes.items()}

    def cell(name: str, way: str) -> str:
        """Show the mean, and what it is more than that of the walk without corrections."""
        none, some = means[name].get(MAIN), means[name].get(way)
        return _figure(some) + ("" if none is None or some is None else f" ({some - none:+.3f})")

    ways = [f"{choice}, {count} corrected" for count in COUNTS for choice in _CHOICES]
    return _table("corrected planes", volumes, [MAIN, *ways], cell)


def throughput_table(volumes: Mapping[str, Sequence[Throughput]]) -> str:
    """Masks per second by the number of objects that walk together, and how much faster than one at a time."""
    speeds = {name: {each.objects: each.masks / each.cpu_seconds for each in own} for name, own in volumes.items()}

    def cell(name: str, objects: str) -> str:
        """Show the speed, and how many times that of one object it is."""
        speed, one = speeds[name].get(int(objects)), speeds[name].get(1)
        return "" if speed is None or not one else f"{speed:.1f} ({speed / one:.1f}x)"

    counts = sorted({count for own in speeds.values() for count in own})
    return _table("objects together", volumes, [str(count) for count in counts], cell)


def reliability_table(volumes: Mapping[str, Sequence[PlaneScore]]) -> str:
    """Mean true IoU of the planes by their confidence, with their number; last the mean difference of the two."""
    bins = {name: reliability(planes) for name, planes in volumes.items()}
    rows = [f"{low:.1f} to {high:.1f}" for low, high in itertools.pairwise(BINS)]

    def cell(name: str, row: str) -> str:
        """Show the mean of the planes in a bin with their number, or in the last row the error."""
        if row not in rows:
            return _figure(calibration_error(volumes[name]))
        _, iou, count = bins[name][rows.index(row)]
        return f"{_figure(iou)} ({count})" if count else ""

    return _table("confidence", volumes, [*rows, "calibration error"], cell)


def mean_ious(scores: Sequence[WalkScore]) -> dict[str, float]:
    """Mean 3D IoU by way; each object counts the same, however often it was drawn."""
    means = {}
    for way, own in _by_way(scores).items():
        by_object: dict[int, list[float]] = defaultdict(list)
        for score in own:
            by_object[score.object_id].append(score.iou)
        means[way] = float(np.mean([np.mean(ious) for ious in by_object.values()]))
    return means


def best_settings(means: Mapping[str, float]) -> dict[str, float]:
    """Keep of the ways ``"name, settings"`` that begin with "re-prompted" the best of each name."""
    best: dict[str, float] = {}
    for way, mean in means.items():
        name = f"{way.split(',')[0]}, best setting" if way.startswith("re-prompted") else way
        best[name] = max(mean, best.get(name, 0.0))
    return best


def _false_planes(scores: Sequence[WalkScore]) -> str:
    if not scores:
        return ""
    before, after = (float(np.mean([getattr(s, side) for s in scores])) for side in ("before", "after"))
    share = sum(s.before + s.after for s in scores) / max(sum(s.claimed for s in scores), 1)
    return f"{before:.1f} / {after:.1f} ({share:.0%})"


def _table(corner: str, volumes: Mapping[str, object], rows: Sequence[str], cell: Callable[[str, str], str]) -> str:
    lines = [[corner, *volumes], ["---", *["--:"] * len(volumes)]]
    lines += [[row, *(cell(name, row) for name in volumes)] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _keys(tables: Mapping[str, Mapping[str, object]]) -> list[str]:
    """Keys of all the inner mappings, in the order in which they first come."""
    return list(dict.fromkeys(key for own in tables.values() for key in own))


def _by_way(scores: Sequence[WalkScore]) -> dict[str, list[WalkScore]]:
    ways: dict[str, list[WalkScore]] = defaultdict(list)
    for score in scores:
        ways[score.way].append(score)
    return dict(ways)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}".removeprefix("0")
