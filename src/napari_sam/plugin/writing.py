"""Objects written into labels and taken back out of them, plane by plane and in a thread. No Qt, no napari."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.crops import Crop, hull
from napari_sam.labels import merge_masks
from napari_sam.plugin.drafts import cleaned
from napari_sam.plugin.numbering import TakenError, strangers
from napari_sam.stack import chunk_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam.cleanup import Cleanup
    from napari_sam.crops import Window
    from napari_sam.labels import Overlap
    from napari_sam.plugin.drafts import Crops
    from napari_sam.plugin.view import ImageView
    from napari_sam.stack import Plane


_AT_ONCE = 2**26  # voxels of a block: 128 MiB of 16 bits


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A window of a plane of the labels before and after something was written there.

    Attributes
    ----------
    index : tuple of int or slice
        Of the window, in the block.
    before, after : ndarray
        ``(h, w)``, of the smallest dtype that holds them.
    """

    index: tuple[int | slice, ...]
    before: NDArray[Any]
    after: NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Patches of planes that share chunks of the labels: these are read and written once for all of them.

    Attributes
    ----------
    index : tuple of slice
        In the labels.
    patches : tuple of Patch
        Where something changes.
    """

    index: tuple[int | slice, ...]
    patches: tuple[Patch, ...]

    def write(self, labels: Any) -> None:
        """Write it into the labels; a voxel that somebody changed meanwhile stays as it is."""
        self._turn(labels, [(patch.index, patch.before, patch.after) for patch in self.patches])

    def take_back(self, labels: Any) -> None:
        """Undo `write`; a voxel that somebody changed meanwhile stays as it is."""
        self._turn(labels, [(patch.index, patch.after, patch.before) for patch in self.patches])

    def _turn(self, labels: Any, turns: list[tuple[tuple[int | slice, ...], NDArray[Any], NDArray[Any]]]) -> None:
        block, is_turned = np.array(labels[self.index]), False
        for index, old, new in turns:
            turned = (block[index] == old) & (old != new)
            block[index][turned] = new[turned]
            is_turned = is_turned or bool(turned.any())
        if is_turned:
            labels[self.index] = block


class Writing:
    """One commit on its way into labels. Its methods are jobs, to be done in the order in which they are asked for.

    Parameters
    ----------
    get_labels : callable
        Gives the labels of the moment, which a layer may have exchanged for another array: numpy, zarr or anything that
        takes ``labels[index] = array``, of the shape of the image's full resolution.
    crops : mapping
        (object id, plane) to mask. On these planes the object's old voxels are replaced; an empty mask removes them.
    view : ImageView
        The image as planes.
    cleanup : Cleanup
        What is done to the masks before.
    overlap : {"keep", "replace"}
        What happens to voxels of other objects.
    fresh : collection of int
        Objects that have no old voxels: no plane is searched for them.
    unsure : collection of int
        Objects whose numbers may be those of others; these keep their voxels.
    """

    def __init__(
        self,
        get_labels: Callable[[], Any],
        crops: Crops,
        view: ImageView,
        *,
        cleanup: Cleanup,
        overlap: Overlap = "keep",
        fresh: Collection[int] = (),
        unsure: Collection[int] = (),
    ) -> None:
        self.is_done = False
        self.crops = crops
        self._get_labels, self._view = get_labels, view
        self._cleanup, self._overlap, self._fresh, self._unsure = cleanup, overlap, fresh, unsure
        self._blocks: list[Block] = []

    def write(self) -> Iterator[None]:
        """Write the objects. What is written when an error comes is taken back.

        Raises
        ------
        TakenError
            If the labels hold other objects with the numbers of some.
        """
        labels = self._get_labels()
        if taken := strangers(labels, self.crops, self._view, self._unsure):
            raise TakenError(taken)
        try:
            for block in blocks(labels, self._cleaned(), self._view, overlap=self._overlap, fresh=self._fresh):
                self._blocks.append(block)
                block.write(labels)
        except BaseException:
            self._take_back(labels)
            raise
        self.is_done = True
        yield

    def take_back(self) -> Iterator[None]:
        """Make the labels what they were before."""
        self._take_back(self._get_labels())
        yield

    def write_again(self) -> Iterator[None]:
        """Write what was taken back."""
        labels = self._get_labels()
        for block in self._blocks:
            block.write(labels)
        yield

    def _cleaned(self) -> Crops:
        """Clean up what is there; a plane without the object stays without it."""
        masks = {key: crop for key, crop in self.crops.items() if crop}
        clean = cleaned(masks, self._cleanup)
        if masks and not any(clean.values()):
            msg = "the clean-up leaves nothing to commit: lower Min. size or Smooth under More, then commit again"
            raise ValueError(msg)
        return {**self.crops, **clean}

    def _take_back(self, labels: Any) -> None:
        for block in reversed(self._blocks):
            block.take_back(labels)


def blocks(
    labels: Any, crops: Crops, view: ImageView, *, overlap: Overlap = "keep", fresh: Collection[int] = ()
) -> Iterator[Block]:
    """List what writing masks into labels changes, block by block; see `Writing`. Nothing is written."""
    planes: dict[Plane, dict[int, Crop]] = defaultdict(dict)
    for object_id, plane in sorted(crops):
        planes[plane][object_id] = crops[object_id, plane]
    for together in _sharing_chunks(labels, sorted(planes), view):
        windows = _reach(labels, {plane: planes[plane] for plane in together}, view, fresh)
        own = [(plane, window, planes[plane]) for plane, window in windows.items()]
        count = max(1, _AT_ONCE // _area(windows.values()))
        for start in range(0, len(own), count):
            block = _block(labels, own[start : start + count], view, overlap)
            if block.patches:
                yield block


def _sharing_chunks(labels: Any, planes: Sequence[Plane], view: ImageView) -> Iterator[list[Plane]]:
    """Gather planes that lie in the same chunks; each for itself where the labels are in memory."""
    depths = [chunk_shape(labels)[axis] for axis in view.order[:-2]]
    gathered: dict[Plane, list[Plane]] = defaultdict(list)
    for plane in planes:
        gathered[tuple(position // depth for position, depth in zip(plane, depths, strict=True))].append(plane)
    yield from gathered.values()


def _reach(
    labels: Any, own: Mapping[Plane, Mapping[int, Crop]], view: ImageView, fresh: Collection[int]
) -> dict[Plane, Window]:
    """Windows that hold what objects have on planes, before and after; no plane where they have nothing."""
    windows = {plane: [crop.window for crop in crops.values() if crop] for plane, crops in own.items()}
    if {one for crops in own.values() for one in crops}.difference(fresh):
        span = _span(own)
        for corner, found in _tiles(labels, span, view):
            for plane, crops in own.items():
                here = found[_from_corner(plane, span)]
                old = [Crop.of(here == one) for one in crops if one not in fresh]
                windows[plane] += [crop.placed(corner, view.plane_shape).window for crop in old if crop]
    return {plane: hull(some) for plane, some in windows.items() if some}


def _tiles(labels: Any, span: tuple[slice, ...], view: ImageView) -> Iterator[tuple[tuple[int, int], NDArray[Any]]]:
    """Read planes tile by tile along the borders of chunks, each with its first row and column."""
    count = int(np.prod([part.stop - part.start for part in span]))
    longest = max(int((_AT_ONCE / count) ** 0.5), 1)
    height, width = view.plane_shape
    down, across = (max(chunk, longest // chunk * chunk) for chunk in (chunk_shape(labels)[i] for i in view.order[-2:]))
    for top, left in product(range(0, height, down), range(0, width, across)):
        window = slice(top, min(top + down, height)), slice(left, min(left + across, width))
        yield (top, left), np.asarray(labels[view.index(span, window)]).transpose(view.order)


def _block(
    labels: Any, own: Sequence[tuple[Plane, Window, Mapping[int, Crop]]], view: ImageView, overlap: Overlap
) -> Block:
    """Read the labels around planes once, and find what changes on each."""
    span, around = _span([plane for plane, _, _ in own]), hull([window for _, window, _ in own])
    index, patches = view.index(span, around), []
    current = np.asarray(labels[index])
    for plane, window, crops in own:
        masks = {one: Crop.of(crop.within(window)) for one, crop in crops.items()}
        place = view.index(_from_corner(plane, span), _from_corner(window, around))
        merged = merge_masks(current[place], masks, overlap=overlap)
        if (merged != current[place]).any():
            patches.append(Patch(place, _narrow(current[place]), _narrow(merged)))
    return Block(index, tuple(patches))


def _span(planes: Collection[Plane]) -> tuple[slice, ...]:
    return tuple(slice(min(positions), max(positions) + 1) for positions in zip(*planes, strict=True))


def _from_corner(where: Iterable[Any], around: Iterable[slice]) -> tuple[Any, ...]:
    """Count positions or slices from where others begin."""
    return tuple(
        slice(one.start - other.start, one.stop - other.start) if isinstance(one, slice) else one - other.start
        for one, other in zip(where, around, strict=True)
    )


def _area(windows: Collection[Window]) -> int:
    rows, columns = hull(list(windows)) if windows else (slice(0, 1), slice(0, 1))
    return (rows.stop - rows.start) * (columns.stop - columns.start)


def _narrow(values: NDArray[Any]) -> NDArray[Any]:
    """Copy to the smallest dtype: a hundred steps are kept."""
    return values.copy() if values.min(initial=0) < 0 else values.astype(np.min_scalar_type(values.max(initial=0)))
