"""Prompts on a tiled plane: each is decoded at once, in the most detailed view that shows its object whole."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import torch

from napari_sam import predictor
from napari_sam.embeddings import ImageEmbedding
from napari_sam.predictor import MaskInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sam.image import Frame
    from napari_sam.model.sam import Sam
    from napari_sam.predictor import LowRes, MaskPrediction
    from napari_sam.prompts import Prompt
    from napari_sam.tiles import Extent, TileGrid

T = TypeVar("T")

_VIEWS = 8  # joined views that are kept, 4 MiB each: clicks and walks stay near one place
_DOUBLINGS = 3  # of the view that shows the prompt; a mask that reaches farther is background taken for an object


class TiledEmbedding:
    """What the mask decoder needs to know of a plane that is encoded as tiles; a tile is asked for when it is needed.

    Parameters
    ----------
    grid : TileGrid
        Where the tiles are.
    get_tile : callable
        Number of a tile to its embedding.
    """

    def __init__(self, grid: TileGrid, get_tile: Callable[[int], ImageEmbedding]) -> None:
        self.grid = grid
        self._get_tile = get_tile
        self._views: dict[Frame, ImageEmbedding] = {}  # the oldest first

    def view(self, frame: Frame) -> ImageEmbedding:
        """Return the embedding of a window of the plane, one that `TileGrid.find_view` has chosen."""
        view = self._views.pop(frame, None) or self._make(frame)
        self._views[frame] = view
        if len(self._views) > _VIEWS:
            self._views.pop(next(iter(self._views)), None)
        return view

    def _make(self, frame: Frame) -> ImageEmbedding:
        under = dict(self.grid.tiles_under(frame))
        if frame in under:
            return self._get_tile(under[frame])
        return _join({tile: self._get_tile(number) for tile, number in under.items()}, frame, self.grid)


Embedding = ImageEmbedding | TiledEmbedding


def predict(
    sam: Sam,
    embedding: Embedding,
    prompts: Sequence[Prompt],
    *,
    multimask_output: bool | None = None,
    mask_input: Sequence[LowRes | MaskInput | None] | None = None,
    replay_clicks: bool = False,
) -> tuple[MaskPrediction, ...]:
    """Decode prompts that share one plane, whole or tiled; otherwise as `predictor.predict`.

    On a tiled plane the first view is the most detailed one that shows all a prompt says. If the best mask comes to an
    edge of it, the same prompt is decoded anew in a view that has moved or that shows more. So a mask never ends where
    a tile does, and nothing is pasted together from masks.
    """
    if isinstance(embedding, ImageEmbedding):
        return predictor.predict(
            sam,
            embedding,
            prompts,
            multimask_output=multimask_output,
            mask_input=mask_input,
            replay_clicks=replay_clicks,
        )
    given = [None] * len(prompts) if mask_input is None else list(mask_input)

    def decode(view: ImageEmbedding, here: Sequence[int]) -> list[tuple[LowRes, MaskPrediction]]:
        predictions = predictor.predict(
            sam,
            view,
            [prompts[i] for i in here],
            multimask_output=multimask_output,
            mask_input=[given[i] for i in here],
            replay_clicks=replay_clicks,
        )
        return [(prediction.low_res_logits[0], prediction) for prediction in predictions]

    return tuple(_on_plane(prediction) for prediction, _ in _seek(embedding, prompts, given, decode))


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
) -> list[Decoded]:
    """Decode prompts that share one plane, whole or tiled, and keep the best mask of each without upscaling it."""
    if isinstance(embedding, ImageEmbedding):
        found = predictor.predict_low_res(
            sam, embedding, prompts, multimask_output=multimask_output, mask_input=mask_input
        )
        return [Decoded(*each, embedding.frame) for each in found]
    given = [None] * len(prompts) if mask_input is None else list(mask_input)

    def decode(view: ImageEmbedding, here: Sequence[int]) -> list[tuple[LowRes, tuple[LowRes, float]]]:
        found = predictor.predict_low_res(
            sam,
            view,
            [prompts[i] for i in here],
            multimask_output=multimask_output,
            mask_input=[given[i] for i in here],
        )
        return [(each[0], each) for each in found]

    return [Decoded(*each, frame) for each, frame in _seek(embedding, prompts, given, decode)]


def _seek(
    embedding: TiledEmbedding,
    prompts: Sequence[Prompt],
    given: Sequence[LowRes | MaskInput | None],
    decode: Callable[[ImageEmbedding, Sequence[int]], Sequence[tuple[LowRes, T]]],
) -> list[tuple[T, Frame]]:
    """Decode each prompt in ever other views until one shows its object whole; prompts of one view together."""
    searches = {i: _Search.begin(embedding.grid, *each) for i, each in enumerate(zip(prompts, given, strict=True))}
    results: dict[int, tuple[T, Frame]] = {}
    while searches:
        onwards: dict[int, _Search] = {}
        for frame, here in _by_frame(searches).items():
            for index, (logits, result) in zip(here, decode(embedding.view(frame), here), strict=True):
                results[index] = result, frame
                further = searches[index].after(logits, embedding.grid)
                if further is not None:
                    onwards[index] = further
        searches = onwards
    return [results[i] for i in range(len(prompts))]


def mask_extent(mask: NDArray[np.bool_]) -> Extent:
    """Extent of a mask ``(h, w)``, which must not be empty."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return float(rows[0]), float(columns[0]), float(rows[-1]), float(columns[-1])


@dataclass(frozen=True, slots=True)
class _Search:
    """The search for the view that shows an object whole.

    Attributes
    ----------
    extent : tuple of float
        What is known to belong to the object.
    frame : Frame
        The view that is tried next.
    first : int
        Level of the view that shows the prompt.
    """

    extent: Extent
    frame: Frame
    first: int

    @classmethod
    def begin(cls, grid: TileGrid, prompt: Prompt, mask_input: LowRes | MaskInput | None) -> _Search:
        extent = _prompt_extent(prompt, mask_input)
        frame = grid.find_view(extent)
        return cls(extent, frame, grid.level(frame))

    def after(self, logits: LowRes, grid: TileGrid) -> _Search | None:
        """Go on to another view, or return None if this one will do for the low-res logits that it gave."""
        extent = self.extent
        if not grid.shows(self.frame, _union(extent, _logits_extent(logits, self.frame))):
            extent = _union(extent, _logits_extent(_largest_piece(logits), self.frame))
        if grid.shows(self.frame, extent):
            return None
        frame = grid.find_view(extent, after=self.frame)
        if frame == self.frame or grid.level(frame) - self.first > _DOUBLINGS:
            return None
        return replace(self, extent=extent, frame=frame)


def _join(tiles: Mapping[Frame, ImageEmbedding], frame: Frame, grid: TileGrid) -> ImageEmbedding:
    """Mean of the tiles' features under a frame, each weighted by how far it can be relied on."""
    stride = grid.grid.stride
    pixels = stride * grid.reduction(frame)  # of the plane, per cell
    height, width = (side // stride for side in frame.padded_size)
    like = next(iter(tiles.values())).image_embedding
    total, weights = like.new_zeros(len(like), height, width), like.new_zeros(height, width)
    for tile, embedding in tiles.items():
        cells = embedding.image_embedding.shape[1:]
        offsets = [(tile.origin[axis] - frame.origin[axis]) // pixels for axis in (0, 1)]
        (rows, own_rows), (columns, own_columns) = map(_shared, offsets, cells, (height, width))
        weight = _reliance(tile, grid).to(like)[own_rows, own_columns]
        total[:, rows, columns] += embedding.image_embedding[:, own_rows, own_columns] * weight
        weights[rows, columns] += weight
    return ImageEmbedding(total / weights, frame)


def _shared(offset: int, cells: int, length: int) -> tuple[slice, slice]:
    """Cells that a tile, ``cells`` long and at ``offset``, shares with a view: counted in the view, and in the tile."""
    start, stop = max(offset, 0), min(offset + cells, length)
    return slice(start, stop), slice(start - offset, stop - offset)


def _reliance(tile: Frame, grid: TileGrid) -> Tensor:
    """How far each cell of a tile can be relied on, ``(H, W)``: less towards an edge that is not that of the plane."""
    stride, factor = grid.grid.stride, grid.reduction(tile)
    ramps = []
    for axis in (0, 1):
        cells = tile.padded_size[axis] // stride
        rising = ((torch.arange(cells) + 0.5) * stride / max(grid.overlap, stride)).clamp(max=1) ** 2
        before = rising if tile.origin[axis] > 0 else torch.ones(cells)
        ends_inside = tile.origin[axis] + cells * stride * factor < grid.plane_shape[axis]
        ramps.append(torch.minimum(before, rising.flip(0)) if ends_inside else before)
    return torch.outer(*ramps)


def _by_frame(searches: Mapping[int, _Search]) -> dict[Frame, list[int]]:
    frames: dict[Frame, list[int]] = defaultdict(list)
    for index, search in searches.items():
        frames[search.frame].append(index)
    return frames


def _on_plane(prediction: MaskPrediction) -> MaskPrediction:
    return replace(prediction, masks=prediction.frame.on_plane(prediction.masks))


def _prompt_extent(prompt: Prompt, mask_input: LowRes | MaskInput | None) -> Extent:
    """Return all that a prompt says."""
    return _union(*_said(prompt, mask_input))


def _said(prompt: Prompt, mask_input: LowRes | MaskInput | None) -> Iterator[Extent]:
    for row, column in prompt.points:
        yield row, column, row, column
    if prompt.box is not None:
        (top, left), (bottom, right) = prompt.box
        yield top, left, bottom, right
    if isinstance(mask_input, MaskInput) and (mask_input.low_res_logits > 0).any():
        yield _logits_extent(_largest_piece(mask_input.low_res_logits), mask_input.frame)
    elif mask_input is not None and not isinstance(mask_input, MaskInput):
        msg = "on a tiled plane logits need the frame that they were seen in; give prediction.mask_input()"
        raise ValueError(msg)
    elif prompt.mask is not None:
        yield mask_extent(prompt.mask)


def _logits_extent(logits: LowRes, frame: Frame) -> Extent:
    """Extent of the cells above 0, in data pixels; nothing is where nothing is."""
    inside = logits > 0
    rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
    if rows.size == 0:
        return np.inf, np.inf, -np.inf, -np.inf
    edges = np.array([[rows[0], columns[0]], [rows[-1] + 1, columns[-1] + 1]]) * _pixels_per_cell(logits, frame)
    (top, left), (bottom, right) = (edges.clip(0, frame.original_size) + frame.origin).tolist()
    return top, left, bottom - 1, right - 1


def _pixels_per_cell(logits: LowRes, frame: Frame) -> NDArray[np.float64]:
    return np.divide(frame.padded_size, logits.shape) / frame.scale


def _largest_piece(logits: LowRes) -> LowRes:
    """Logits that are above 0 in one piece: specks far from an object say nothing about where it ends."""
    from scipy.ndimage import label

    pieces, count = label(logits > 0)
    if count < 2:
        return logits
    sizes = np.bincount(pieces.ravel())
    largest = 1 + int(sizes[1:].argmax())
    return np.where(pieces == largest, logits, -1).astype(np.float32)


def _union(*extents: Extent) -> Extent:
    top, left, bottom, right = zip(*extents, strict=True)
    return min(top), min(left), max(bottom), max(right)
