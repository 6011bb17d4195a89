"""The Labels layer that commits go to, and what is needed to take a commit back. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.cleanup import Cleanup
from napari_sam.crops import Crop
from napari_sam.labels import check_ids
from napari_sam.plugin.drafts import cleaned, edits, render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from napari.layers import Labels
    from numpy.typing import NDArray

    from napari_sam.labels import Overlap
    from napari_sam.plugin.drafts import Crops, LabelPlane
    from napari_sam.plugin.session import Commit
    from napari_sam.plugin.stage import Away
    from napari_sam.plugin.view import ImageView
    from napari_sam.stack import Plane

_WITNESSES = 3  # voxels by which an undo is recognised: the labels may be on disk, and are looked at on each slice


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A commit as it was written.

    Attributes
    ----------
    commit : Commit
        The objects.
    away : Away
        Their points and shapes.
    written : mapping
        Object id to the planes that it was written on, and those before it.
    witnesses : tuple of ndarray
        Indices of a few voxels that were changed.
    before : ndarray
        Their labels before.
    """

    commit: Commit
    away: Away
    written: Mapping[int, frozenset[Plane]]
    witnesses: tuple[NDArray[np.intp], ...]
    before: NDArray[Any]


class Result:
    """Where committed objects are.

    Parameters
    ----------
    on_undone : callable
        Told an entry whose voxels are again what they were, because somebody undid it in the Labels layer.
    """

    def __init__(self, on_undone: Callable[[Entry], None]) -> None:
        self.labels: Labels | None = None
        self.largest_id = 0  # in the labels; found by a job
        self._searched: Labels | None = None  # where nothing is above the largest id
        self.cleanup = Cleanup()
        self.overlap: Overlap = "keep"
        self.entries: tuple[Entry, ...] = ()
        self._on_undone = on_undone
        self._was_touched = False

    def choose(self, labels: Labels | None, *, is_empty: bool = False) -> None:
        """Commit to another layer from now on, of which may be known that it is empty; earlier commits stay."""
        if self.labels is not None:
            self.labels.events.set_data.disconnect(self._on_set_data)
        self.labels, self.largest_id, self.entries = labels, 0, ()
        self._searched = labels if is_empty else None
        if labels is not None:
            labels.events.set_data.connect(self._on_set_data)

    def write(self, crops: Crops, view: ImageView, commit: Commit, away: Away) -> Entry | None:
        """Write drafts as one step of the undo history.

        Other objects keep their voxels unless `overlap` says otherwise and the layer does not preserve its labels.
        Voxels that an earlier commit of the same objects wrote, and this one does not, become background.

        Parameters
        ----------
        crops : mapping
            (object id, plane) to mask.
        view : ImageView
            The image as planes.
        commit, away
            What has to come back when this is undone.

        Returns
        -------
        Entry or None
            None if there is no layer.
        """
        labels = self.labels
        if labels is None:
            return None
        written = {one: frozenset(plane for who, plane in crops if who == one) for one in commit.object_ids}
        nothing = Crop(view.plane_shape, 0, 0, np.zeros((0, 0), bool))
        left = {(one, plane): nothing for one in written for plane in self._planes_of(one) - written[one]}
        overlap: Overlap = "keep" if labels.preserve_labels else self.overlap
        known = self.largest_id if self._searched is labels else np.inf
        fresh = {one for one in written if one > known and self.entry_of(one) is None}
        masks = {**cleaned(crops, self.cleanup), **left}
        indices, values = edits(labels.data, masks, view, overlap=overlap, fresh=fresh)
        count = len(values)
        chosen = np.unique(np.linspace(0, max(count - 1, 0), min(count, _WITNESSES)).astype(int))
        witnesses = tuple(axis[chosen] for axis in indices)
        before = _at(labels.data, witnesses)
        if count:
            _set_items(labels, indices, values)
        entry = Entry(commit, away, written, witnesses, before)
        self.entries += (entry,)
        return entry

    def check_holds(self, object_id: int) -> None:
        """Refuse an id that the layer's data cannot hold.

        Raises
        ------
        ValueError
            If it is too large for their data type.
        """
        if self.labels is not None:
            check_ids(self.labels.data, [object_id])

    def selected(self, view: ImageView, plane: Plane) -> NDArray[np.bool_]:
        """Where the layer's selected label is on a plane, ``(h, w)``."""
        if self.labels is None:
            return np.zeros(view.plane_shape, bool)
        return np.asarray(np.asarray(self.labels.data[view.index(plane)]) == self.labels.selected_label)

    def around(self, crops: Crops, view: ImageView) -> Callable[[Plane], LabelPlane]:
        """Make a function that gives the labels of a plane, with some drafts over them; a thread may call it."""
        data = None if self.labels is None else self.labels.data

        def look(plane: Plane) -> LabelPlane:
            drafted = render(crops, plane, view.plane_shape)
            committed = 0 if data is None else np.asarray(data[view.index(plane)])
            return np.where(drafted > 0, drafted, committed).astype(drafted.dtype)

        return look

    def undo(self, entry: Entry) -> bool:
        """Undo the last step in the Labels layer, which is this commit unless somebody painted after it.

        Returns
        -------
        bool
            Whether anything changed; a layer that does not know the step any more changes nothing.
        """
        if not entry.before.size:
            self.entries = tuple(one for one in self.entries if one is not entry)
            self._on_undone(entry)
            return True
        self._was_touched = False
        if self.labels is not None:
            self.labels.undo()
        return self._was_touched

    def redo(self, entry: Entry) -> bool:
        """Write again what `undo` took back; whether the layer still knew it."""
        self._was_touched = not entry.before.size
        if self.labels is not None and entry.before.size:
            self.labels.redo()
        if self._was_touched:
            self.entries += (entry,)
        return self._was_touched

    def entry_of(self, object_id: int) -> Entry | None:
        """Find the latest commit that wrote an object."""
        return next((one for one in reversed(self.entries) if object_id in one.written), None)

    def largest_ids(self) -> Iterator[int]:
        """Look for the largest id, plane by plane; a job, because the labels may be on disk."""
        labels, largest = self.labels, 0
        if labels is None:
            return
        data = labels.data
        for plane in np.ndindex(data.shape[:-2]):
            largest = max(largest, int(np.asarray(data[plane]).max(initial=0)))
            yield largest
        self._searched = labels

    def _planes_of(self, object_id: int) -> frozenset[Plane]:
        return frozenset().union(*(one.written.get(object_id, frozenset()) for one in self.entries))

    def _on_set_data(self, event: Any) -> None:
        del event
        self._was_touched = True
        if self.labels is None or not self.entries:
            return
        last = self.entries[-1]
        if last.before.size and np.array_equal(_at(self.labels.data, last.witnesses), last.before):
            self.entries = self.entries[:-1]
            self._on_undone(last)


def _set_items(labels: Labels, indices: tuple[NDArray[np.intp], ...], values: NDArray[Any]) -> None:
    """Write voxels of a layer and their undo step."""
    try:
        labels.data_setitem(indices, values)
    except IndexError:
        # napari (0.9.2) cannot show the change where the viewer cuts a sheared layer at an angle; it has written it.
        last = tuple(axis[-1:] for axis in indices)
        if not np.array_equal(_at(labels.data, last), values[-1:]):
            raise
        labels.refresh()


def _at(data: Any, indices: Sequence[NDArray[np.intp]]) -> NDArray[Any]:
    """Voxels one by one: not every array takes arrays of indices."""
    return np.array([np.asarray(data[tuple(int(i) for i in voxel)]) for voxel in zip(*indices, strict=True)])
