"""Planes larger than a model's input, as overlapping tiles at several levels of detail: geometry only."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Literal, Self

from napari_sam.extents import is_inside, union
from napari_sam.image import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sam.extents import Extent
    from napari_sam.model.config import InputGrid, SamConfig, Size
    from napari_sam.stack import Pixels, Plane, Stack

TileChoice = int | Literal["auto"] | None
# Shares of a tile's side. What a prompt says lies so far from the edge, or another tile is chosen; a mask that comes
# nearer than this may go on behind the edge.
_MARGIN, _EDGE = 1 / 16, 1 / 32
_SMALLEST = 64  # pixels; twice the coarsest stride of an encoder


@dataclass(frozen=True)
class TileGrid:
    """Where the tiles of a plane are, and through which windows prompts are decoded.

    Level 0 is the plane as it is, each further level shows it at half the size, down to one that a single tile can
    show whole. Every level is covered by overlapping tiles of one size. A prompt is decoded in a tile, or, where the
    encoder looks only at a neighbourhood, in any window joined from tiles: see `Windows`.

    Attributes
    ----------
    plane_shape : tuple of int
        ``(h, w)`` of the plane.
    side : int
        Of a tile, in pixels of its level.
    overlap : int
        The least that neighbouring tiles share.
    grid : InputGrid
        Of the model.
    joined : bool
        Whether embeddings of neighbouring tiles can be joined. Such tiles are never resized, and start at multiples of
        the encoder's coarsest stride, so that their features are those of the whole plane.
    """

    plane_shape: Size
    side: int
    overlap: int
    grid: InputGrid
    joined: bool

    @classmethod
    def choose(cls, plane_shape: Size, config: SamConfig, tile: TileChoice, overlap: int | None) -> Self | None:
        """Return the tiles of a plane, or None if it is encoded whole.

        Parameters
        ----------
        plane_shape : tuple of int
            ``(h, w)``.
        config : SamConfig
            Of the model.
        tile : int, "auto" or None
            Longest side of a tile in pixels; "auto": what suits the model, if the plane is so large that encoding it
            whole would cost detail; None: encode every plane whole, however large.
        overlap : int or None
            What neighbouring tiles share at least, in pixels; None: what suits the model.

        Raises
        ------
        ValueError
            If these are no such sizes.
        """
        grid, joined = config.grid, config.image_encoder.is_local
        if isinstance(tile, str) and str(tile) != "auto":
            msg = f"tile must be 'auto', None or a side in pixels, got {tile!r}"
            raise ValueError(msg)
        if tile is None and overlap is not None:
            msg = f"overlap is that of tiles, but tile is None; leave overlap out, or let tile be 'auto', got {overlap}"
            raise ValueError(msg)
        if tile is None:
            return None
        step = grid.multiple if joined else 1
        side = _checked_side(grid.tile if isinstance(tile, str) else tile, grid, step)
        overlap = _checked_overlap(overlap, side, grid, step)
        if tile == "auto" and max(plane_shape) <= grid.largest_whole:
            return None
        return cls(plane_shape, side, overlap, grid, joined) if max(plane_shape) > side else None

    @cached_property
    def tiles(self) -> tuple[Frame, ...]:
        """The frame of each tile, level by level, row by row."""
        return tuple(
            self._frame(level, (top, left))
            for level in range(self.levels)
            for top in self._starts(level, 0)
            for left in self._starts(level, 1)
        )

    @property
    def levels(self) -> int:
        """How many levels there are."""
        return 1 + max(0, math.ceil(math.log2(max(self.plane_shape) / self.side)))

    def level(self, frame: Frame) -> int:
        """Level of a tile or view."""
        return round(math.log2(self._zoom * max(frame.original_size) / max(frame.input_size)))

    def reduction(self, frame: Frame) -> int:
        """Pixels of the plane that become one pixel of the frame's level, along each axis."""
        return int(2 ** self.level(frame))

    def first_view(self, extent: Extent, *, sized: bool = True) -> Frame:
        """Choose the tile in which to look for an object: the most detailed one that shows the extent with a margin.

        Parameters
        ----------
        extent : tuple of float
            What has to be seen.
        sized : bool
            Not looked at: windows have room around an object of known size, tiles are where they are.
        """
        return self._find(extent)

    def next_view(self, frame: Frame, said: Extent, seen: Extent, *, closer: bool = False) -> Frame | None:
        """Choose where to look next, or return None if a tile will do.

        Parameters
        ----------
        frame : Frame
            Of the tile.
        said, seen : tuple of float
            Extents of the prompt and of the mask that was found.
        closer : bool
            Not looked at: nothing is stored that shows more detail.
        """
        both = union(said, seen)
        if is_inside(both, frame, self.plane_shape, _EDGE):
            return None
        following = self._find(both, after=frame)
        return None if following == frame else following

    def read(self, stack: Stack, plane: Plane, tile: int) -> Pixels:
        """Read the pixels of a tile of a plane, made fewer for a coarser level."""
        frame = self.tiles[tile]
        return stack.read_reduced(plane, frame.window, self.reduction(frame))

    def tiles_under(self, view: Frame) -> Iterator[tuple[Frame, int]]:
        """Yield the tiles that a window of a level shows a part of, with their numbers.

        If one of them holds the window and a quarter of the side that it shares with its neighbours around it, that one
        alone: nearer to its edge features look different, for want of what lies behind.
        """
        under = list(self._under(view))
        alone = [each for each in under if self._is_deep_in(each[0], view)]
        yield from alone[:1] or under

    def settle(self, start: int, side: int, *, level: int, axis: int) -> int:
        """Move the start of a window by up to a quarter of its side, if that saves it from lying across tiles.

        Parameters
        ----------
        start, side : int
            Of the window, in pixels of the level.
        level, axis : int
            Of the level, and 0 for rows, 1 for columns.
        """
        margin = -(-self.overlap // 4 // self.grid.multiple) * self.grid.multiple
        length, nearest = self._padded(level, axis), []
        for tile in self._starts(level, axis):
            low = tile + (margin if tile else 0)
            high = tile + self.side - side - (margin if tile + self.side < length else 0)
            if low <= high:
                nearest.append(min(max(start, low), high))
        settled = min(nearest, key=lambda each: abs(each - start), default=start)
        return settled if abs(settled - start) <= side // 4 else start

    def _under(self, view: Frame) -> Iterator[tuple[Frame, int]]:
        level = self.level(view)
        starts = [self._starts(level, axis) for axis in (0, 1)]
        first = sum(len(self._starts(below, 0)) * len(self._starts(below, 1)) for below in range(level))
        rows, columns = (
            [i for i, start in enumerate(starts[axis]) if _meet(start * 2**level, self.side * 2**level, view, axis)]
            for axis in (0, 1)
        )
        for row, column in itertools.product(rows, columns):
            number = first + row * len(starts[1]) + column
            yield self.tiles[number], number

    def _is_deep_in(self, tile: Frame, view: Frame) -> bool:
        margin = self.overlap * self.reduction(tile) // 4
        for axis in (0, 1):
            inner, outer = view.window[axis], tile.window[axis]
            before = inner.start - outer.start >= (margin if outer.start > 0 else 0)
            after = outer.stop - inner.stop >= (margin if outer.stop < self.plane_shape[axis] else 0)
            if not (before and after):
                return False
        return True

    @property
    def _zoom(self) -> float:
        """Model pixels per pixel of level 0."""
        return 1.0 if self.joined else max(self.grid.input_size((self.side, self.side))) / self.side

    def _find(self, extent: Extent, after: Frame | None = None) -> Frame:
        """Return the most detailed tile with a margin around an extent, the one of the whole plane if none has."""
        frame = after
        for level in range(self.level(after) if after else 0, self.levels):
            frame = self._nearest(level, extent)
            if frame != after and is_inside(extent, frame, self.plane_shape, _MARGIN):
                return frame
        return frame or self.tiles[-1]

    def _nearest(self, level: int, extent: Extent) -> Frame:
        return self._frame(level, (self._nearest_start(level, extent, 0), self._nearest_start(level, extent, 1)))

    def _nearest_start(self, level: int, extent: Extent, axis: int) -> int:
        middle = (extent[axis] + extent[axis + 2] + 1) / 2 / 2**level
        return min(self._starts(level, axis), key=lambda start: abs(start + self.side / 2 - middle))

    def _starts(self, level: int, axis: int) -> tuple[int, ...]:
        """Where the tiles of a level begin along an axis."""
        step = self.grid.multiple if self.joined else 1
        return _spread(self._padded(level, axis), self.side, self.overlap, step)

    def _padded(self, level: int, axis: int) -> int:
        """Length of a level along an axis, as far as tiles reach."""
        length = -(-self.plane_shape[axis] // 2**level)
        return self.grid.pad((length, length))[0] if self.joined else length

    def _frame(self, level: int, start: tuple[int, int]) -> Frame:
        """Return the frame of a tile or view that starts at a pixel of its level, cut at the end of the plane."""
        factor = 2**level
        origin = (start[0] * factor, start[1] * factor)
        window = [min(self.side * factor, self.plane_shape[i] - origin[i]) for i in (0, 1)]
        shown = [max(1, round(-(-length // factor) * self._zoom)) for length in window]
        return Frame(
            (window[0], window[1]),
            (shown[0], shown[1]),
            self.grid.pad((shown[0], shown[1])),
            origin,
            self.plane_shape,
        )


@lru_cache(maxsize=64)
def _spread(length: int, side: int, overlap: int, step: int) -> tuple[int, ...]:
    """Spread tiles evenly over a length; kept, since every object of a walk asks on every plane."""
    if length <= side:
        return (0,)
    count = math.ceil((length - overlap) / (side - overlap))
    return tuple((length - side) * i // (count - 1) // step * step for i in range(count))


def _meet(start: int, length: int, view: Frame, axis: int) -> bool:
    window = view.window[axis]
    return bool(start < window.stop and window.start < start + length)


def _checked_side(tile: int, grid: InputGrid, step: int) -> int:
    if tile < _SMALLEST:
        msg = f"tile must be 'auto', None or a side of at least {_SMALLEST} pixels, got {tile}"
        raise ValueError(msg)
    return min(-(-tile // step) * step, grid.longest) if step > 1 else tile


def _checked_overlap(overlap: int | None, side: int, grid: InputGrid, step: int) -> int:
    if overlap is None:
        overlap = min(grid.overlap, side // 2 // step * step)
    if not 0 <= overlap <= side // 2:
        msg = f"overlap must be between 0 and half of the tile's side, {side // 2} pixels, got {overlap}"
        raise ValueError(msg)
    return -(-overlap // step) * step
