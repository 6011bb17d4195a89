"""A training from labelled images to a weights file: an iterator that can be stopped and gone on with."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

import xxhash

from napari_sam.training.lesson import CropLesson
from napari_sam.training.pairs import as_source, hold_out
from napari_sam.training.planes import EncodedPair, PlaneLesson
from napari_sam.training.result import check_weights_output, write_weights
from napari_sam.training.session import follow
from napari_sam.training.state import Files, Json, Log, load_state, save_state
from napari_sam.training.trainer import Trainer
from napari_sam.training.trunk import freeze_early_stages
from napari_sam.training.validation import validate

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    from napari_sam.model.sam import Sam
    from napari_sam.training.lesson import Lesson
    from napari_sam.training.pairs import Pair
    from napari_sam.training.recipe import Recipe
    from napari_sam.training.trainer import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to train, and where to.

    Attributes
    ----------
    recipe : Recipe
        How to train.
    output : Path
        Ends with .safetensors.
    freeze_encoder : bool
        Train the prompt encoder and the mask decoder alone, on planes encoded once.
    held_out : float
        Part of the images, or of the planes of a lone volume, to validate on.
    cache : Path or None
        Folder of the embeddings with a frozen encoder. None: in memory.
    seed : int
        Of all chance.
    """

    recipe: Recipe
    output: Path
    freeze_encoder: bool = False
    held_out: float = 0.2
    cache: Path | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Encoded:
    """A plane went through the frozen image encoder, or was there already."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Validated:
    """Mean IoU on what was held out, by way of prompting: after ``step`` steps."""

    step: int
    mean_iou: dict[str, float]


def train(
    sam: Sam, pairs: Sequence[Pair], plan: Plan, *, overwrite: bool = False
) -> Iterator[Encoded | Validated | Step]:
    """Train a model and write it; an unfinished training of the same plan is gone on with.

    Killing the process at any moment costs at most a minute of training, and at most half of what was done in the first
    two; closing the iterator costs nothing. Two trainings of one plan in steps give the same weights, interrupted or
    not, on one machine with one number of threads.

    Parameters
    ----------
    sam : Sam
        Where to start, float32; changed in place.
    pairs : sequence of Pair
        Images with labels.
    plan : Plan
        What to do.
    overwrite : bool
        Replace an existing output, and start over instead of going on.

    Yields
    ------
    Encoded, Validated or Step
        First the planes that are encoded, if the encoder is frozen; a validation; the steps; a validation.

    Raises
    ------
    ValueError
        At once, if the plan cannot be carried out with this model and these images, or if an unfinished training
        under this name had another plan.
    OSError
        At once, if the output exists or cannot be written to.
    """
    files = Files(plan.output)
    check_weights_output(files.output, overwrite=overwrite)
    learnt, held = hold_out(pairs, plan.held_out, seed=plan.seed)
    about = _describe(sam, learnt, held, plan)
    values = load_state(files.state, about) if files.state.exists() and not overwrite else None
    return _run(sam, learnt, held, plan, about, values)


def _describe(sam: Sam, learnt: Sequence[Pair], held: Sequence[Pair], plan: Plan) -> Json:
    """Return what must be the same for a training to be gone on with, and what the result tells about itself."""
    return {
        "config": sam.config.name,
        "init": sam.weights_sha256,
        "recipe": asdict(plan.recipe),
        "freeze_encoder": plan.freeze_encoder,
        "seed": plan.seed,
        "sources": [_describe_pair(pair) for pair in learnt],
        "held_out": [_describe_pair(pair) for pair in held],
    }


def _describe_pair(pair: Pair) -> Json:
    return {
        "name": pair.name,
        "shape": list(pair.stack.spatial_shape),
        "planes": len(pair.planes),
        "labels": f"{xxhash.xxh3_64_intdigest(pair.labels.data):016x}",
    }


def _run(
    sam: Sam, learnt: Sequence[Pair], held: Sequence[Pair], plan: Plan, about: Json, values: Json | None
) -> Iterator[Encoded | Validated | Step]:
    files = Files(plan.output)
    cache = plan.cache if plan.freeze_encoder else None
    lesson = yield from _prepare(sam, learnt, plan)
    before = values["before"] if values else validate(sam, held, cache=cache)
    trainer = Trainer(sam, lesson, plan.recipe, seed=plan.seed)
    if values:
        trainer.restore(values["trainer"])
    log = Log(files.log, step=trainer.step)
    log.write({"resumed": True, "step": trainer.step} if trainer.step else about | {"mean_iou": before, "step": 0})
    yield Validated(0, before)
    save = partial(save_state, files.state, about)
    yield from follow(trainer, log, save=lambda: save({"before": before, "trainer": trainer.state()}))

    result = trainer.averaged()
    after = validate(result, held, cache=cache)
    write_weights(plan.output, result, about | {"mean_iou_before": before, "mean_iou": after})
    log.write({"step": trainer.step, "mean_iou": after})
    files.state.unlink(missing_ok=True)
    yield Validated(trainer.step, after)


def _prepare(sam: Sam, pairs: Sequence[Pair], plan: Plan) -> Generator[Encoded, None, Lesson[Sam]]:
    """Decide what learns, and make the lesson for it."""
    sam.requires_grad_(requires_grad=True)
    if plan.freeze_encoder:
        sam.image_encoder.requires_grad_(requires_grad=False)
        encoded = [EncodedPair.open(pair, sam, plan.cache) for pair in pairs]
        yield from _encode(encoded)
        return PlaneLesson(encoded, plan.recipe)
    freeze_early_stages(sam)
    return CropLesson([as_source(pair, sam.config.grid) for pair in pairs], plan.recipe)


def _encode(pairs: Sequence[EncodedPair]) -> Iterator[Encoded]:
    total = sum(len(encoded.pair.planes) for encoded in pairs)
    done = 0
    for encoded in pairs:
        for plane in encoded.pair.planes:
            for _ in encoded.cache.embed([plane]):
                pass
            done += 1
            yield Encoded(done, total)
