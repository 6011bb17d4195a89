"""Prompts on a plane that is looked at through views: each is decoded in the one that shows its object best."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from napari_sam import predictor
from napari_sam.embeddings import ImageEmbedding
from napari_sam.extents import NOTHING, crop_extent, logits_extent, union
from napari_sam.low_res import MaskInput
from napari_sam.plane_embedding import PlaneEmbedding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from napari_sam.extents import Extent
    from napari_sam.image import Frame
    from napari_sam.low_res import LowRes
    from napari_sam.model.sam import Sam
    from napari_sam.predictor import MaskPrediction
    from napari_sam.prompts import Prompt
    from napari_sam.tiles import TileGrid
    from napari_sam.windows import Windows

T = TypeVar("T")

Embedding = ImageEmbedding | PlaneEmbedding
_VIEWS = 32  # that prompts are decoded in together, at most 4 MiB each
_FARTHEST = 8  # times the side of the first view; a mask that reaches farther is background taken for an object


def predict(
    sam: Sam,
    embedding: Embedding,
    prompts: Sequence[Prompt],
    *,
    multimask_output: bool | None = None,
    mask_input: Sequence[LowRes | MaskInput | None] | None = None,
) -> tuple[MaskPrediction, ...]:
    """Decode prompts that share one plane; otherwise as `predictor.predict`.

    Where a plane has views the first is the most detailed one that shows all a prompt says. If the best mask comes to
    an edge of it, the same prompt is decoded anew in a view that has moved or that shows more; if it is tiny, in a
    closer one. So a mask never ends where a view does, and nothing is pasted together from masks.
    """
    if isinstance(embedding, ImageEmbedding):
        return predictor.predict(sam, embedding, prompts, multimask_output=multimask_output, mask_input=mask_input)

    def decode(
        views: Sequence[ImageEmbedding], prompts: Sequence[Prompt], given: Any
    ) -> list[tuple[LowRes, MaskPrediction]]:
        """Decode each prompt in a view; the best logits tell whether the view will do."""
        predictions = predictor.predict(sam, views, prompts, multimask_output=multimask_output, mask_input=given)
        return [(prediction.low_res_logits[0], prediction) for prediction in predictions]

    return tuple(_on_plane(prediction) for prediction, _ in _seek(embedding, prompts, mask_input, decode))


class Decoded(NamedTuple):
    """The best mask of one prompt: low-res logits ``(h, w)``, its predicted IoU, and the frame of both."""

    low_res_logits: LowRes
    predicted_iou: float
    frame: Frame


def predict_low_res(
    sam: Sam,
    embedding: Embedding,
    prompts: Sequence[Prompt],
    *,
    multimask_output: bool | None = None,
    mask_input: Sequence[LowRes | MaskInput | None] | None = None,
    nearby: bool = False,
) -> list[Decoded]:
    """Decode prompts that share one plane as `predict` does, and keep the best mask of each without upscaling it.

    With ``nearby`` objects of which a mask is given are looked for near to it, see `predictor.predict_low_res`.
    """

    def decode(view: Any, prompts: Sequence[Prompt], given: Any) -> list[tuple[LowRes, float]]:
        """Decode prompts in one view, or each in its own."""
        return predictor.predict_low_res(
            sam, view, prompts, multimask_output=multimask_output, mask_input=given, nearby=nearby
        )

    if isinstance(embedding, ImageEmbedding):
        return [Decoded(*each, embedding.frame) for each in decode(embedding, prompts, mask_input)]
    found = _seek(embedding, prompts, mask_input, lambda *asked: [(each[0], each) for each in decode(*asked)])
    return [Decoded(logits, predicted, frame) for (logits, predicted), frame in found]


def _seek(
    embedding: PlaneEmbedding,
    prompts: Sequence[Prompt],
    mask_input: Sequence[LowRes | MaskInput | None] | None,
    decode: Callable[[Sequence[ImageEmbedding], Sequence[Prompt], Any], Sequence[tuple[LowRes, T]]],
) -> list[tuple[T, Frame]]:
    """Decode all prompts together, and those again in ever other views whose object the view does not show well."""
    given = [None] * len(prompts) if mask_input is None else list(mask_input)
    searches = {i: _Search.begin(embedding.views, *each) for i, each in enumerate(zip(prompts, given, strict=True))}
    results: dict[int, tuple[T, Frame]] = {}
    while searches:
        onwards: dict[int, _Search] = {}
        for here in _batches(searches):
            views = [embedding.view(searches[i].frame) for i in here]
            found = decode(views, [prompts[i] for i in here], [given[i] for i in here])
            for index, view, (logits, result) in zip(here, views, found, strict=True):
                seen = logits_extent(logits, view.frame)
                if index not in results or seen != NOTHING:  # a closer look that sees nothing is no news
                    results[index] = result, view.frame
                further = searches[index].after(seen, embedding.views)
                if further is not None:
                    onwards[index] = further
        searches = onwards
    return [results[i] for i in range(len(prompts))]


@dataclass(frozen=True, slots=True)
class _Search:
    """The search for the view that shows an object well.

    Attributes
    ----------
    extent : tuple of float
        What is known to belong to the object.
    frame : Frame
        The view that is tried next.
    farthest : float
        Side in pixels of the largest view that may be tried.
    closer : bool
        Whether closer views may be tried: not after one turned out to be too small.
    """

    extent: Extent
    frame: Frame
    farthest: float
    closer: bool = True

    @classmethod
    def begin(cls, views: Windows | TileGrid, prompt: Prompt, given: LowRes | MaskInput | None) -> _Search:
        """Choose the first view by all that the prompt, and the logits given with it, say of the object."""
        shape = _shape_extent(prompt, given)
        extent = union(shape, *((row, column, row, column) for row, column in prompt.points))
        frame = views.first_view(extent, sized=shape != NOTHING)
        return cls(extent, frame, _FARTHEST * max(frame.original_size))

    def after(self, seen: Extent, views: Windows | TileGrid) -> _Search | None:
        """Go on to another view, or return None if this one will do for a mask of this extent."""
        frame = views.next_view(self.frame, self.extent, seen, closer=self.closer)
        if frame is None or max(frame.original_size) > self.farthest:
            return None
        closer = views.level(frame) < views.level(self.frame)
        return replace(self, frame=frame, extent=self.extent if closer else union(self.extent, seen), closer=closer)


def _batches(searches: Mapping[int, _Search]) -> Iterator[list[int]]:
    """Split searches so that the views of a batch fit the memory; those of one size, and of one place, together."""
    order = sorted(searches, key=lambda i: (searches[i].frame.padded_size, searches[i].frame.origin))
    for start in range(0, len(order), _VIEWS):
        yield order[start : start + _VIEWS]


def _on_plane(prediction: MaskPrediction) -> MaskPrediction:
    return replace(prediction, masks=prediction.frame.on_plane(prediction.masks))


def _shape_extent(prompt: Prompt, given: LowRes | MaskInput | None) -> Extent:
    """Extent of what says how large the object is: a box and a mask, or nothing."""
    box = NOTHING
    if prompt.box is not None:
        (top, left), (bottom, right) = prompt.box
        box = top, left, bottom, right
    if given is None:
        return box if prompt.mask is None else union(box, crop_extent(prompt.mask))
    if not isinstance(given, MaskInput):
        msg = "here logits need the frame that they were seen in, expected mask_input=prediction.mask_input()"
        raise ValueError(msg)
    return union(box, logits_extent(given.low_res_logits, given.frame))
