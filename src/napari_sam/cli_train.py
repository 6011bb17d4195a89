"""The commands `sam-stacks train` and `sam-stacks pretrain`: make a model better at one's own images."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from napari_sam.cli_options import Count
from napari_sam.cli_tables import print_table

if TYPE_CHECKING:
    from napari_sam.training.pairs import Pair
    from napari_sam.training.run import Encoded, Validated
    from napari_sam.training.trainer import Step

_STEPS = 300  # minutes on a laptop with a frozen encoder
_PRETRAINING_STEPS = 5000


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Run:
    """Where a training starts, how long it lasts, and what it works on.

    Parameters
    ----------
    init
        Where to start: a name that `sam-stacks models` lists, or a .safetensors or .pth file.
    steps
        Length of the training; by default 300 of `train`, 5000 of `pretrain`.
    minutes
        Length of the training by the clock, instead of steps.
    seed
        Of the random numbers: the same seed, data and steps give the same model.
    precision
        Of the computation; bfloat16 is faster on recent processors and graphics cards.
    channel
        Look only at this channel, counted from 0.
    device
        Such as cpu or cuda; by default a GPU if there is one.
    overwrite
        Replace an existing output, and start over instead of going on.
    """

    init: str = "nano"
    steps: int | None = None
    minutes: float | None = None
    seed: Count = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    channel: int | None = None
    device: str | None = None
    overwrite: bool = False

    def length(self, steps: int) -> int | None:
        """Return the steps to do, ``steps`` by default; None if it goes by the clock."""
        return steps if self.steps is None and self.minutes is None else self.steps


DEFAULTS = Run()


def train(
    *folders: Path,
    image: Sequence[Path] = (),
    labels: Sequence[Path] = (),
    output: Path,
    freeze_encoder: bool = False,
    batch: int = 2,
    learning_rate: float = 1e-4,
    held_out: float = 0.2,
    cache: Path | None = None,
    run: Run = DEFAULTS,
) -> None:
    """Train a model on images with labels, and report how good it was before and after.

    The same command goes on with a training that was interrupted.

    Parameters
    ----------
    folders
        Folders with NAME.tif and NAME_labels.tif; also .png, .jpg and .zarr.
    image
        An image outside such a folder; may be repeated.
    labels
        Its labels, with a number of its own for each object; as often and in the same order as --image.
    output
        Where the trained model goes; ends with .safetensors. Its log lies beside it, with the ending .jsonl.
    freeze_encoder
        Train the prompt encoder and the mask decoder alone, on planes that are encoded once: fast on any computer.
    batch
        Planes, or crops of 256 x 256, that are looked at in one step.
    learning_rate
        Peak learning rate.
    held_out
        Share of the images, or of the planes of a single volume, that is held out for validation.
    cache
        Folder in which encoded planes are kept, for a frozen encoder; it also serves the trained model.
    """
    from napari_sam.checkpoints import load_sam
    from napari_sam.own_models import remember_model
    from napari_sam.training import run as training
    from napari_sam.training.recipe import Recipe

    if cache is not None and not freeze_encoder:
        msg = "--cache needs --freeze-encoder: an encoder that is trained makes other embeddings in each step"
        raise ValueError(msg)
    recipe = Recipe(
        steps=run.length(_STEPS),
        minutes=run.minutes,
        batch=batch,
        learning_rate=learning_rate,
        warmup=20,
        ema=0.99,
        precision=run.precision,
    )
    plan = training.Plan(
        recipe=recipe, output=output, freeze_encoder=freeze_encoder, held_out=held_out, cache=cache, seed=run.seed
    )
    pairs = _read_pairs(folders, image, labels, run.channel)
    sam = load_sam(run.init, device=run.device)
    with _what_was_learnt_is_kept():
        validated = _follow(training.train(sam, pairs, plan, overwrite=run.overwrite))
    remember_model(output)
    _print_validations(validated)
    print(f"Wrote {output}; use it with --model {output}, or choose it in napari")


def pretrain(
    *images: Path,
    output: Path,
    batch: int = 8,
    learning_rate: float = 4e-4,
    run: Run = DEFAULTS,
) -> None:
    """Pretrain the image encoder of a model on images without labels: it learns to fill in what is hidden from it.

    Afterwards the decoder no longer fits: go on with `sam-stacks train --init`. The same command goes on with a
    pretraining that was interrupted.

    Parameters
    ----------
    images
        Images, and folders of them.
    output
        Where the model goes; ends with .safetensors. Its log lies beside it, with the ending .jsonl.
    batch
        Crops of 224 x 224 that are looked at in one step.
    learning_rate
        Peak learning rate.
    """
    from napari_sam.checkpoints import load_sam
    from napari_sam.training import pretrain as pretraining
    from napari_sam.training.recipe import Recipe

    recipe = Recipe(
        steps=run.length(_PRETRAINING_STEPS),
        minutes=run.minutes,
        batch=batch,
        learning_rate=learning_rate,
        precision=run.precision,
    )
    stacks = [pretraining.open_unlabelled(path, channel=run.channel) for path in pretraining.find_images(images)]
    sam = load_sam(run.init, device=run.device)
    with _what_was_learnt_is_kept():
        _follow(pretraining.pretrain(sam, stacks, recipe, output, seed=run.seed, overwrite=run.overwrite))
    print(f"Wrote {output}; go on with: sam-stacks train --init {output}")


def _read_pairs(
    folders: Sequence[Path], images: Sequence[Path], labels: Sequence[Path], channel: int | None
) -> list["Pair"]:
    from napari_sam.training.pairs import find_pairs, read_pair

    if len(images) != len(labels):
        msg = f"--image and --labels must come in pairs, got {len(images)} and {len(labels)}"
        raise ValueError(msg)
    files = [pair for folder in folders for pair in find_pairs(folder)] + list(zip(images, labels, strict=True))
    return [read_pair(*pair, channel=channel) for pair in files]


def _follow(training: "Iterable[Encoded | Validated | Step]") -> list["Validated"]:
    """Do the training with a progress bar on stderr, and return its validations."""
    from napari_sam.training.run import Encoded, Validated

    validated: list[Validated] = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("validating", total=None)
        for event in training:
            if isinstance(event, Encoded):
                progress.update(task, description="encoding", completed=event.done, total=event.total)
            elif isinstance(event, Validated):
                validated.append(event)
            else:
                told = f"training, step {event.step}, loss {event.loss:.3f}"
                told += "" if isnan(event.iou) else f", IoU {event.iou:.3f}"
                progress.update(task, description=told, completed=event.progress, total=1.0)
    return validated


@contextmanager
def _what_was_learnt_is_kept() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        print("What was learnt is kept: the same command, without --overwrite, goes on", file=sys.stderr)
        raise


def _print_validations(validated: Sequence["Validated"]) -> None:
    before, after = validated[0].mean_iou, validated[-1].mean_iou
    if not after:
        print("Nothing was held out, so how good the model is was not measured")
        return
    table = Table("held out, mean IoU", "before", f"after {validated[-1].step} steps")
    for way, iou in after.items():
        table.add_row(way, f"{before[way]:.3f}", f"{iou:.3f}")
    print_table(table)
