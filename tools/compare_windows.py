"""Compare sizes of the windows that nano decodes in, on training images: how the constants in windows.py were chosen.

python tools/compare_windows.py --data ../shared/data/train --sets dsb2018_fluo usiigaci_t98g_phase --objects 40
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_sam import Segmenter, load_sam, windows
from napari_sam.evaluation.scores import Score, plane_targets, score_plane
from napari_sam.views import predict
from train_nano import PLANES, VOLUMES, read_sources


@dataclass(frozen=True, slots=True)
class Rule:
    """Constants of `napari_sam.windows`, in model pixels."""

    least: int
    room: int
    around: float
    small: int

    def apply(self) -> None:
        """Make it the rule of this process."""
        names = {"_LEAST": self.least, "_ROOM": self.room, "_AROUND": self.around, "_SMALL": self.small}
        for name, value in names.items():
            setattr(windows, name, value)


RULES = {
    "the whole plane": Rule(4096, 64, 1.5, 0),
    "windows of 128 or more": Rule(128, 64, 1.5, 0),
    "windows of 192 or more": Rule(192, 64, 1.5, 0),
    "windows of 256 or more": Rule(256, 128, 2.0, 0),
    "and closer below 12": Rule(256, 128, 2.0, 12),
    "and closer below 16": Rule(256, 128, 2.0, 16),
    "and closer below 24": Rule(256, 128, 2.0, 24),
}
WAYS = ("1 click", "3 clicks", "5 clicks", "box")


def main() -> None:
    """Print a Markdown table for each data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with 2d/*.npz and 3d/*_image.tif, *_labels.tif"
    )
    parser.add_argument("--sets", nargs="+", default=[*PLANES, *VOLUMES], choices=[*PLANES, *VOLUMES])
    parser.add_argument("--objects", type=int, default=40, help="of each set")
    arguments = parser.parse_args()
    sam = load_sam("nano", device="cpu")
    for source in read_sources(arguments.data):
        if source.name not in arguments.sets:
            continue
        chosen = _choose(source, arguments.objects)
        print(f"\n| {source.name} | " + " | ".join(WAYS) + " |\n|---|" + "--:|" * len(WAYS), flush=True)
        for name, rule in RULES.items():
            rule.apply()
            scores = [score for planes in chosen for score in _score(sam, *planes)]
            means = (np.mean([score.iou for score in scores if score.way == way]) for way in WAYS)
            print(f"| {name} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |", flush=True)


def _choose(source: Any, count: int) -> list[tuple[Any, Any, Any]]:
    """Draw objects, and return what belongs to each plane that shows some."""
    stacks = zip(source.images, source.labels, strict=True)
    planes = [(image[z], labels[z]) for image, labels in stacks for z in range(len(labels))]
    everything = [(index, target) for index, (_, labels) in enumerate(planes) for target in plane_targets(labels)]
    rng = np.random.default_rng(1)
    drawn = [everything[i] for i in rng.choice(len(everything), size=min(count, len(everything)), replace=False)]
    return [(*planes[i], [target for at, target in drawn if at == i]) for i in sorted({at for at, _ in drawn})]


def _score(sam: Any, pixels: Any, labels: Any, targets: Any) -> list[Score]:
    seg = Segmenter(pixels, sam, rgb=pixels.ndim == 3, tile=None)
    return list(score_plane(partial(predict, sam, seg.cache.embedding(())), pixels, labels, targets))


if __name__ == "__main__":
    main()
