"""Choose the rules of a walk: mean 3D IoU on training volumes and made-up stacks, from one click and a box.

python tools/compare_rules.py --data ../shared/data/train
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from napari_sam import Segmenter, StopRules, load_sam
from napari_sam.evaluation.scores import first_prompt, iou, volume_targets
from napari_sam.training.synthetic import make_packed_stack

if TYPE_CHECKING:
    from collections.abc import Iterator

VOLUMES = (
    "plant_ovule_nuclei_1135",
    "fibsem_medulla_gala_train",
    "fibsem_medulla_ts2",
    "plant_ovule_membrane",
)
WAYS: dict[str, dict[str, Any]] = {
    "default": {},
    "presence .5": {"rules": StopRules(min_presence=0.5)},
    "presence .7": {"rules": StopRules(min_presence=0.7)},
    "presence off": {"rules": StopRules(min_presence=0, min_faded_presence=0)},
    "contrast off": {"rules": StopRules(min_faded_presence=0)},
    "dip off": {"rules": StopRules(dip=False)},
    "predicted IoU .5": {"rules": StopRules(min_predicted_iou=0.5)},
    "overlap .2": {"rules": StopRules(min_overlap=0.2)},
    "largest component": {"components": "largest"},
    "all components": {"components": "all"},
}
_PLANES = 60  # of each volume, so that the comparison takes minutes


def main() -> None:
    """Print a line for each volume and their mean."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--objects", type=int, default=8, help="of each volume")
    arguments = parser.parse_args()

    sam = load_sam(arguments.model)
    rows = []
    for name, image, labels in _volumes(arguments.data):
        seg = Segmenter(image, sam)
        rows.append([_mean_iou(seg, labels, way, arguments.objects) for way in WAYS.values()])
        _print(name, rows[-1])
    _print("mean", np.mean(rows, axis=0).tolist())


def _volumes(folder: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    for name in VOLUMES:
        image, labels = (
            tifffile.imread(folder / "3d" / f"{name}_{part}.tif")[:_PLANES] for part in ("image", "labels")
        )
        yield name, image, labels
    for seed in (1, 3):
        yield f"made-up stack {seed}", *make_packed_stack((24, 128, 128), np.random.default_rng(seed))


def _mean_iou(seg: Segmenter, truth: np.ndarray, way: dict[str, Any], objects: int) -> float:
    ious = []
    for target in volume_targets(truth, count=objects, seed=1):
        seg.labels[...] = 0
        for _ in seg.propagate([first_prompt(truth, target)], **way):
            pass
        ious.append(iou(seg.labels == target.object_id, truth == target.object_id))
    return float(np.mean(ious))


def _print(name: str, ious: list[float]) -> None:
    print(f"{name}:", ", ".join(f"{way} {value:.3f}" for way, value in zip(WAYS, ious, strict=True)), flush=True)


if __name__ == "__main__":
    main()
