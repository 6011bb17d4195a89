"""The Labels layer that commits go to, and what is needed to take a commit back. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels

from napari_sam.cleanup import Cleanup
from napari_sam.crops import Crop
from napari_sam.labels import LABELS_DTYPE, check_ids
from napari_sam.plugin.channels import Beside
from napari_sam.plugin.drafts import draw
from napari_sam.plugin.layers import geometry
from napari_sam.plugin.numbering import strangers
from napari_sam.plugin.writing import Writing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_sam.crops import Window
    from napari_sam.labels import Overlap
    from napari_sam.plugin.drafts import Crops, LabelPlane, Look
    from napari_sam.plugin.session import Commit
    from napari_sam.plugin.stage import Away
    from napari_sam.plugin.view import ImageView
    from napari_sam.stack import Plane


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A commit.

    Attributes
    ----------
    commit : Commit
        The objects.
    away : Away
        Their points and shapes.
    written : mapping
        Object id to the planes that it was written on, and those before it.
    writing : Writing
        Its way into the labels and out of them.
    """

    commit: Commit
    away: Away
    written: Mapping[int, frozenset[Plane]]
    writing: Writing


@dataclass(frozen=True, slots=True, eq=False)
class Stroke:
    """Something that the user painted, filled or erased in the labels; napari knows how to take it back."""

    labels: Labels


class Result:
    """Where committed objects are.

    Parameters
    ----------
    on_stroke : callable
        Told what the user painted into the labels.
    """

    def __init__(self, on_stroke: Callable[[Stroke], None]) -> None:
        self.labels: Labels | None = None
        self.largest_id = 0  # in the labels; found by a job
        self._searched: Labels | None = None  # where nothing is above the largest id
        self.cleanup = Cleanup()
        self.overlap: Overlap = "keep"
        self.entries: tuple[Entry, ...] = ()
        self.meant: set[int] = set()  # numbers in the labels that the user chose for what comes
        self._on_stroke = on_stroke

    def choose(self, labels: Labels | None, *, is_empty: bool = False) -> None:
        """Commit to another layer from now on, of which may be known that it is empty; earlier commits stay."""
        if self.labels is not None:
            self.labels.events.paint.disconnect(self._on_paint)
        self.labels, self.largest_id, self.entries, self.meant = labels, 0, (), set()
        self._searched = labels if is_empty else None
        if labels is not None:
            labels.events.paint.connect(self._on_paint)

    def add(self, crops: Crops, view: ImageView, commit: Commit, away: Away) -> Entry:
        """Add a commit; its voxels come when its `writing` is done.

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

        Raises
        ------
        ValueError
            If no layer is chosen.
        """
        if self.labels is None:
            msg = "no Labels layer is chosen; choose one first"
            raise ValueError(msg)
        written = {one: frozenset(plane for who, plane in crops if who == one) for one in commit.object_ids}
        left = {(one, plane) for one in written for plane in self._planes_of(one) - written[one]}
        writing = Writing(
            partial(_data_of_the_moment, self.labels, self.labels.data, view),
            {**crops, **dict.fromkeys(left, Crop.empty(view.plane_shape))},
            view,
            cleanup=self.cleanup,
            overlap="keep" if self.labels.preserve_labels else self.overlap,
            fresh={one for one in written if self.is_fresh(one)},
            unsure=self._unsure(written),
        )
        entry = Entry(commit, away, written, writing)
        self.entries += (entry,)
        return entry

    def drop(self, entry: Entry) -> None:
        """Forget a commit that was taken back or could not be written."""
        self.entries = tuple(one for one in self.entries if one is not entry)

    def put_back(self, entry: Entry) -> None:
        """Undo `drop`."""
        self.entries += (entry,)

    def check_holds(self, object_id: int) -> None:
        """Refuse an id that the layer's data cannot hold.

        Raises
        ------
        ValueError
            If it is too large for their data type.
        """
        if self.labels is None:
            return
        try:
            check_ids(self.labels.data, [object_id])
        except ValueError as error:
            msg = (
                f"object {object_id} does not fit into the layer {self.labels.name!r} of {self.labels.data.dtype}; "
                "right-click on it in the layer list and choose Convert data type, or choose another layer"
            )
            raise ValueError(msg) from error

    def show(self) -> None:
        """Let the layer show what was written."""
        if self.labels is not None:
            self.labels.refresh(extent=False)

    def selected(self, view: ImageView, plane: Plane) -> NDArray[np.bool_]:
        """Where the layer's selected label is on a plane, ``(h, w)``."""
        if self.labels is None:
            return np.zeros(view.plane_shape, bool)
        labels = np.asarray(_as_seen(self.labels.data, view)[view.index(plane)])
        return np.asarray(labels == self.labels.selected_label)

    def around(self, crops: Crops, view: ImageView) -> Look:
        """Make a function that gives labels with some drafts over them; a thread may call it."""
        data = None if self.labels is None else _as_seen(self.labels.data, view)
        on_its_way = (entry.writing.crops for entry in self.entries if not entry.writing.is_done)
        crops = {key: crop for some in (*on_its_way, crops) for key, crop in some.items()}

        def look(plane: Plane, window: Window) -> LabelPlane:
            """Give a window of a plane of the labels, with the drafts drawn over it."""
            rows, columns = window
            labels = np.zeros((rows.stop - rows.start, columns.stop - columns.start), LABELS_DTYPE)
            if data is not None:
                labels[:] = data[view.index(plane, window)]
            draw(labels, crops, plane, window)
            return labels

        return look

    def entry_of(self, object_id: int) -> Entry | None:
        """Find the latest commit that wrote an object."""
        return next((one for one in reversed(self.entries) if object_id in one.written), None)

    def is_fresh(self, object_id: int) -> bool:
        """Whether an object is known to have no voxels in the layer."""
        if self.labels is not None and self._searched is not self.labels:
            return False  # nobody has looked yet
        return object_id > self.largest_id and self.entry_of(object_id) is None

    def search(self, view: ImageView, get_crops: Callable[[], Crops]) -> Iterator[tuple[int, frozenset[int]]]:
        """Look for the largest id, plane by plane, and for drafts under it; a job, because the labels may be on disk.

        Yields
        ------
        int, frozenset of int
            The largest id so far; at the end also the drafts whose numbers are those of other objects.
        """
        labels, largest = self.labels, 0
        if labels is None or labels is self._searched:
            return
        data = labels.data
        for plane in np.ndindex(data.shape[:-2]):
            largest = max(largest, int(np.asarray(data[plane]).max(initial=0)))
            yield largest, frozenset()
        self._searched = labels
        crops = get_crops()
        yield largest, strangers(_as_seen(data, view), crops, view, self._unsure({one for one, _ in crops}))

    def doubt(self) -> None:
        """Take no number for free until the labels were searched again."""
        self._searched = None

    def _unsure(self, object_ids: Collection[int]) -> set[int]:
        """Those of some objects that may have the number of another by chance."""
        return {
            one for one in object_ids if one not in self.meant and not self.is_fresh(one) and self.entry_of(one) is None
        }

    def _planes_of(self, object_id: int) -> frozenset[Plane]:
        return frozenset().union(*(one.written.get(object_id, frozenset()) for one in self.entries))

    def _on_paint(self, event: Any) -> None:
        del event
        if self.labels is not None:
            self.largest_id = max(self.largest_id, int(self.labels.selected_label))
            self._on_stroke(Stroke(self.labels))


def fits(labels: Labels, view: ImageView) -> bool:
    """Whether labels are of an image's full resolution; they may lack an axis that holds channels; see `lie_beside`."""
    if labels.multiscale:
        return False
    lacks_channels = view.channels is not None and lacks(labels, view.shape, view.channels.axis)
    return tuple(labels.data.shape) == view.shape or (lacks_channels and _may_lack_them(labels, view))


def _may_lack_them(labels: Labels, view: ImageView) -> bool:
    if view.channels is None or view.channels.axis == 0:
        return view.channels is not None
    return isinstance(labels.data, np.ndarray) and layers_take_axes()


@cache
def layers_take_axes() -> bool:
    """Whether a layer may be given another axis: before napari 0.9 its transforms keep those that it had."""
    probe = Labels(np.zeros((1, 1), np.uint8))
    probe.data = probe.data[None]
    return len(probe.scale) == 3


def lacks(labels: Labels, shape: tuple[int, ...], axis: int) -> bool:
    """Whether labels have a shape but for one of its axes."""
    return tuple(labels.data.shape) == (*shape[:axis], *shape[axis + 1 :])


def lie_beside(labels: Labels, image: Image, view: ImageView) -> None:
    """Give labels the axis of channels that they lack, where it is not the first: napari lines up the last axes.

    Their voxels stay where they are in memory; the layer takes the place of the image.
    """
    if view.channels is not None and view.channels.axis > 0 and lacks(labels, view.shape, view.channels.axis):
        labels.data = np.expand_dims(labels.data, view.channels.axis)
        for name, value in geometry(image, view).items():
            setattr(labels, name, value)


def _data_of_the_moment(labels: Labels, data: Any, view: ImageView) -> Any:
    """Give the data that a layer has now: napari exchanges it if the user converts its type."""
    return _as_seen(labels.data if labels.data.shape == data.shape else data, view)


def _is_beside(data: Any, view: ImageView) -> bool:
    return view.channels is not None and view.channels.axis == 0 and tuple(data.shape) == view.shape[1:]


def _as_seen(data: Any, view: ImageView) -> Any:
    return Beside(data) if _is_beside(data, view) else data
