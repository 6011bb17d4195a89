"""The plots of propagation.py; matplotlib is a dependency of this benchmark only."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from napari_sam.evaluation.corrections import COUNTS
from napari_sam.evaluation.reliability import PlaneScore, reliability
from napari_sam.evaluation.throughput import Throughput
from napari_sam.evaluation.walk_report import best_settings, mean_ious
from napari_sam.evaluation.walks import WalkScore
from napari_sam.evaluation.ways import MAIN

Scores = Mapping[str, Sequence[WalkScore]]  # by volume


def draw(
    path: Path, scores: Scores, planes: Mapping[str, Sequence[PlaneScore]], speeds: Mapping[str, Sequence[Throughput]]
) -> None:
    """Draw mean IoU by way, the gain by corrections, the reliability of the confidence and the speed."""
    figure = Figure(figsize=(14, 12), layout="constrained")
    ways, corrections, confidence, speed = figure.subplots(2, 2).flat
    draw_ways(ways, scores)
    draw_corrections(corrections, scores)
    draw_reliability(confidence, planes)
    draw_speeds(speed, speeds)
    figure.savefig(path, dpi=100)


def draw_ways(axes: Axes, scores: Scores) -> None:
    """Draw a dot per way and volume; ways are sorted by their mean over the volumes."""
    means = {name: best_settings(mean_ious(own)) for name, own in scores.items()}
    ways = {way for own in means.values() for way in own if "corrected" not in way}
    order = sorted(ways, key=lambda way: np.mean([own[way] for own in means.values() if way in own]))
    for name, own in means.items():
        there = [way for way in order if way in own]
        axes.plot([own[way] for way in there], [order.index(way) for way in there], "o", label=name)
    axes.set_yticks(range(len(order)), order)
    axes.get_yticklabels()[order.index(MAIN)].set_fontweight("bold") if MAIN in order else None
    axes.set(title="Mean 3D IoU per object", xlim=(0, 1))
    axes.grid(axis="x")
    axes.legend(fontsize="small")


def draw_corrections(axes: Axes, scores: Scores) -> None:
    """Draw mean IoU against the number of corrected planes, chosen by confidence or at random."""
    for colour, (name, own) in enumerate(scores.items()):
        means = mean_ious(own)
        for choice, line in (("weakest", "-o"), ("random", "--x")):
            curve = [(0, means.get(MAIN)), *((count, means.get(f"{choice}, {count} corrected")) for count in COUNTS)]
            known = [(count, mean) for count, mean in curve if mean is not None]
            if len(known) > 1:
                axes.plot(*zip(*known, strict=True), line, color=f"C{colour}", label=f"{name}, {choice}")
    axes.set(title="Mean 3D IoU by corrected planes", xlabel="corrected planes", ylim=(0, 1))
    axes.grid()
    if axes.lines:
        axes.legend(fontsize="small")


def draw_reliability(axes: Axes, planes: Mapping[str, Sequence[PlaneScore]]) -> None:
    """Draw mean IoU against mean confidence; the larger the dot, the more planes."""
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    for name, own in planes.items():
        bins = [each for each in reliability(own) if each[2]]
        if bins:
            expected, true, counts = zip(*bins, strict=True)
            axes.plot(expected, true, linewidth=1)
            sizes = 200 * np.sqrt(np.array(counts) / sum(counts))
            axes.scatter(expected, true, sizes, label=name, alpha=0.7)
    axes.set(title="Reliability", xlabel="confidence", ylabel="mean IoU of the planes", xlim=(0, 1), ylim=(0, 1))
    axes.grid()
    if any(planes.values()):
        axes.legend(fontsize="small")


def draw_speeds(axes: Axes, speeds: Mapping[str, Sequence[Throughput]]) -> None:
    """Draw masks per second against the number of objects that walk together."""
    for name, own in speeds.items():
        axes.loglog([each.objects for each in own], [each.masks / each.cpu_seconds for each in own], "-o", label=name)
    axes.set(title="Masks per second of processor time", xlabel="objects together")
    axes.grid(which="both")
    if any(speeds.values()):
        axes.legend(fontsize="small")
