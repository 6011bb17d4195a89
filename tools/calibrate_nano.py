"""Refit nano's IoU head on whole planes of the training data: the last part of the recipe of the package's weights.

python tools/calibrate_nano.py --data ../shared/data/train --weights trained.safetensors --output nano.safetensors
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

import train_nano
from napari_sam import load_sam
from napari_sam.stack import open_stack
from napari_sam.training.calibration import calibrate
from napari_sam.training.pairs import Pair
from napari_sam.training.planes import EncodedPair, PlaneLesson
from napari_sam.training.recipe import Recipe
from napari_sam.training.result import read_metadata, write_weights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sam.model.sam import Sam
    from napari_sam.training.dataset import Source
    from napari_sam.training.rounds import View

_OBJECTS = 8


def main() -> None:
    """Read weights, refit the head, write weights; the metadata tell what it brought."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    sam, rng = load_sam(arguments.weights), np.random.default_rng(arguments.seed)
    looking = load_sam(arguments.weights, dtype=torch.bfloat16)
    sources = train_nano.read_sources(arguments.data) + train_nano.make_synthetic(rank=0)
    scenes = _draw_scenes(looking, sources, arguments.scenes, rng)
    before, after = calibrate(sam, scenes, objects=_OBJECTS, rng=rng)
    logging.info("mean absolute error of the predicted IoU: %.3f before, %.3f after", before, after)
    told = {"scenes": arguments.scenes, "seed": arguments.seed, "error_before": before, "error_after": after}
    write_weights(arguments.output, sam, read_metadata(arguments.weights) | {"calibration": json.dumps(told)})


def _draw_scenes(sam: Sam, sources: list[Source], count: int, rng: np.random.Generator) -> Iterator[list[View]]:
    """Draw planes and pairs of neighbouring planes, each source as often as in training."""
    lessons = [_lesson(source, sam) for source in sources]
    weights = np.array([source.weight for source in sources])
    for index in rng.choice(len(lessons), count, p=weights / weights.sum()):
        yield lessons[index].draw_scene(sam, rng)


def _lesson(source: Source, sam: Sam) -> PlaneLesson:
    stacks = [open_stack(image, rgb=image.ndim == 4) for image in source.images]
    pairs = [
        Pair(source.name, stack, labels.astype(np.int32), tuple(p for p in stack.planes() if labels[p].any()))
        for stack, labels in zip(stacks, source.labels, strict=True)
    ]
    encoded = [EncodedPair.open(pair, sam, None) for pair in pairs if pair.planes]
    return PlaneLesson(encoded, Recipe(steps=1, chain_share=0.7))


if __name__ == "__main__":
    main()
