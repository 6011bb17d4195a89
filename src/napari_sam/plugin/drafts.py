"""Masks that are not committed yet: crops of planes, seen as one labels array."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sam.cleanup import Cleanup, clean
from napari_sam.crops import Crop, Window, hull, widened
from napari_sam.labels import LABELS_DTYPE
from napari_sam.orientation import ArrayLike, whole_index

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from napari_sam.plugin.view import ImageView
    from napari_sam.stack import Plane

LabelPlane = NDArray[np.integer[Any]]

Crops = Mapping[tuple[int, "Plane"], Crop]  # (object id, plane) to mask
Look = Callable[["Plane", Window], LabelPlane]  # a window of a plane of labels


class DraftLabels(ArrayLike):
    """All drafts as one array-like of labels, for a Labels layer: nothing is allocated but what is looked at.

    Parameters
    ----------
    view : ImageView
        The image; the array has the shape of its full resolution.
    get_crops : callable
        Gives the drafts of this moment. Where two overlap, the object with the smaller id is seen.
    on_paint : callable
        Told, when somebody paints, a plane, what a window of it holds now, and the window's first row and column.
    dtype : dtype, optional
        napari shows 16 bits as they are, and computes on every pixel of the plane where there are more.
    """

    def __init__(
        self,
        view: ImageView,
        get_crops: Callable[[], Crops],
        on_paint: Callable[[Plane, LabelPlane, tuple[int, int]], None],
        *,
        dtype: DTypeLike = np.uint16,
    ) -> None:
        self.dtype = np.dtype(dtype)
        self._view = view
        self._get_crops = get_crops
        self._on_paint = on_paint
        self.shape = view.shape
        self.ndim = len(view.shape)
        self.size = int(np.prod(view.shape))

    def __getitem__(self, key: Any) -> NDArray[Any]:
        keys = whole_index(key, self.ndim)
        if any(isinstance(one, np.ndarray) for one in keys):
            return self._gather(keys)
        ranges = [_range(one, n) for one, n in zip(keys, self.shape, strict=True)]
        found = np.zeros([len(positions) for positions in ranges], self.dtype)
        window, steps = self._window(ranges)
        crops = self._get_crops()
        for plane, inside in self._planes_in(ranges, {plane for _, plane in crops}):
            if steps == (1, 1):
                draw(found[inside], crops, plane, window)
            else:
                found[inside] = self._render(plane, window)[:: steps[0], :: steps[1]]
        return found[tuple(0 if isinstance(one, int | np.integer) else slice(None) for one in keys)]

    def __setitem__(self, key: Any, value: Any) -> None:
        keys = whole_index(key, self.ndim)
        if any(isinstance(one, np.ndarray) for one in keys):
            self._scatter(keys, value)
            return
        ranges = [_range(one, n) for one, n in zip(keys, self.shape, strict=True)]
        painted = np.zeros([len(positions) for positions in ranges], self.dtype)
        painted[tuple(0 if isinstance(one, int | np.integer) else slice(None) for one in keys)] = value
        window, steps = self._window(ranges)
        all_planes = product(*(ranges[axis] for axis in self._view.order[:-2]))
        for plane, inside in self._planes_in(ranges, all_planes):
            labels = self._render(plane, window)
            labels[:: steps[0], :: steps[1]] = painted[inside]
            self._on_paint(plane, labels, _corner(window))

    def __deepcopy__(self, memo: dict[int, Any]) -> NDArray[Any]:
        """Give the labels of this moment: napari duplicates a layer so, and a copy has no part in the annotation."""
        return np.array(self)

    def _render(self, plane: Plane, window: Window) -> LabelPlane:
        labels = np.zeros(_size(window), self.dtype)
        draw(labels, self._get_crops(), plane, window)
        return labels

    def _window(self, ranges: Sequence[range]) -> tuple[Window, tuple[int, int]]:
        """Window of the planes that holds some ranges, and their steps in it."""
        rows, columns = (ranges[axis] for axis in self._view.order[-2:])
        return (_span(rows), _span(columns)), (rows.step, columns.step)

    def _planes_in(
        self, ranges: Sequence[range], planes: Iterable[Plane]
    ) -> Iterator[tuple[Plane, tuple[int | slice, ...]]]:
        """Those of some planes that a window holds, with their index in the window."""
        leading = [ranges[axis] for axis in self._view.order[:-2]]
        for plane in planes:
            if all(position in positions for position, positions in zip(plane, leading, strict=True)):
                inside = [positions.index(position) for position, positions in zip(plane, leading, strict=True)]
                yield plane, self._view.index(tuple(inside))

    def _gather(self, keys: tuple[Any, ...]) -> NDArray[Any]:
        coordinates = np.broadcast_arrays(*keys)
        found = np.zeros(coordinates[0].shape, self.dtype)
        for plane, here in _by_plane([coordinates[axis] for axis in self._view.order[:-2]], found.shape):
            rows, columns = (coordinates[axis][here] for axis in self._view.order[-2:])
            window = _span([rows.min(), rows.max()]), _span([columns.min(), columns.max()])
            found[here] = self._render(plane, window)[rows - window[0].start, columns - window[1].start]
        return found

    def _scatter(self, keys: tuple[Any, ...], value: Any) -> None:
        coordinates = np.broadcast_arrays(*keys)
        values = np.broadcast_to(value, coordinates[0].shape)
        for plane, here in _by_plane([coordinates[axis] for axis in self._view.order[:-2]], values.shape):
            rows, columns = (coordinates[axis][here] for axis in self._view.order[-2:])
            window = _span([rows.min(), rows.max()]), _span([columns.min(), columns.max()])
            labels = self._render(plane, window)
            labels[rows - window[0].start, columns - window[1].start] = values[here]
            self._on_paint(plane, labels, _corner(window))


class Surroundings:
    """The labels that a `Segmenter` sees around the objects of a walk; what it writes there is forgotten.

    The masks of a walk come back as values and become drafts. The user's labels change on a commit only.
    """

    dtype = np.dtype(LABELS_DTYPE)

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.ndim = len(shape)
        self.look: Look = lambda plane, window: np.zeros(_size(window), LABELS_DTYPE)

    def __getitem__(self, index: tuple[Any, ...]) -> LabelPlane:
        """Give a plane, or a window of it."""
        height, width = self.shape[-2:]
        plane, window = index[: self.ndim - 2], index[self.ndim - 2 :]
        return self.look(plane, window or (slice(0, height), slice(0, width)))

    def __setitem__(self, index: tuple[Any, ...], labels: LabelPlane) -> None:
        pass


def render(crops: Crops, plane: Plane, shape: tuple[int, int]) -> LabelPlane:
    """Draw the objects of a plane, ``(h, w)``; where two overlap, the smaller id wins."""
    labels = np.zeros(shape, LABELS_DTYPE)
    draw(labels, crops, plane, (slice(0, shape[0]), slice(0, shape[1])))
    return labels


def draw(labels: LabelPlane, crops: Crops, plane: Plane, window: Window) -> None:
    """Draw the objects of a plane into the labels of a window of it, in place; see `render`."""
    here = {object_id: crop for (object_id, where), crop in crops.items() if where == plane}
    for object_id in sorted(here, reverse=True):
        here[object_id].draw(labels, window, object_id)


def cleaned(crops: Crops, options: Cleanup) -> dict[tuple[int, Plane], Crop]:
    """Clean every object up as a whole, through all its planes; keys stay, masks may become empty."""
    if options == Cleanup():
        return dict(crops)
    result: dict[tuple[int, Plane], Crop] = {}
    for object_id in {object_id for object_id, _ in crops}:
        own = {plane: crop for (one, plane), crop in crops.items() if one == object_id}
        shape = next(iter(own.values())).shape
        window = hull([crop.window for crop in own.values() if crop] or [(slice(0, 1), slice(0, 1))])
        window = widened(window, shape, int(np.ceil(3 * options.smooth)))
        first = np.min([*own], axis=0).astype(int)
        extent = np.max([*own], axis=0).astype(int) - first + 1
        at = {plane: tuple(np.subtract(plane, first).astype(int)) for plane in own}
        volume = np.zeros((*extent, *_size(window)), bool)
        for plane, crop in own.items():
            volume[at[plane]] = crop.within(window)
        volume = clean(volume, options)
        for plane in own:
            result[object_id, plane] = Crop.of(volume[at[plane]]).placed(_corner(window), shape)
    return result


def _size(window: Window) -> tuple[int, int]:
    rows, columns = window
    return rows.stop - rows.start, columns.stop - columns.start


def _corner(window: Window) -> tuple[int, int]:
    return window[0].start, window[1].start


def _span(positions: Sequence[int]) -> slice:
    """From the lowest to behind the highest; these are the ends, in either order."""
    ends = sorted((int(positions[0]), int(positions[-1]))) if positions else (0, -1)
    return slice(ends[0], ends[1] + 1)


def _range(key: Any, length: int) -> range:
    if isinstance(key, slice):
        return range(length)[key]
    return range(length)[int(key) : int(key) + 1] if key >= 0 else range(length + int(key), length + int(key) + 1)


def _by_plane(leading: Sequence[NDArray[Any]], shape: tuple[int, ...]) -> Iterator[tuple[Plane, NDArray[np.bool_]]]:
    """Group index arrays by plane."""
    for plane in {tuple(int(i) for i in one) for one in zip(*(axis.ravel() for axis in leading), strict=True)} or {()}:
        here = np.ones(shape, bool)
        for axis, position in zip(leading, plane, strict=True):
            here &= axis == position
        yield plane, here
