"""What the mask decoder needs to know of a plane, seen through windows or tile by tile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_sam.embeddings import ImageEmbedding
from napari_sam.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from napari_sam.image import Frame
    from napari_sam.tiles import TileGrid
    from napari_sam.windows import Windows

_VIEWS = 16  # that are kept, at most 4 MiB each: clicks and walks stay near one place


class PlaneEmbedding:
    """A plane of which more is known than one view shows; what is needed for a view is asked for when it is needed.

    Parameters
    ----------
    views : Windows or TileGrid
        Where one may look.
    get_stored : callable
        Number of a tile to its embedding; number 0 is the whole plane, if that is not tiled.
    encode : callable
        Frame to the embedding of that window, made from its pixels: for what is seen more closely than is stored.
    """

    def __init__(
        self,
        views: Windows | TileGrid,
        get_stored: Callable[[int], ImageEmbedding],
        encode: Callable[[Frame], ImageEmbedding],
    ) -> None:
        self.views = views
        self._get_stored = get_stored
        self._encode = encode
        self._recent: Recent[Frame, ImageEmbedding] = Recent(_VIEWS)

    def view(self, frame: Frame) -> ImageEmbedding:
        """Return the embedding of a view that `views` has chosen."""
        return self._recent.get(frame) or self._recent.put(frame, self._make(frame))

    def _make(self, frame: Frame) -> ImageEmbedding:
        if self.views.level(frame) < 0:
            return self._encode(frame)
        under = dict(self.views.tiles_under(frame))
        if frame in under:
            return self._get_stored(under[frame])
        stored = {tile: self._get_stored(number) for tile, number in under.items()}
        return _cut(*stored.popitem(), frame) if len(stored) == 1 else _join(stored, frame, self.views.overlap)


def _cut(tile: Frame, embedding: ImageEmbedding, frame: Frame) -> ImageEmbedding:
    """Cut a window out of what shows all of it."""
    rows, columns = (own for _, own in _shared_cells(tile, embedding, frame))
    return ImageEmbedding(embedding.image_embedding[:, rows, columns], frame)


def _join(tiles: Mapping[Frame, ImageEmbedding], frame: Frame, overlap: int) -> ImageEmbedding:
    """Mean of the tiles' features under a frame, each weighted by how far it can be relied on."""
    [(tile, like), *_] = tiles.items()
    height, width = (side // _stride(tile, like) for side in frame.padded_size)
    channels = len(like.image_embedding)
    total = like.image_embedding.new_zeros(height, width, channels).permute(2, 0, 1)  # in memory as tiles lie there
    weights = total.new_zeros(height, width)
    for tile, embedding in tiles.items():
        (rows, own_rows), (columns, own_columns) = _shared_cells(tile, embedding, frame)
        weight = _reliance(tile, embedding, overlap).to(total)[own_rows, own_columns]
        total[:, rows, columns] += embedding.image_embedding[:, own_rows, own_columns] * weight
        weights[rows, columns] += weight
    return ImageEmbedding(total / weights, frame)


def _shared_cells(tile: Frame, embedding: ImageEmbedding, frame: Frame) -> list[tuple[slice, slice]]:
    """Rows and columns of cells that a tile shares with a window of its level: as the window counts, and the tile."""
    stride = _stride(tile, embedding)
    shared = []
    for axis in (0, 1):
        offset = round((tile.origin[axis] - frame.origin[axis]) * tile.scale[axis]) // stride
        start, stop = max(offset, 0), min(offset + tile.padded_size[axis] // stride, frame.padded_size[axis] // stride)
        shared.append((slice(start, stop), slice(start - offset, stop - offset)))
    return shared


def _reliance(tile: Frame, embedding: ImageEmbedding, overlap: int) -> Tensor:
    """How far each cell of a tile can be relied on, ``(H, W)``: less towards an edge that is not that of the plane."""
    stride, ramps = _stride(tile, embedding), []
    for axis, end in enumerate(tile.whole):
        cells = tile.padded_size[axis] // stride
        rising = ((torch.arange(cells) + 0.5) * stride / max(overlap, stride)).clamp(max=1) ** 2
        before = rising if tile.origin[axis] > 0 else torch.ones(cells)
        ramps.append(torch.minimum(before, rising.flip(0)) if tile.window[axis].stop < end else before)
    return torch.outer(*ramps)


def _stride(tile: Frame, embedding: ImageEmbedding) -> int:
    return tile.padded_size[0] // embedding.image_embedding.shape[1]
