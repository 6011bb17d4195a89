"""Objects written into labels and taken back out of them, plane by plane and in a thread. No Qt, no napari."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.crops import Crop, hull
from napari_sam.labels import merge_masks
from napari_sam.plugin.drafts import cleaned

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from numpy.typing import NDArray

    from napari_sam.cleanup import Cleanup
    from napari_sam.crops import Window
    from napari_sam.labels import Overlap
    from napari_sam.plugin.drafts import Crops
    from napari_sam.plugin.view import ImageView
    from napari_sam.stack import Plane


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A window of a plane of the labels before and after something was written there.

    Attributes
    ----------
    index : tuple of int or slice
        Of the window, in the labels.
    before, after : ndarray
        ``(h, w)``, of the smallest dtype that holds them.
    """

    index: tuple[int | slice, ...]
    before: NDArray[Any]
    after: NDArray[Any]

    def write(self, labels: Any) -> None:
        """Write it into the labels; a voxel that somebody changed meanwhile stays as it is."""
        _turn(labels, self.index, self.before, self.after)

    def take_back(self, labels: Any) -> None:
        """Undo `write`; a voxel that somebody changed meanwhile stays as it is."""
        _turn(labels, self.index, self.after, self.before)


class Writing:
    """One commit on its way into labels. Its methods are jobs, to be done in the order in which they are asked for.

    Parameters
    ----------
    labels : array-like
        numpy, zarr or anything that takes ``labels[index] = array``; of the shape of the image's full resolution.
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
    """

    def __init__(
        self,
        labels: Any,
        crops: Crops,
        view: ImageView,
        *,
        cleanup: Cleanup,
        overlap: Overlap = "keep",
        fresh: Collection[int] = (),
    ) -> None:
        self.is_done = False
        self.crops = crops
        self._labels, self._view = labels, view
        self._cleanup, self._overlap, self._fresh = cleanup, overlap, fresh
        self._patches: list[Patch] = []

    def write(self) -> Iterator[None]:
        """Write the objects. What is written when an error comes is taken back."""
        try:
            for patch in patches(self._labels, self._cleaned(), self._view, overlap=self._overlap, fresh=self._fresh):
                self._patches.append(patch)
                patch.write(self._labels)
        except BaseException:
            self._take_back()
            raise
        self.is_done = True
        yield

    def take_back(self) -> Iterator[None]:
        """Make the labels what they were before."""
        self._take_back()
        yield

    def write_again(self) -> Iterator[None]:
        """Write what was taken back."""
        for patch in self._patches:
            patch.write(self._labels)
        yield

    def _cleaned(self) -> Crops:
        """Clean up what is there; a plane without the object stays without it."""
        return {**self.crops, **cleaned({key: crop for key, crop in self.crops.items() if crop}, self._cleanup)}

    def _take_back(self) -> None:
        for patch in reversed(self._patches):
            patch.take_back(self._labels)


def patches(
    labels: Any, crops: Crops, view: ImageView, *, overlap: Overlap = "keep", fresh: Collection[int] = ()
) -> Iterator[Patch]:
    """List what writing masks into labels changes, window by window; see `Writing`. Nothing is written."""
    planes: dict[Plane, dict[int, Crop]] = defaultdict(dict)
    for object_id, plane in sorted(crops):
        planes[plane][object_id] = crops[object_id, plane]
    for plane, own in sorted(planes.items()):
        window = _reach(labels, own, view, plane, fresh)
        index = view.index(plane, window)
        current = np.asarray(labels[index])
        merged = merge_masks(current, {one: Crop.of(crop.within(window)) for one, crop in own.items()}, overlap=overlap)
        if (merged != current).any():
            yield Patch(index, _narrow(current), _narrow(merged))


def _reach(labels: Any, own: Mapping[int, Crop], view: ImageView, plane: Plane, fresh: Collection[int]) -> Window:
    """Window of a plane that holds what objects have there, before and after."""
    windows = [crop.window for crop in own.values() if crop]
    if searched := [one for one in own if one not in fresh]:
        current = np.asarray(labels[view.index(plane)])
        windows += [found.window for one in searched if (found := Crop.of(current == one))]
    return hull(windows or [(slice(0, 0), slice(0, 0))])


def _turn(labels: Any, index: tuple[int | slice, ...], old: NDArray[Any], new: NDArray[Any]) -> None:
    current = np.array(labels[index])
    turned = (current == old) & (old != new)
    if turned.any():
        current[turned] = new[turned]
        labels[index] = current


def _narrow(values: NDArray[Any]) -> NDArray[Any]:
    """Copy to the smallest dtype: a hundred steps are kept."""
    return values.copy() if values.min(initial=0) < 0 else values.astype(np.min_scalar_type(values.max(initial=0)))
