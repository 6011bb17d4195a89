"""Where on a plane to look, and how closely: windows for models whose encoder sees a neighbourhood only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

from napari_sam.extents import height, is_inside, longest, union, width
from napari_sam.image import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sam.extents import Extent
    from napari_sam.model.config import SamConfig, Size
    from napari_sam.tiles import TileGrid

# All in model pixels. On training images masks decoded in windows like these are as good as those decoded on the whole
# plane, see tools/compare_windows.py; walks through neurites want more around the object than a click does.
_LEAST, _ROOM, _AROUND = 256, 128, 2.0  # side of a window: at least, and beyond so many times the object
_SMALL = 16  # a smaller object is looked at more closely, see `Windows.closest`
_FITTING = 7 / 8  # share of the largest window that an object may fill
_STEP = 64  # sides are multiples of it, so that windows are of few sizes
_EDGE = 1 / 32  # share of a window's side: a mask that comes nearer to its edge may go on behind it


@dataclass(frozen=True)
class Windows:
    """The windows of a plane through which prompts are decoded.

    What is stored of the plane has one zoom, or is tiled at several levels of which each shows it at half the size of
    the one before; a window of these is cut out of it. Windows of negative levels show the plane at twice the zoom,
    or four times; nothing of them is stored, they are encoded when they are looked through.

    Attributes
    ----------
    plane_shape : tuple of int
        ``(h, w)`` of the plane.
    config : SamConfig
        Of the model.
    tiles : TileGrid or None
        None: the plane is encoded whole.
    """

    plane_shape: Size
    config: SamConfig
    tiles: TileGrid | None

    @classmethod
    def choose(cls, plane_shape: Size, config: SamConfig, tiles: TileGrid | None) -> Self | None:
        """Return the windows of a plane, or None if it is only seen whole or tile by tile.

        That is so if the encoder looks everywhere, or if the plane had to be shrunk to a size at which cells do not
        begin at whole pixels.
        """
        shrunk = tiles is None and max(plane_shape) > config.grid.longest
        return cls(plane_shape, config, tiles) if config.image_encoder.is_local and not shrunk else None

    @cached_property
    def zoom(self) -> int:
        """Model pixels per pixel at level 0."""
        return 1 if self.tiles else max(self._whole.input_size) // max(self.plane_shape)

    @property
    def overlap(self) -> int:
        """What neighbouring tiles share at least; 0 if there are none."""
        return self.tiles.overlap if self.tiles else 0

    def level(self, frame: Frame) -> int:
        """How often the zoom of level 0 is halved in a frame; negative if it is doubled."""
        return round(math.log2(self.zoom * max(frame.original_size) / max(frame.input_size)))

    def first_view(self, extent: Extent, *, sized: bool) -> Frame:
        """Choose the window in which to look for an object.

        Parameters
        ----------
        extent : tuple of float
            What has to be seen.
        sized : bool
            Whether this is the object, or just clicks on an object of unknown size.
        """
        wanted = _AROUND * longest(extent) if sized else longest(extent)
        return self._around(extent, wanted, self.closest(extent) if sized else 0)

    def next_view(self, frame: Frame, said: Extent, seen: Extent, *, closer: bool) -> Frame | None:
        """Choose where to look next, or return None if a window will do.

        Parameters
        ----------
        frame : Frame
            Of the window.
        said : tuple of float
            Extent of the prompt.
        seen : tuple of float
            Extent of the mask that was found.
        closer : bool
            Whether it may be looked at more closely.
        """
        both = union(said, seen)
        if not self.shows(frame, both):
            wanted = max(2 * max(frame.original_size), _AROUND * longest(both))
            wider = self._around(both, wanted, self.level(frame))
            if wider == frame:
                wider = self._around(both, wanted, self.level(frame) + 1)
            return None if wider == frame else wider
        if not closer:
            return None
        nearer = self._around(both, _AROUND * longest(both), self.closest(seen))
        return nearer if self.level(nearer) < self.level(frame) else None

    def closest(self, extent: Extent) -> int:
        """Return the level at which an object is shown at `_SMALL` pixels or more, at most 0."""
        size = math.sqrt(height(extent) * width(extent)) * self.zoom
        level = 0
        while size * 2**-level < _SMALL and self._scale(level) < max(self.config.grid.zooms):
            level -= 1
        return level

    def shows(self, frame: Frame, extent: Extent) -> bool:
        """Whether an object of this extent is seen whole."""
        return is_inside(extent, frame, self.plane_shape, _EDGE)

    def tiles_under(self, view: Frame) -> Iterator[tuple[Frame, int]]:
        """Yield what is stored under a window, with its number: the whole plane, or tiles."""
        if self.tiles is None:
            yield self._whole, 0
        else:
            yield from self.tiles.tiles_under(view)

    @cached_property
    def _whole(self) -> Frame:
        return Frame.for_plane(self.plane_shape, self.config.grid)

    @property
    def _levels(self) -> int:
        return self.tiles.levels if self.tiles else 1

    @property
    def _largest(self) -> int:
        """Side of the largest window in model pixels."""
        return max(self.tiles.side, _LEAST) if self.tiles else max(self._whole.padded_size)

    def _around(self, extent: Extent, wanted: float, level: int) -> Frame:
        """Return a window of a level around an extent, or of a coarser one if it does not fit.

        ``wanted`` is its side in pixels; it gets more if that is very little, and less where windows are not so large.
        """
        while level < self._levels - 1 and longest(extent) * self._scale(level) > _FITTING * self._largest:
            level += 1
        side = min(math.ceil(max(_LEAST, wanted * self._scale(level) + _ROOM) / _STEP) * _STEP, self._largest)
        level = min(level, self._levels - 1)
        settled = self._frame(extent, side, level, settled=True)
        if self.shows(settled, extent):
            return settled
        centred = self._frame(extent, side, level, settled=False)
        return centred if self.shows(centred, extent) else settled

    def _scale(self, level: int) -> float:
        return self.zoom * 2.0**-level

    def _frame(self, extent: Extent, side: int, level: int, *, settled: bool) -> Frame:
        """Return the window of a level with its middle near that of an extent, cut at the end of the plane.

        ``settled`` moves it to where it lies across fewer tiles.
        """
        multiple = self.config.grid.multiple
        up, down = (self.zoom * 2 ** max(0, -level), 2 ** max(0, level))  # model pixels from so many of the plane
        origin, window, shown = [], [], []
        for axis in (0, 1):
            length = -(-self.plane_shape[axis] // down) * up  # of the plane in model pixels
            end = max(0, -(-length // multiple) * multiple - side)
            middle = (extent[axis] + extent[axis + 2] + 1) / 2 * up / down
            start = min(max(round((middle - side / 2) / multiple) * multiple, 0), end)
            if self.tiles and settled and level >= 0:
                start = self.tiles.settle(start, side, level=level, axis=axis)
            origin.append(start * down // up)
            window.append(min(side * down // up, self.plane_shape[axis] - origin[axis]))
            shown.append(-(-window[axis] // down) * up)
        if (window[0], window[1]) == self.plane_shape and level == 0 and self.tiles is None:
            return self._whole
        size = (shown[0], shown[1])
        return Frame((window[0], window[1]), size, self.config.grid.pad(size), (origin[0], origin[1]), self.plane_shape)
