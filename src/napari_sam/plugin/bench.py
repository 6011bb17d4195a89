"""What the threads run: a segmenter for one view of an image, and iterators over it that touch no layer. No Qt."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_sam.plugin.drafts import Crop, Surroundings
from napari_sam.plugin.torch_import import import_torch
from napari_sam.plugin.view import resample

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam.plugin.drafts import LabelPlane
    from napari_sam.plugin.session import Ask
    from napari_sam.plugin.view import ImageView
    from napari_sam.plugin.walk import Route
    from napari_sam.predictor import LowRes, MaskPrediction
    from napari_sam.prompts import Prompt
    from napari_sam.propagation import PlaneMask
    from napari_sam.stack import Plane

_BREATH = 0.02  # seconds between two looks at whether the clicks are done


class SegmenterLike(Protocol):
    """The part of `napari_sam.Segmenter` that the plugin uses."""

    def predict(  # noqa: D102
        self, prompt: Prompt, *, multimask_output: bool | None = None, mask_input: LowRes | None = None
    ) -> MaskPrediction: ...

    def propagate(  # noqa: D102
        self, prompts: Sequence[Prompt], *, axis: int = 0, start: int | None = None, stop: int | None = None
    ) -> Iterator[PlaneMask]: ...

    def embed(self, planes: Sequence[Plane] | None = None) -> Iterator[Plane]: ...  # noqa: D102


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
    """

    model: str = "nano"
    cache: Path | None = None

    def __call__(self, view: ImageView, surroundings: Surroundings) -> SegmenterLike:
        """Load the model, fetch it before if need be, and open the cache of the image."""
        import_torch()
        from napari_sam.segmenter import Segmenter

        return Segmenter(view.array, self.model, cache=self.cache, rgb=view.rgb, labels=surroundings)


class Bench:
    """An image view, and the segmenter that the thread opens for it."""

    def __init__(self, view: ImageView, open_segmenter: OpenSegmenter) -> None:
        self.view = view
        self.segmenter: SegmenterLike | None = None
        self._surroundings = Surroundings(view.spatial_shape)
        self._open_segmenter = open_segmenter

    def open(self) -> Iterator[SegmenterLike]:
        """Open the segmenter; must have ended before anything else is asked."""
        if self.segmenter is None:
            self.segmenter = self._open_segmenter(self.view, self._surroundings)
        yield self.segmenter

    def decode(self, ask: Ask) -> Iterator[MaskPrediction]:
        """Answer a request, with masks at full resolution."""
        prediction = self._opened.predict(self.view.to_level(ask.prompt), mask_input=ask.mask_input)
        masks = np.stack([self.view.from_level(mask) for mask in prediction.masks])
        yield replace(prediction, masks=masks)

    def walk(
        self, prompts: Sequence[Prompt], route: Route, look: Callable[[Plane], LabelPlane]
    ) -> Iterator[tuple[PlaneMask, Crop]]:
        """Walk, and give each mask as it was found and as a crop at full resolution.

        Parameters
        ----------
        prompts : sequence of Prompt
            The anchors.
        route : Route
            Where to.
        look : callable
            Plane to the labels, at full resolution, of what does not walk.
        """
        self._surroundings.look = lambda plane: self._to_level(look(plane))
        own = [self.view.to_level(prompt) for prompt in prompts]
        for found in self._opened.propagate(own, axis=route.axis, start=route.start, stop=route.stop):
            yield found, Crop.of(self.view.from_level(found.mask))

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

    def _to_level(self, labels: Any) -> LabelPlane:
        return labels if labels.shape == self.view.level_shape else resample(labels, self.view.level_shape)
