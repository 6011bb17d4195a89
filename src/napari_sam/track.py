"""The line of planes that objects walk along, with the anchors on it: pure bookkeeping."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam.step import is_neighbour

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from napari_sam.stack import Plane
    from napari_sam.step import PlaneState, Reason


@dataclass(frozen=True, slots=True)
class Track:
    """Anchors that share all indices but the one along the axis.

    Attributes
    ----------
    axis : int
        Along which leading axis.
    fixed : tuple of int
        The other indices.
    anchors : mapping
        Position to object id to the object there; one without pixels says that the object is not there.
    spans : mapping of int to range
        The positions that each object may come to; those who need not walk at all are missing.
    """

    axis: int
    fixed: Plane
    anchors: Mapping[int, Mapping[int, PlaneState]]
    spans: Mapping[int, range]

    def plane(self, position: int) -> Plane:
        """Index of the plane at a position."""
        return (*self.fixed[: self.axis], position, *self.fixed[self.axis :])

    def positions(self, direction: int) -> range:
        """From the first anchor that walks in a direction, 1 or -1, to the last plane that anybody may come to."""
        if not self.spans:
            return range(0)
        first, last = self.extent.start, self.extent.stop - 1
        low, high = min(self.anchors), max(self.anchors)
        return range(max(low, first - 1), last + 1) if direction > 0 else range(min(high, last + 1), first - 1, -1)

    @property
    def extent(self) -> range:
        """All positions that anybody may come to."""
        spans = self.spans.values()
        return range(min(s.start for s in spans), max(s.stop for s in spans)) if spans else range(0)

    def due(self, position: int) -> list[int]:
        """Objects that may come to a position on their way; what they have there from an earlier walk is outdated."""
        anchored = self.anchors.get(position, {})
        walking = (object_id for object_id, span in self.spans.items() if position in span)
        return [object_id for object_id in walking if not is_neighbour(object_id) and object_id not in anchored]

    def weight_of_lower(self, object_id: int, position: int) -> float | None:
        """Nearness of the object's next anchor below, 0 to 1, against the one above; None on an open end."""
        own = [p for p, here in self.anchors.items() if object_id in here]
        below = max((p for p in own if p < position), default=None)
        above = min((p for p in own if p > position), default=None)
        if below is None or above is None:
            return None
        if not (self.anchors[below][object_id].mask and self.anchors[above][object_id].mask):
            return None
        return (above - position) / (above - below)

    def way_out(self, object_id: int, position: int) -> Reason | None:
        """Why an object must not come to a position; None if it may."""
        if (anchor := self.anchors.get(position, {}).get(object_id)) is not None:
            return "anchor" if anchor.mask else "stop"
        return None if position in self.spans.get(object_id, ()) else "range"


def lay_tracks(
    anchors: Sequence[PlaneState], axis: int, positions: range, changed: Collection[Plane] | None = None
) -> list[Track]:
    """Sort anchors into tracks.

    Parameters
    ----------
    anchors : sequence of PlaneState
        At most one per object and plane.
    axis : int
        Along which leading axis of the planes.
    positions : range
        Where walks may go; holds all anchors.
    changed : collection of tuple of int, optional
        Planes whose anchors are new or different: only what lies between their neighbours is walked. None: all.

    Returns
    -------
    list of Track
        In the order in which the anchors come.
    """
    sorted_anchors: dict[Plane, dict[int, dict[int, PlaneState]]] = defaultdict(lambda: defaultdict(dict))
    for anchor in anchors:
        fixed = (*anchor.plane[:axis], *anchor.plane[axis + 1 :])
        sorted_anchors[fixed][anchor.plane[axis]][anchor.object_id] = anchor
    return [
        Track(axis, fixed, here, _spans(here, positions, _changed_on(fixed, axis, here, changed)))
        for fixed, here in sorted_anchors.items()
    ]


def _changed_on(
    fixed: Plane, axis: int, here: Mapping[int, Mapping[int, PlaneState]], changed: Collection[Plane] | None
) -> set[int]:
    if changed is None:
        return set(here)
    return {plane[axis] for plane in changed if (*plane[:axis], *plane[axis + 1 :]) == fixed}


def _spans(
    anchors: Mapping[int, Mapping[int, PlaneState]], positions: range, changed: Collection[int]
) -> dict[int, range]:
    """For each object that has an anchor among the changed ones: from the unchanged anchor below to the one above."""
    spans = {}
    for object_id in dict.fromkeys(i for here in anchors.values() for i in here):
        own = {position for position, here in anchors.items() if object_id in here}
        new = own & set(changed)
        if new:
            kept = own - new
            below = max((p + 1 for p in kept if p < min(new)), default=positions.start)
            above = min((p for p in kept if p > max(new)), default=positions.stop)
            spans[object_id] = range(below, above)
    return spans
