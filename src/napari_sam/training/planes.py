"""Planes that were encoded once: what a prompt encoder and a mask decoder alone are trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_sam.cache import EmbeddingCache
from napari_sam.contrast import estimate_contrast
from napari_sam.embeddings import ImageEmbedding
from napari_sam.extents import mask_extent
from napari_sam.image import to_model_input
from napari_sam.selection import resample
from napari_sam.training.lesson import Figures, practise
from napari_sam.training.rounds import View

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam.image import Frame
    from napari_sam.model.sam import Sam
    from napari_sam.stack import Plane
    from napari_sam.training.pairs import Pair
    from napari_sam.training.recipe import Recipe

_LONGEST = 4  # planes of a walk


@dataclass(frozen=True, slots=True, eq=False)
class EncodedPair:
    """An image whose embeddings are kept, and its labels."""

    pair: Pair
    cache: EmbeddingCache

    @classmethod
    def open(cls, pair: Pair, sam: Sam, folder: Path | None) -> EncodedPair:
        """Open the embeddings of a pair in ``folder``, or in memory; nothing is encoded yet."""
        contrast = estimate_contrast(pair.stack)
        cache = EmbeddingCache.open(folder, sam=sam, stack=pair.stack, contrast=contrast, source=pair.name, tile="auto")
        return cls(pair, cache)

    def draw_frame(self, plane: Plane, rng: np.random.Generator) -> Frame:
        """Choose where to look for one of the objects of a plane, as `views.predict` would."""
        embedding = self.cache.embedding(plane)
        if isinstance(embedding, ImageEmbedding):
            return embedding.frame
        labels = self.pair.labels[plane]
        extent = mask_extent(labels == rng.choice(np.unique(labels[labels > 0])))
        return embedding.views.first_view(extent, sized=bool(rng.integers(2)))

    def view(self, plane: Plane, sam: Sam, frame: Frame) -> View:
        """Return what a frame shows of a plane, for a model with this image encoder."""
        embedding = self.cache.embedding(plane)
        seen = embedding if isinstance(embedding, ImageEmbedding) else embedding.view(frame)
        labels = labels_in_frame(self.pair.labels[plane], seen.frame)
        return View(
            seen.image_embedding[None].to(sam.device, sam.dtype),
            torch.from_numpy(labels).to(sam.device),
            torch.from_numpy(self._brightness_in(seen.frame, plane)).to(sam.device),
        )

    def _brightness_in(self, frame: Frame, plane: Plane) -> NDArray[np.float32]:
        pixels = self.pair.stack.read(plane, frame.window)
        shown = to_model_input(pixels, self.cache.contrast, frame).mean(axis=0) / 255
        return np.pad(shown, [(0, side - n) for side, n in zip(frame.padded_size, shown.shape, strict=True)])


class PlaneLesson:
    """Planes from the cache, alone or with a neighbour; the image encoder is not needed.

    Parameters
    ----------
    pairs : sequence of EncodedPair
        Where the planes come from.
    recipe : Recipe
        Their number, and that of the objects.
    """

    def __init__(self, pairs: Sequence[EncodedPair], recipe: Recipe) -> None:
        self.pairs = pairs
        self.recipe = recipe

    def __call__(self, sam: Sam, rng: np.random.Generator) -> Figures:
        """See `Lesson`."""
        scenes = [self.draw_scene(sam, rng) for _ in range(self.recipe.batch)]
        return practise(sam, scenes, objects=self.recipe.objects, rng=rng)

    def draw_scene(self, sam: Sam, rng: np.random.Generator) -> list[View]:
        """Draw a plane, and sometimes those that a walk along the last axis visits next."""
        shares = np.sqrt([float(len(encoded.pair.planes)) for encoded in self.pairs])
        encoded = self.pairs[rng.choice(len(self.pairs), p=shares / shares.sum())]
        planes = encoded.pair.planes
        plane = planes[rng.integers(len(planes))]
        frame = encoded.draw_frame(plane, rng)
        scene = [encoded.view(plane, sam, frame)]
        if plane and rng.random() < self.recipe.chain_share:
            direction = int(rng.choice([-1, 1]))
            for reach in range(1, int(rng.integers(2, _LONGEST + 1))):
                following = (*plane[:-1], plane[-1] + reach * direction)
                scene += [encoded.view(following, sam, frame)] if following in planes else []
        return scene


def labels_in_frame(labels: NDArray[Any], frame: Frame) -> NDArray[np.int64]:
    """Bring labels ``(h, w)`` of a plane into a padded model frame; a model pixel takes what lies under its centre."""
    height, width = frame.input_size
    framed = np.zeros(frame.padded_size, np.int64)
    framed[:height, :width] = resample(labels[frame.window], (height, width))
    return framed
