"""What the threads run: a segmenter for one view of an image, and iterators over it that touch no layer. No Qt."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_sam.crops import Crop
from napari_sam.plugin.drafts import Surroundings
from napari_sam.plugin.session import choices_of
from napari_sam.plugin.torch_import import import_torch
from napari_sam.selection import resample

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam.components import Components
    from napari_sam.crops import Window
    from napari_sam.low_res import MaskInput
    from napari_sam.plane_mask import PlaneMask
    from napari_sam.plugin.drafts import LabelPlane, Look
    from napari_sam.plugin.session import Ask, Choice
    from napari_sam.plugin.view import ImageView
    from napari_sam.plugin.walk import Route
    from napari_sam.predictor import MaskPrediction
    from napari_sam.prompts import Prompt
    from napari_sam.stack import Plane

_TOGETHER = 16  # requests in a batch: as many are seen at once, and a click waits for them
_BREATH = 0.02  # seconds between two looks at whether the clicks are done


class SegmenterLike(Protocol):
    """The part of `napari_sam.Segmenter` that the plugin uses."""

    def predict(
        self, prompt: Prompt, *, multimask_output: bool | None = None, mask_input: MaskInput | None = None
    ) -> MaskPrediction:
        """Decode a prompt."""
        ...

    def predict_many(
        self, prompts: Sequence[Prompt], *, mask_input: Sequence[MaskInput | None] | None = None
    ) -> Iterable[MaskPrediction]:
        """Decode prompts in batches."""
        ...

    def propagate(
        self,
        prompts: Sequence[Prompt],
        *,
        axis: int = 0,
        start: int | None = None,
        stop: int | None = None,
        components: Components = "supported",
        neighbours: bool = False,
    ) -> Iterator[PlaneMask]:
        """Carry objects from plane to plane."""
        ...

    def embed(self, planes: Sequence[Plane] | None = None) -> Iterator[Plane]:
        """Encode planes."""
        ...


Answer = tuple["Ask", tuple["Choice", ...]]
OpenSegmenter = Callable[["ImageView", Surroundings], SegmenterLike]


@dataclass(frozen=True, slots=True)
class Opener:
    """Open segmenters with one model; called in a thread, which is where torch is imported.

    Attributes
    ----------
    model : str
        A name that ``sam-stacks models`` lists, or a checkpoint file.
    cache : Path or None
        Folder for the embeddings; None keeps them in memory.
    source : str or None
        Where the image was read from, for ``sam-stacks cache info``.
    """

    model: str = "nano"
    cache: Path | None = None
    source: str | None = None

    def download(self) -> Iterator[tuple[int, int]]:
        """Fetch the weights of a named model unless they are here: bytes that are here, and bytes in all."""
        from napari_sam.checkpoints import REGISTRY, download, weights_path

        if self.model in REGISTRY and not weights_path(self.model).exists():
            yield from download(self.model)

    def __call__(self, view: ImageView, surroundings: Surroundings) -> SegmenterLike:
        """Load the model and open the cache of the image."""
        import_torch()
        from napari_sam.segmenter import Segmenter

        return Segmenter(
            view.array,
            self.model,
            cache=self.cache,
            rgb=view.rgb,
            channel_axis=None if view.channels is None else -1,
            channels=None if view.channels is None else view.channels.chosen,
            labels=surroundings,
            source=self.source,
        )


class Bench:
    """An image view, and the segmenter that the thread opens for it."""

    def __init__(self, view: ImageView, open_segmenter: OpenSegmenter) -> None:
        self.view = view
        self.segmenter: SegmenterLike | None = None
        self._surroundings = Surroundings(view.spatial_shape)
        self._open_segmenter = open_segmenter

    def open(self) -> Iterator[tuple[int, int] | None]:
        """Open the segmenter; must have ended before anything else is asked.

        Yields
        ------
        tuple of int or None
            Bytes of the weights that are here and bytes in all, while they are downloaded.
        """
        if self.segmenter is None:
            download = getattr(self._open_segmenter, "download", tuple)
            yield from download()
            self.segmenter = self._open_segmenter(self.view, self._surroundings)
        yield None

    def decode(self, asks: Sequence[Ask]) -> Iterator[list[Answer]]:
        """Answer requests in their order, many of them in batches, with masks at full resolution."""
        for start in range(0, len(asks), _TOGETHER):
            some = asks[start : start + _TOGETHER]
            prompts = [self.view.to_level(ask.prompt) for ask in some]
            if len(some) == 1:
                found: Iterable[MaskPrediction] = [self._opened.predict(prompts[0], mask_input=some[0].mask_input)]
            else:
                found = self._opened.predict_many(prompts, mask_input=[ask.mask_input for ask in some])
            yield [(ask, self._choices(prediction)) for ask, prediction in zip(some, found, strict=True)]

    def walk(self, prompts: Sequence[Prompt], route: Route, look: Look) -> Iterator[tuple[PlaneMask, Crop]]:
        """Walk, and give each mask as it was found and as a crop at full resolution.

        Parameters
        ----------
        prompts : sequence of Prompt
            The anchors.
        route : Route
            Where to.
        look : callable
            Gives windows of the labels, at full resolution, of what does not walk.
        """
        self._surroundings.look = look if self.view.level == 0 else partial(self._look_at_level, look)
        own = [self.view.to_level(prompt) for prompt in prompts]
        walk = self._opened.propagate(
            own,
            axis=route.axis,
            start=route.start,
            stop=route.stop,
            components=route.components,
            neighbours=route.neighbours,
        )
        for found in walk:
            yield found, self._at_full_resolution(found.crop)

    def encode(self, planes: Sequence[Plane], is_busy: Callable[[], bool]) -> Iterator[Plane | None]:
        """Encode planes one after the other; None while it steps back for something more urgent."""
        for plane in planes:
            while is_busy():
                time.sleep(_BREATH)
                yield None
            for _ in self._opened.embed([plane]):
                pass
            yield plane

    @property
    def _opened(self) -> SegmenterLike:
        if self.segmenter is None:
            msg = "the model could not be opened; choose the model again to retry"
            raise RuntimeError(msg)
        return self.segmenter

    def _at_full_resolution(self, mask: Crop) -> Crop:
        """Take a mask of the level that is read to full resolution, through the whole plane only if it must be."""
        if mask.shape == self.view.plane_shape:
            return mask.trimmed()
        return Crop.of(self.view.from_level(mask.full()))

    def _choices(self, prediction: MaskPrediction) -> tuple[Choice, ...]:
        full = np.stack([self.view.from_level(mask) for mask in prediction.masks])
        return choices_of(replace(prediction, masks=full))

    def _look_at_level(self, look: Look, plane: Plane, window: Window) -> LabelPlane:
        height, width = self.view.plane_shape
        labels: LabelPlane = resample(look(plane, (slice(0, height), slice(0, width))), self.view.level_shape)[window]
        return labels
