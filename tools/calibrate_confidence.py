"""Fit the tables of napari_sam.confidence to walks on training volumes and made-up stacks, compared with their truth.

python tools/calibrate_confidence.py --data ../shared/data/train --records confidence.json

prints the tables to paste into confidence.py, and how reliable each set is with tables that were fitted to the others.
What the walks gave is kept in --records, and only what is missing there is walked again.
"""

from __future__ import annotations

import argparse
import json
import logging
from functools import partial
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
from scipy.stats import spearmanr

from napari_sam import Segmenter, load_sam
from napari_sam.confidence import features, is_anchor, linear
from napari_sam.evaluation.reliability import PlaneScore, calibration_error
from napari_sam.evaluation.scores import Target, iou, volume_targets
from napari_sam.evaluation.walks import Volume
from napari_sam.plane_mask import latest
from napari_sam.training.synthetic import make_confocal_stack, make_packed_stack, make_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from napari_sam import PlaneMask
    from napari_sam.model.sam import Sam

    Load = Callable[[Sam], Iterator[tuple[Volume, list[Target]]]]

FEATURES = {  # beside these, the predicted IoU of the plane itself adds nothing
    "FOUND": ("constant", "worst_so_far", "overlap", "area_change", "steps", "between_anchors", "agreement"),
    "ENDED": ("constant", "predicted_iou", "overlap", "between_anchors"),
}
_RIDGE = 1.0  # in planes: keeps what hardly varies near 0
_MADE_UP = {"made up": make_stack, "made up, packed": make_packed_stack, "made up, confocal": make_confocal_stack}
_MADE_UP_SHAPE = (24, 128, 128)

Record = dict[str, Any]  # one plane: "found", "iou" and "features"


def main() -> None:
    """Walk, fit, and print."""
    records = gather(__doc__, lambda volume, targets: list(walk(volume, targets)))
    everything = [record for own in records.values() for record in own]
    for table, found in (("FOUND", True), ("ENDED", False)):
        planes = [record for record in everything if record["found"] is found]
        print(f"{table}: {json.dumps(fit(planes, FEATURES[table]))}")
    for name in records:
        others = [record for other, own in records.items() if other != name for record in own if record["found"]]
        own = [record for record in records[name] if record["found"]]
        print(f"{name}: {judge(own, fit(others, FEATURES['FOUND']))}")


def gather(about: str | None, walk_all: Callable[[Volume, Sequence[Target]], list[Any]]) -> dict[str, list[Any]]:
    """Read the command line of a calibration, and walk through each source that its records lack."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--records", type=Path, required=True)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--objects", type=int, default=20, help="of each volume")
    parser.add_argument("--stacks", type=int, default=4, help="made-up stacks of each kind")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    sam = load_sam(arguments.model)
    records: dict[str, list[Any]] = json.loads(arguments.records.read_text()) if arguments.records.exists() else {}
    for name, load in sources(arguments.data, arguments.stacks, arguments.objects):
        if name not in records:
            records[name] = [record for volume, targets in load(sam) for record in walk_all(volume, targets)]
            arguments.records.write_text(json.dumps(records))
            logging.info("%s: %d records", name, len(records[name]))
    return records


def sources(data: Path, stacks: int, objects: int) -> Iterator[tuple[str, Load]]:
    """Name what is walked through, with a function that opens it."""
    for name, picked in json.loads((data / "3d" / "eval_objects.json").read_text()).items():
        targets = [Target(each["id"], (each["start_z"],)) for each in picked["picked"][:objects]]
        yield name, partial(read_volume, folder=data / "3d", name=name, targets=targets)
    for name, make in _MADE_UP.items():
        yield name, partial(make_up, make=make, stacks=stacks, objects=max(1, objects // stacks))


def read_volume(sam: Sam, *, folder: Path, name: str, targets: list[Target]) -> Iterator[tuple[Volume, list[Target]]]:
    """Open a volume of the data."""
    image, truth = (tifffile.imread(folder / f"{name}_{what}.tif") for what in ("image", "labels"))
    yield Volume(Segmenter(image, sam), truth), targets


def make_up(sam: Sam, *, make: Callable[..., Any], stacks: int, objects: int) -> Iterator[tuple[Volume, list[Target]]]:
    """Make stacks up, each with so many objects to walk from."""
    for seed in range(stacks):
        image, truth = make(_MADE_UP_SHAPE, np.random.default_rng(seed))
        yield Volume(Segmenter(image, sam), truth), volume_targets(truth, count=objects)


def walk(volume: Volume, targets: Sequence[Target]) -> Iterator[Record]:
    """Walk each object from a click and a box, then with one more plane painted; record what was found where."""
    rng = np.random.default_rng(0)
    for target in targets:
        prompt, second = volume.first_prompt(target), int(rng.choice(volume.extent(target)))
        yield from compare(volume, target, volume.walk([prompt]))
        if second != target.plane[0]:
            yield from compare(volume, target, volume.walk([prompt, volume.painted(target, second)]))


def compare(volume: Volume, target: Target, found: Sequence[PlaneMask]) -> Iterator[Record]:
    """Record of each plane that a walk looked at, anchors left out, what speaks for its mask and how good it is."""
    seen = [each for each in latest(found) if not isnan(each.evidence.predicted_iou)]
    values = features(seen)
    for index, each in enumerate(seen):
        if not is_anchor(each):
            true, is_found = volume.mask(target, each.plane[0]), bool(each.crop)
            outcome = iou(each.mask, true) if is_found else float(not true.any())
            numbers = {name: round(float(value[index]), 4) for name, value in values.items()}
            yield {"found": is_found, "iou": round(outcome, 4), "features": numbers}


def fit(records: Sequence[Record], names: Sequence[str]) -> dict[str, float]:
    """Fit a logistic regression to outcomes between 0 and 1 by Newton's method; a record may have a weight."""
    inputs = np.array([[record["features"][name] for name in names] for record in records])
    outcomes = np.array([record["iou"] for record in records])
    counts = np.array([record.get("weight", 1.0) for record in records])
    weights = np.zeros(len(names))
    for _ in range(20):
        expected = 1 / (1 + np.exp(-inputs @ weights))
        curvature = inputs.T @ (inputs * (counts * expected * (1 - expected))[:, None]) + _RIDGE * np.eye(len(names))
        weights += np.linalg.solve(curvature, inputs.T @ (counts * (outcomes - expected)) - _RIDGE * weights)
    return {name: round(float(weight), 2) for name, weight in zip(names, weights, strict=True)}


def judge(records: Sequence[Record], table: Mapping[str, float]) -> str:
    """Tell how a table does on planes that it was not fitted to, beside the predicted IoU."""
    values = {name: np.array([record["features"][name] for record in records]) for name in (*table, "predicted_iou")}
    expected = {"confidence": 1 / (1 + np.exp(-linear(table, values))), "predicted IoU": values["predicted_iou"]}
    true = [record["iou"] for record in records]
    told = []
    for name, each in expected.items():
        error = calibration_error([PlaneScore(0, 0, float(e), t) for e, t in zip(each, true, strict=True)])
        told.append(f"{name} off by {error:.3f}, rank correlation {spearmanr(each, true).statistic:.2f}")
    return f"{'; '.join(told)}; {len(records)} planes"


if __name__ == "__main__":
    main()
