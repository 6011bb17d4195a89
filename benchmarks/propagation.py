"""Compare propagation with its parts, its rivals and its limits on volumes with truth, in one unattended run.

    python benchmarks/propagation.py --output propagation.json

writes propagation.json with every score, and the tables and plots beside it as .md and .png. It may be stopped at any
time, and goes on with the rows that are missing when it is run again with the same settings.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from math import prod
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, TypeVar

import torch
from cyclopts import App, Parameter
from propagation_plot import draw
from quality import DATA, read_volume

from napari_sam import Segmenter, load_sam
from napari_sam.evaluation.corrections import correct_at_random, correct_the_weakest
from napari_sam.evaluation.reliability import PlaneScore, score_confidence
from napari_sam.evaluation.scores import Target, volume_targets
from napari_sam.evaluation.throughput import Throughput, measure_throughput
from napari_sam.evaluation.walk_report import (
    corrections_table,
    false_planes_table,
    mean_iou_table,
    reliability_table,
    throughput_table,
)
from napari_sam.evaluation.walks import Volume, WalkScore, score_walk
from napari_sam.evaluation.ways import WAYS, Way, walk_along_three_axes
from napari_sam.model.sam import Sam

CORRECTIONS: dict[str, Way] = {"weakest": correct_the_weakest, "random": correct_at_random}
ON_DEMAND: dict[str, Way] = {"three axes": walk_along_three_axes}  # for cubic voxels
ROWS = [*WAYS, "confidence", *CORRECTIONS, "throughput"]
_FEW_PLANES = 3
Measured = WalkScore | PlaneScore | Throughput
T = TypeVar("T")

app = App(default_parameter=Parameter(consume_multiple=True))


@app.default
def main(
    *,
    output: Path,
    model: str = "nano",
    data: Path = DATA,
    volumes: list[str] | None = None,
    objects: int | None = None,
    every: int = 1,
    rows: list[str] | None = None,
    draws: int = 2,
    bfloat16: bool = False,
    minutes: float | None = None,
    cache: Path | None = None,
) -> None:
    """Score every row on every volume.

    Parameters
    ----------
    output
        The .json file, written after each row; the tables and plots go beside it as .md and .png.
    model
        A name that `sam-stacks models` lists, or a checkpoint file.
    data
        Folder with 3d/*_image.tif, 3d/*_labels.tif and 3d/eval_objects.json, see its README.
    volumes
        Names of volumes; all by default, those with the fewest pixels first.
    objects
        The first so many objects of each volume; all 10 to 20 by default.
    every
        Keep one plane of so many, as if the planes lay farther apart, and the objects that are still on three of them.
    rows
        Names of rows; by default all but "three axes", which is for volumes of cubic voxels.
    draws
        How often the planes that are corrected at random are drawn.
    bfloat16
        Run the model in bfloat16.
    minutes
        Begin no further row of a volume after so many minutes on it.
    cache
        Folder in which encoded planes are kept for the next time; by default in memory.
    """
    sam = load_sam(model, dtype=torch.bfloat16 if bfloat16 else torch.float32)
    settings = {
        "weights_sha256": sam.weights_sha256,
        "objects": objects,
        "every": every,
        "draws": draws,
        "bfloat16": bfloat16,
    }
    report = resume(output, {"model": model} | settings)
    for name in chosen("volumes", volumes, names(data)):
        rows_done = report["volumes"].setdefault(name, {})
        missing = [row for row in chosen("rows", rows, ROWS, [*ON_DEMAND]) if row not in rows_done]
        if not missing:
            continue
        started = perf_counter()
        volume, targets = open_volume(sam, data, name, objects, every, cache)
        for row in missing:
            if minutes is not None and perf_counter() - started > 60 * minutes:
                print(f"{name}: {minutes:g} minutes are over, {row} is left out", file=sys.stderr)
                continue
            row_started, cpu_started = perf_counter(), process_time()
            results = [asdict(each) for each in measure(row, volume, targets, draws)]
            seconds, cpu_seconds = perf_counter() - row_started, process_time() - cpu_started
            rows_done[row] = {"seconds": seconds, "cpu_seconds": cpu_seconds, "results": results}
            print(f"{name}: {row} took {seconds:.0f} s, {cpu_seconds:.0f} s of the processor", file=sys.stderr)
            write(output, report)
    write(output, report)
    print(output.with_suffix(".md").read_text(encoding="utf-8"))


def measure(row: str, volume: Volume, targets: list[Target], draws: int) -> Iterator[Measured]:
    """Measure one row on one volume."""
    if row == "throughput":
        yield from measure_throughput(volume)
    elif row == "confidence":
        yield from score_confidence(volume, targets)
    else:
        way = partial(correct_at_random, draws=draws) if row == "random" else (WAYS | CORRECTIONS | ON_DEMAND)[row]
        for found in way(volume, targets):
            yield score_walk(volume, found)


def open_volume(
    sam: Sam, data: Path, name: str, objects: int | None, every: int, cache: Path | None
) -> tuple[Volume, list[Target]]:
    """Read and encode a volume; its objects are the first of those in eval_objects.json."""
    image, truth = (array[::every] for array in read_volume(data, name))
    volume = Volume(Segmenter(image, sam, cache=cache), truth)
    for _ in volume.seg.embed():
        pass
    picked = json.loads((data / "3d" / "eval_objects.json").read_text())[name]["picked"][:objects]
    if every == 1:
        return volume, [Target(each["id"], (each["start_z"],), tuple(each["start_yx"])) for each in picked]
    left = {target.object_id: target for target in volume_targets(truth, min_planes=_FEW_PLANES)}
    return volume, [left[each["id"]] for each in picked if each["id"] in left]


def names(data: Path) -> list[str]:
    """Return the volumes that are there, those with the fewest pixels first: they are done first."""
    shapes = {name: each["shape"] for name, each in json.loads((data / "3d" / "eval_objects.json").read_text()).items()}
    return sorted(shapes, key=lambda name: prod(shapes[name]))


def chosen(what: str, asked_for: list[str] | None, there: list[str], on_demand: Sequence[str] = ()) -> list[str]:
    """Return what was asked for, or all but what is there on demand."""
    if unknown := set(asked_for or ()) - {*there, *on_demand}:
        sys.exit(f"no {what} {', '.join(sorted(unknown))}; there are {', '.join([*there, *on_demand])}")
    return asked_for or there


def resume(output: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Read what an earlier run with the same settings has measured."""
    if not output.exists():
        return settings | {"volumes": {}}
    report: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    if different := [key for key, value in settings.items() if report.get(key) != value]:
        sys.exit(f"{output} was measured with another {', '.join(different)}; delete it or choose another output")
    return report


def write(output: Path, report: dict[str, Any]) -> None:
    """Write the report at once or not at all, then the tables and the plots."""
    part = output.with_suffix(".part")
    part.write_text(json.dumps(report), encoding="utf-8")
    part.replace(output)
    volumes = report["volumes"]
    scores = {name: read(WalkScore, rows, [*WAYS, *ON_DEMAND, *CORRECTIONS]) for name, rows in volumes.items()}
    planes = {name: read(PlaneScore, rows, ["confidence"]) for name, rows in volumes.items()}
    speeds = {name: read(Throughput, rows, ["throughput"]) for name, rows in volumes.items()}
    tables = {
        "Mean 3D IoU": mean_iou_table(scores),
        "False planes per object, before / after the true ends (share of planes found)": false_planes_table(scores),
        "Mean 3D IoU after correcting planes (gain)": corrections_table(scores),
        "Mean IoU of planes by confidence (number of planes)": reliability_table(planes),
        "Masks per second, processor time of one thread (times one at a time)": throughput_table(speeds),
    }
    text = "\n".join(f"{title}:\n\n{table}" for title, table in tables.items())
    output.with_suffix(".md").write_text(f"{describe(report)}\n\n{text}", encoding="utf-8")
    draw(output.with_suffix(".png"), scores, planes, speeds)


def describe(report: dict[str, Any]) -> str:
    """Say in a sentence what was measured."""
    objects = "all objects" if report["objects"] is None else f"the first {report['objects']} objects"
    precision = "bfloat16" if report["bfloat16"] else "float32"
    kept = "" if report["every"] == 1 else f", one plane of {report['every']}"
    return f"{report['model']} ({report['weights_sha256'][:8]}, {precision}), {objects} of eval_objects.json{kept}."


def read(kind: type[T], rows: dict[str, Any], wanted: list[str]) -> list[T]:
    """Read results of one kind back."""
    return [kind(**result) for row in wanted for result in rows.get(row, {"results": []})["results"]]


if __name__ == "__main__":
    app()
