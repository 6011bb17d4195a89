"""Masks that are not committed yet: crops of planes, seen as one labels array, and what a commit would change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sam.cleanup import Cleanup, clean
from napari_sam.crops import Crop
from napari_sam.labels import LABELS_DTYPE, Overlap, merge_masks

if TYPE_CHECKING:
    from napari_sam.plugin.view import ImageView
    from napari_sam.stack import Plane

LabelPlane = NDArray[np.integer[Any]]


Crops = Mapping[tuple[int, "Plane"], Crop]  # (object id, plane) to mask


class DraftLabels:
    """All drafts as one array-like of labels, for a Labels layer: nothing is allocated but what is looked at.

    Parameters
    ----------
    view : ImageView
        The image; the array has the shape of its full resolution.
    get_crops : callable
        Gives the drafts of this moment. Where two overlap, the object with the smaller id is seen.
    on_paint : callable
        Told a plane and what it holds now when somebody paints.
    """

    dtype = np.dtype(LABELS_DTYPE)

    def __init__(
        self, view: ImageView, get_crops: Callable[[], Crops], on_paint: Callable[[Plane, LabelPlane], None]
    ) -> None:
        self._view = view
        self._get_crops = get_crops
        self._on_paint = on_paint
        self.shape = view.shape
        self.ndim = len(view.shape)
        self.size = int(np.prod(view.shape))

    def __getitem__(self, key: Any) -> NDArray[Any]:
        keys = _as_tuple(key, self.ndim)
        if any(isinstance(one, np.ndarray) for one in keys):
            return self._gather(keys)
        ranges = [_range(one, n) for one, n in zip(keys, self.shape, strict=True)]
        window = np.zeros([len(positions) for positions in ranges], self.dtype)
        for plane, inside in self._planes_in(ranges, {plane for _, plane in self._get_crops()}):
            rows, columns = (ranges[axis] for axis in self._view.order[-2:])
            window[inside] = self._render(plane)[np.ix_(rows, columns)]
        return window[tuple(0 if isinstance(one, int | np.integer) else slice(None) for one in keys)]

    def __setitem__(self, key: Any, value: Any) -> None:
        keys = _as_tuple(key, self.ndim)
        if any(isinstance(one, np.ndarray) for one in keys):
            self._scatter(keys, value)
            return
        ranges = [_range(one, n) for one, n in zip(keys, self.shape, strict=True)]
        window = np.zeros([len(positions) for positions in ranges], self.dtype)
        window[tuple(0 if isinstance(one, int | np.integer) else slice(None) for one in keys)] = value
        all_planes = product(*(ranges[axis] for axis in self._view.order[:-2]))
        for plane, inside in self._planes_in(ranges, all_planes):
            rows, columns = (ranges[axis] for axis in self._view.order[-2:])
            labels = self._render(plane)
            labels[np.ix_(rows, columns)] = window[inside]
            self._on_paint(plane, labels)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[...].astype(dtype or self.dtype, copy=bool(copy))

    def _render(self, plane: Plane) -> LabelPlane:
        return render(self._get_crops(), plane, self._view.plane_shape)

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
            found[here] = self._render(plane)[rows, columns]
        return found

    def _scatter(self, keys: tuple[Any, ...], value: Any) -> None:
        coordinates = np.broadcast_arrays(*keys)
        values = np.broadcast_to(value, coordinates[0].shape)
        for plane, here in _by_plane([coordinates[axis] for axis in self._view.order[:-2]], values.shape):
            rows, columns = (coordinates[axis][here] for axis in self._view.order[-2:])
            labels = self._render(plane)
            labels[rows, columns] = values[here]
            self._on_paint(plane, labels)


class Surroundings:
    """The labels that a `Segmenter` sees around the objects of a walk; what it writes there is forgotten.

    The masks of a walk come back as values and become drafts. The user's labels change on a commit only.
    """

    dtype = np.dtype(LABELS_DTYPE)

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.ndim = len(shape)
        self.look: Callable[[Plane], LabelPlane] = lambda plane: np.zeros(shape[-2:], LABELS_DTYPE)

    def __getitem__(self, plane: Plane) -> LabelPlane:
        return self.look(plane)

    def __setitem__(self, plane: Plane, labels: LabelPlane) -> None:
        pass


def render(crops: Crops, plane: Plane, shape: tuple[int, int]) -> LabelPlane:
    """Draw the objects of a plane, ``(h, w)``; where two overlap, the smaller id wins."""
    labels = np.zeros(shape, LABELS_DTYPE)
    here = {object_id: crop for (object_id, where), crop in crops.items() if where == plane}
    for object_id in sorted(here, reverse=True):
        labels[here[object_id].window][here[object_id].pixels] = object_id
    return labels


def cleaned(crops: Crops, options: Cleanup) -> dict[tuple[int, Plane], Crop]:
    """Clean every object up as a whole, through all its planes; keys stay, masks may become empty."""
    if options == Cleanup():
        return dict(crops)
    result: dict[tuple[int, Plane], Crop] = {}
    for object_id in {object_id for object_id, _ in crops}:
        own = {plane: crop for (one, plane), crop in crops.items() if one == object_id}
        shape = next(iter(own.values())).shape
        window = _window_around(own.values(), shape, margin=int(np.ceil(3 * options.smooth)))
        first = np.min([*own], axis=0).astype(int)
        extent = np.max([*own], axis=0).astype(int) - first + 1
        at = {plane: tuple(np.subtract(plane, first).astype(int)) for plane in own}
        volume = np.zeros((*extent, *(side.stop - side.start for side in window)), bool)
        for plane, crop in own.items():
            volume[at[plane]] = crop.full()[window]
        volume = clean(volume, options)
        for plane in own:
            mask = np.zeros(shape, bool)
            mask[window] = volume[at[plane]]
            result[object_id, plane] = Crop.of(mask)
    return result


def edits(
    labels: Any, crops: Crops, view: ImageView, *, overlap: Overlap = "keep"
) -> tuple[tuple[NDArray[np.intp], ...], NDArray[Any]]:
    """List what writing drafts into labels changes, as ``Labels.data_setitem`` wants it.

    Parameters
    ----------
    labels : array-like
        Of the shape of the image's full resolution; only read.
    crops : mapping
        (object id, plane) to mask. On these planes the object's old voxels are replaced; an empty mask removes them.
    view : ImageView
        The image as planes.
    overlap : {"keep", "replace"}
        What happens to voxels of other objects.

    Returns
    -------
    indices : tuple of ndarray
        One array per axis of the labels.
    values : ndarray
        The new label of each voxel.
    """
    indices: list[NDArray[np.intp]] = [np.zeros((0, len(view.shape)), np.intp)]
    values: list[NDArray[Any]] = [np.zeros(0, labels.dtype)]
    for plane in sorted({plane for _, plane in crops}):
        current = np.asarray(labels[view.index(plane)])
        masks = {one: crop for (one, where), crop in sorted(crops.items()) if where == plane}
        merged = merge_masks(current, masks, overlap=overlap)
        changed = merged != current
        indices.append(view.to_data(plane, np.argwhere(changed).astype(float)).astype(np.intp))
        values.append(merged[changed])
    return tuple(np.concatenate(indices).T), np.concatenate(values)


def _window_around(crops: Iterable[Crop], shape: tuple[int, int], *, margin: int) -> tuple[slice, slice]:
    """Rows and columns that hold all crops."""
    windows = [crop.window for crop in crops if crop] or [(slice(0, 1), slice(0, 1))]
    rows, columns = (
        slice(max(min(w[axis].start for w in windows) - margin, 0), min(max(w[axis].stop for w in windows) + margin, n))
        for axis, n in enumerate(shape)
    )
    return rows, columns


def _as_tuple(key: Any, ndim: int) -> tuple[Any, ...]:
    keys = list(key) if isinstance(key, tuple) else [key]
    at = next((i for i, one in enumerate(keys) if one is Ellipsis), None)
    if at is not None:
        keys[at : at + 1] = [slice(None)] * (ndim - len(keys) + 1)
    return tuple(keys + [slice(None)] * (ndim - len(keys)))


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
