"""Planes larger than a model's input, as overlapping tiles at several levels of detail: geometry only."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Self

from napari_sam.image import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sam.model.config import InputGrid, SamConfig, Size
    from napari_sam.stack import Pixels, Plane, Stack

TileChoice = int | Literal["auto"] | None
Extent = tuple[float, float, float, float]  # top, left, bottom, right in data pixels, the outermost pixels' centres

# Shares of a view's side. What a prompt says lies so far from the edge, or another view is chosen; a mask that comes
# nearer than this may go on behind the edge; and a tile that others could be joined to lacks its surroundings, so that
# things near its edge look different there.
_MARGIN, _EDGE, _BLURRED = 1 / 16, 1 / 32, 1 / 8
_SMALLEST = 64  # pixels; twice the coarsest stride of an encoder


@dataclass(frozen=True)
class TileGrid:
    """Where the tiles of a plane are, and through which windows prompts are decoded.

    Level 0 is the plane as it is, each further level shows it at half the size, down to one that a single view can
    show whole. Every level is covered by overlapping tiles of one size. A view is what a prompt is decoded in: a tile,
    or, where the encoder looks only at a neighbourhood, any window joined from tiles.

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
        if tile is None or (tile == "auto" and max(plane_shape) <= grid.largest_whole):
            return None
        step = grid.multiple if joined else 1
        side = _checked_side(grid.tile if isinstance(tile, str) else tile, grid, step)
        overlap = _checked_overlap(overlap, side, grid, step)
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

    def find_view(self, extent: Extent, after: Frame | None = None) -> Frame:
        """Choose the window that shows an extent best.

        Parameters
        ----------
        extent : tuple of float
            What has to be seen.
        after : Frame, optional
            A view that turned out to be too small: the next one shows more or is at least somewhere else.

        Returns
        -------
        Frame
            The most detailed view with a margin around the extent; the one of the whole plane if none has.
        """
        for level in range(self.level(after) if after else 0, self.levels):
            candidates = list(dict.fromkeys(self._candidates(level, extent)))
            if after in candidates:
                candidates = candidates[candidates.index(after) + 1 :]
            for frame in candidates:
                if self._holds(frame, extent, _MARGIN):
                    return frame
        return next(self._candidates(self.levels - 1, extent))

    def shows(self, frame: Frame, extent: Extent) -> bool:
        """Whether an object of this extent is seen whole."""
        return self._holds(frame, extent, _EDGE)

    def read(self, stack: Stack, plane: Plane, tile: int) -> Pixels:
        """Read the pixels of a tile of a plane, made fewer for a coarser level."""
        frame = self.tiles[tile]
        return stack.read_reduced(plane, frame.window, self.reduction(frame))

    def tiles_under(self, view: Frame) -> Iterator[tuple[Frame, int]]:
        """Yield the tiles that a view shows a part of, with their numbers."""
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

    @property
    def _zoom(self) -> float:
        """Model pixels per pixel of level 0."""
        return 1.0 if self.joined else max(self.grid.input_size((self.side, self.side))) / self.side

    def _candidates(self, level: int, extent: Extent) -> Iterator[Frame]:
        """Yield views of a level that may show an extent, the cheapest first."""
        centre = [(extent[axis] + extent[axis + 2] + 1) / 2 / 2**level for axis in (0, 1)]
        top, left = (
            min(self._starts(level, axis), key=lambda start, at=at: abs(start + self.side / 2 - at))  # type: ignore[misc]
            for axis, at in enumerate(centre)
        )
        yield self._frame(level, (top, left))
        if self.joined:
            step = max(self.grid.multiple, self.side // 16 // self.grid.multiple * self.grid.multiple)
            ends = [max(0, self._padded(level, axis) - self.side) for axis in (0, 1)]
            top, left = (
                min(max(round((at - self.side / 2) / step) * step, 0), end)
                for at, end in zip(centre, ends, strict=True)
            )
            yield self._frame(level, (top, left))

    def _holds(self, frame: Frame, extent: Extent, margin: float) -> bool:
        """Whether a frame shows an extent with a margin; the border of the plane needs none."""
        if self.joined and self._is_tile(frame):
            margin = max(margin, _BLURRED)
        for axis in (0, 1):
            start, size, end = frame.origin[axis], frame.original_size[axis], self.plane_shape[axis]
            least = start + (margin * size if start > 0 else -math.inf)
            most = start + size - 1 - (margin * size if start + size < end else -math.inf)
            if not (least <= extent[axis] and extent[axis + 2] <= most):
                return False
        return True

    def _is_tile(self, frame: Frame) -> bool:
        level = self.level(frame)
        starts = (frame.origin[axis] // 2**level in self._starts(level, axis) for axis in (0, 1))
        return all(starts)

    def _starts(self, level: int, axis: int) -> list[int]:
        """Where the tiles of a level begin along an axis, evenly spread."""
        length = self._padded(level, axis)
        if length <= self.side:
            return [0]
        count = math.ceil((length - self.overlap) / (self.side - self.overlap))
        step = self.grid.multiple if self.joined else 1
        last = length - self.side
        return [last * i // (count - 1) // step * step for i in range(count)]

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
