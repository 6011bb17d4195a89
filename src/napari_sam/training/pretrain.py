"""Self-supervised pretraining of an image encoder on stacks without labels: masked autoencoding (He et al. 2021)."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_sam.contrast import estimate_contrast
from napari_sam.image import Frame
from napari_sam.model.mae import MaskedAutoencoder
from napari_sam.training.augment import draw_look
from napari_sam.training.lesson import Figures
from napari_sam.training.pairs import is_image, open_image, to_colour
from napari_sam.training.result import check_weights_output, write_weights
from napari_sam.training.session import follow
from napari_sam.training.state import Files, Json, Log, load_state, save_state
from napari_sam.training.trainer import Trainer
from napari_sam.training.view import Pose, draw_orientation, sample_view

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

    from napari_sam.model.sam import Sam
    from napari_sam.stack import Stack
    from napari_sam.training.recipe import Recipe
    from napari_sam.training.trainer import Step

_CROP = 224  # model pixels: 7 x 7 patches of nano, 14 x 14 of a ViT, which is one attention window
_VISIBLE = 0.25  # of the patches (He et al. 2021, sec. 4.1)


@dataclass(frozen=True, slots=True, eq=False)
class Unlabelled:
    """A stack to look at, and a name for logs."""

    name: str
    stack: Stack


def find_images(paths: Sequence[Path]) -> list[Path]:
    """List the images among files and in folders; a zarr folder is an image, label files of pairs are none.

    Raises
    ------
    OSError
        If there is nothing at a path.
    """
    found = []
    for path in paths:
        if not path.exists():
            msg = f"{path} does not exist"
            raise FileNotFoundError(msg)
        folder = path.is_dir() and path.suffix.lower() != ".zarr"
        found += [child for child in sorted(path.iterdir()) if is_image(child)] if folder else [path]
    return found


def open_unlabelled(path: Path, *, channel: int | None = None) -> Unlabelled:
    """Open an image file; it is read plane by plane.

    Raises
    ------
    OSError, ValueError
        As `read_image` and `open_stack` do.
    """
    return Unlabelled(str(path), open_image(path, channel=channel))


def pretrain(
    sam: Sam, images: Sequence[Unlabelled], recipe: Recipe, output: Path, *, seed: int = 0, overwrite: bool = False
) -> Iterator[Step]:
    """Pretrain the image encoder of a model and write the model; goes on with an unfinished run of the same settings.

    The prompt encoder and the mask decoder are written as they were: they no longer fit the encoder, and are to be
    trained next.

    Parameters
    ----------
    sam : Sam
        Where to start, float32; changed in place.
    images : sequence of Unlabelled
        What to look at.
    recipe : Recipe
        How to train; ``batch`` is the number of crops of 224 model pixels in one step; the loss is the squared error of
        the hidden pixels, where guessing the mean of each patch would have 1.
    output : Path
        Ends with .safetensors.
    seed : int
        Of all chance.
    overwrite : bool
        Replace an existing output, and start over instead of going on.

    Raises
    ------
    ValueError, OSError
        At once, if there is nothing to look at or the output cannot be written; see `napari_sam.training.run.train`.
    """
    files = Files(output)
    check_weights_output(files.output, overwrite=overwrite)
    if not images:
        msg = "there are no images to pretrain on; name files or folders of them"
        raise ValueError(msg)
    about = {
        "config": sam.config.name,
        "init": sam.weights_sha256,
        "task": "masked autoencoding",
        "recipe": asdict(recipe),
        "seed": seed,
        "sources": [{"name": image.name, "shape": list(image.stack.spatial_shape)} for image in images],
    }
    values = load_state(files.state, about) if files.state.exists() and not overwrite else None
    return _run(sam, images, recipe, files, about, values)


def _run(
    sam: Sam, images: Sequence[Unlabelled], recipe: Recipe, files: Files, about: Json, values: Json | None
) -> Iterator[Step]:
    trainer = Trainer(
        _new_autoencoder(sam, about["seed"]), MaskedLesson(sam, images, recipe), recipe, seed=about["seed"]
    )
    if values:
        trainer.restore(values)
    log = Log(files.log, step=trainer.step)
    log.write(about | {"step": trainer.step})
    yield from follow(trainer, log, save=lambda: save_state(files.state, about, trainer.state()))
    sam.image_encoder.load_state_dict(trainer.averaged().image_encoder.state_dict())
    write_weights(files.output, sam, about)
    files.state.unlink(missing_ok=True)


def _new_autoencoder(sam: Sam, seed: int) -> MaskedAutoencoder:
    """Put a decoder with random weights beside the image encoder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        autoencoder = MaskedAutoencoder(sam.image_encoder, sam.config.image_encoder)
    return autoencoder.requires_grad_(requires_grad=True).to(sam.device)


class MaskedLesson:
    """Crops with three quarters of their patches hidden.

    Parameters
    ----------
    sam : Sam
        Tells how images are normalised and how large planes are shown.
    images : sequence of Unlabelled
        Where the crops come from.
    recipe : Recipe
        Their number.
    """

    def __init__(self, sam: Sam, images: Sequence[Unlabelled], recipe: Recipe) -> None:
        self.mean, self.std = sam.pixel_mean, sam.pixel_std
        self.grid = sam.config.grid
        self.stacks = [image.stack for image in images]
        self.contrasts = [None if stack.channel_axis is None else estimate_contrast(stack) for stack in self.stacks]
        self.recipe = recipe

    def __call__(self, autoencoder: MaskedAutoencoder, rng: np.random.Generator) -> Figures:
        """See `Lesson`."""
        size = _CROP - _CROP % autoencoder.patch_size
        crops = torch.stack([self._draw_crop(size, rng) for _ in range(self.recipe.batch)])
        normalised = (crops.to(self.mean.device) - self.mean) / self.std
        visible = draw_visible(self.recipe.batch, size // autoencoder.patch_size, rng).to(self.mean.device)
        loss = autoencoder(normalised.to(autoencoder.mask_token.dtype), visible)
        loss.backward()
        return Figures(loss.item(), math.nan)

    def _draw_crop(self, size: int, rng: np.random.Generator) -> Tensor:
        """Draw ``(3, size, size)`` in 0..255, around the zoom of inference."""
        index = int(rng.integers(len(self.stacks)))
        stack, contrast = self.stacks[index], self.contrasts[index]
        pixels = stack.read(tuple(int(rng.integers(length)) for length in stack.stack_shape))
        pixels = np.nan_to_num(pixels) if contrast is None else to_colour(pixels, contrast)
        zoom = Frame.for_plane(stack.plane_shape, self.grid).scale[0] * 2 ** rng.uniform(-1, 1)
        reach = np.minimum(size / zoom, stack.plane_shape) / 2
        centre = rng.uniform(reach, np.array(stack.plane_shape) - reach)
        pose = Pose(centre, draw_orientation(rng) / zoom)
        labels = np.zeros(stack.plane_shape, np.int32)
        crop, _ = sample_view(pixels, labels, pose, size=size, look=draw_look(pixels[None], rng), rng=rng)
        return crop


def draw_visible(count: int, side: int, rng: np.random.Generator) -> Tensor:
    """Draw which patches are shown: ``(count, side, side)`` bool, a quarter of each image, at least one."""
    shown = max(1, round(_VISIBLE * side**2))
    rank = rng.random((count, side**2)).argsort(axis=1)
    return torch.from_numpy(rank < shown).view(count, side, side)
