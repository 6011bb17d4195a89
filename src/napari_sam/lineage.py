"""Labels of a time-lapse become tracks with parents: the table that napari's Tracks layer takes."""

from __future__ import annotations

import csv
import itertools
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sam.outputs import appears_when_complete, check_output

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

Labels = NDArray[np.integer[Any]]  # of one frame, (y, x) or (z, y, x)
Centroid = tuple[float, ...]

_SMALL = 0.2  # of the object's pixels on the frame: smaller pieces are crumbs, not daughters
_INHERITED = 1 / 3  # of a new object's pixels, at least, that its parent held on the frame before


@dataclass(frozen=True, slots=True, eq=False)
class Lineage:
    """Tracks and how they descend from each other.

    Attributes
    ----------
    tracks : ndarray of float
        ``(N, 4)`` of track id, t, y, x, or ``(N, 5)`` with z before y, in pixels; sorted by track, then by t. The
        ``data`` of a napari Tracks layer. A track that begins with an object has the object's id.
    graph : mapping of int to list of int
        Track id to the ids of its parents, for tracks that have one. The ``graph`` of a napari Tracks layer.
    object_ids : mapping of int to int
        Track id to the label in the image.
    """

    tracks: NDArray[np.float64]
    graph: Mapping[int, list[int]]
    object_ids: Mapping[int, int]


def trace(labels: Any) -> Lineage:
    """Trace the objects of a time-lapse.

    An object splits where it falls into pieces that stay apart for at least two frames, or where a new label
    appears on what it held the frame before. The track then ends, and one begins for each daughter. Pieces of less than
    a fifth of their object are not told apart from it.

    Parameters
    ----------
    labels : array-like of int
        ``(t, y, x)`` or ``(t, z, y, x)``, 0 is background; read frame by frame.

    Returns
    -------
    Lineage

    Raises
    ------
    ValueError
        If the labels have other axes.
    """
    if len(labels.shape) not in (3, 4):
        msg = f"labels must be (t, y, x) or (t, z, y, x), got shape {tuple(labels.shape)}; give one time-lapse"
        raise ValueError(msg)
    tracing = _Tracing()
    for t, frame in enumerate(_settled(np.asarray(labels[t]) for t in range(labels.shape[0]))):
        tracing.add(t, frame)
    return tracing.lineage(len(labels.shape) - 1)


def write_tracks(path: Path | str, lineage: Lineage, *, overwrite: bool = False) -> None:
    """Write tracks as CSV: ``track_id, t, (z,) y, x, object_id, parent``, the parent empty where there is none.

    Raises
    ------
    OSError, ValueError
        As in `check_tracks_output`.
    """
    path = Path(path)
    check_tracks_output(path, overwrite=overwrite)
    axes = ["t", "z", "y", "x"] if lineage.tracks.shape[1] == 5 else ["t", "y", "x"]
    with appears_when_complete(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["track_id", *axes, "object_id", "parent"])
        for row in lineage.tracks:
            track = int(row[0])
            parents = " ".join(map(str, lineage.graph.get(track, [])))
            writer.writerow([track, int(row[1]), *(f"{c:.2f}" for c in row[2:]), lineage.object_ids[track], parents])


def read_tracks(path: Path | str) -> Lineage:
    """Read what `write_tracks` wrote; ``viewer.add_tracks(lineage.tracks, graph=lineage.graph)`` shows it.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not such a table.
    """
    with Path(path).open(newline="", encoding="utf-8") as file:
        table = csv.DictReader(file)
        rows, columns = list(table), table.fieldnames or ()
    axes = [axis for axis in ("t", "z", "y", "x") if axis in columns]
    if missing := {"track_id", "t", "y", "x", "object_id", "parent"} - set(columns):
        msg = (
            f"{path} is no table of tracks: expected the columns {', '.join(sorted(missing))}, got {', '.join(columns)}"
        )
        raise ValueError(msg)
    try:
        data = [[float(row[name]) for name in ("track_id", *axes)] for row in rows]
        graph = {int(row["track_id"]): [int(one) for one in row["parent"].split()] for row in rows if row["parent"]}
        object_ids = {int(row["track_id"]): int(row["object_id"]) for row in rows}
    except (TypeError, ValueError) as error:
        msg = f"{path} is no table of tracks: {error}; write one with write_tracks"
        raise ValueError(msg) from None
    return Lineage(np.array(data, dtype=np.float64).reshape(len(data), 1 + len(axes)), graph, object_ids)


def check_tracks_output(path: Path | str, *, overwrite: bool = False) -> None:
    """Refuse a path that `write_tracks` could not write to: ask before the long work.

    Raises
    ------
    OSError
        If something is there that may not be overwritten, or the folder is missing.
    ValueError
        If the name does not end with .csv.
    """
    check_output(Path(path), (".csv",), what="tracks are written as a table", overwrite=overwrite)


@dataclass(frozen=True, slots=True, eq=False)
class _Frame:
    """Pieces of the objects of one frame, counted from 0; ``image`` holds their number plus 1."""

    image: NDArray[np.int32]
    object_ids: tuple[int, ...]
    centroids: tuple[Centroid, ...]
    areas: tuple[int, ...]

    @classmethod
    def of(cls, image: NDArray[np.int32], object_ids: Sequence[int]) -> _Frame:
        """Measure the pieces of a frame; ``object_ids`` has the object of each, in the order of their numbers."""
        from scipy import ndimage

        areas = np.bincount(image.ravel(), minlength=len(object_ids) + 1)[1:].tolist()
        centroids = ndimage.center_of_mass(image > 0, image, range(1, len(object_ids) + 1)) if object_ids else []
        return cls(image, tuple(object_ids), tuple(tuple(map(float, each)) for each in centroids), tuple(areas))

    @property
    def is_apart(self) -> set[int]:
        """Objects in several pieces."""
        return {one for one, count in Counter(self.object_ids).items() if count > 1}

    def joined(self, whole: AbstractSet[int]) -> _Frame:
        """Count some objects as one piece each."""
        if not whole:
            return self
        firsts = [self.object_ids.index(one) if one in whole else i for i, one in enumerate(self.object_ids)]
        kept = sorted(set(firsts))
        number = np.array([0, *(kept.index(first) + 1 for first in firsts)], np.int32)
        return _Frame.of(number[self.image], [self.object_ids[i] for i in kept])


@dataclass(slots=True)
class _Tracing:
    """Tracks so far; those that do not begin with an object have a negative id until all objects are known."""

    rows: list[tuple[float, ...]] = field(default_factory=list)
    graph: dict[int, list[int]] = field(default_factory=dict)
    object_ids: dict[int, int] = field(default_factory=dict)
    ends: dict[int, list[tuple[int, Centroid]]] = field(default_factory=dict)  # by object, where it was seen last
    before: tuple[_Frame, tuple[int, ...]] | None = None  # the last frame with the tracks of its pieces

    def add(self, t: int, frame: _Frame) -> None:
        """Give each piece a track."""
        parents = [self._parent(frame, piece, under) for piece, under in enumerate(self._under(frame))]
        tracks = tuple(self._continue_or_begin(parents, piece, one) for piece, one in enumerate(frame.object_ids))
        ends: dict[int, list[tuple[int, Centroid]]] = defaultdict(list)
        for track, one, centroid in zip(tracks, frame.object_ids, frame.centroids, strict=True):
            self.rows.append((track, t, *centroid))
            ends[one].append((track, centroid))
        self.ends.update(ends)
        self.before = frame, tracks

    def lineage(self, axes: int) -> Lineage:
        """Give the later tracks numbers behind all objects."""
        largest = max(self.object_ids.values(), default=0)
        number = {track: track if track > 0 else largest - track for track in self.object_ids}
        rows = sorted((number[int(track)], *rest) for track, *rest in self.rows)
        graph = {number[track]: [number[one] for one in parents] for track, parents in self.graph.items()}
        data = np.array(rows, dtype=np.float64).reshape(len(rows), 2 + axes)
        return Lineage(data, graph, {number[track]: one for track, one in self.object_ids.items()})

    def _parent(self, frame: _Frame, piece: int, under: Mapping[int, int]) -> int | None:
        """Track that the piece goes on from: its object's piece under it, else the nearest, else another object's."""
        own = self.ends.get(frame.object_ids[piece])
        if own is not None:
            here = frame.centroids[piece]
            return max(own, key=lambda end: (under.get(end[0], 0), -math.dist(end[1], here)))[0]
        held = [track for track, count in under.items() if count >= _INHERITED * frame.areas[piece]]
        return max(held, key=lambda track: under[track], default=None)

    def _under(self, frame: _Frame) -> list[dict[int, int]]:
        """Count the pixels of each piece by the track that held them on the frame before."""
        under: list[dict[int, int]] = [{} for _ in frame.object_ids]
        if self.before is not None:
            earlier, tracks = self.before
            both = (earlier.image > 0) & (frame.image > 0)
            pairs, counts = np.unique([frame.image[both], earlier.image[both]], axis=1, return_counts=True)
            for now, then, count in zip(*pairs.tolist(), counts.tolist(), strict=True):
                under[now - 1][tracks[then - 1]] = count
        return under

    def _continue_or_begin(self, parents: Sequence[int | None], piece: int, object_id: int) -> int:
        parent = parents[piece]
        if parent is not None and parents.count(parent) == 1 and self.object_ids[parent] == object_id:
            return parent
        is_first = object_id not in self.object_ids.values()
        track = object_id if is_first else -1 - sum(track < 0 for track in self.object_ids)
        self.object_ids[track] = object_id
        if parent is not None:
            self.graph[track] = [parent]
        return track


def _settled(frames: Iterator[Labels]) -> Iterator[_Frame]:
    """Take frames apart into pieces; an object that is in pieces on a single frame is left whole."""
    apart_before: set[int] = set()
    taken_apart: Iterator[_Frame | None] = itertools.chain(map(_take_apart, frames), [None])
    for frame, after in itertools.pairwise(taken_apart):
        if frame is not None:
            stays = frame.is_apart if after is None else frame.is_apart & (after.is_apart | apart_before)
            apart_before = frame.is_apart
            yield frame.joined(frame.is_apart - stays)


def _take_apart(labels: Labels) -> _Frame:
    """Find the connected pieces of each object; crumbs count as part of the largest piece."""
    from scipy import ndimage

    ids, dense = np.unique(labels, return_inverse=True)
    dense = dense.reshape(labels.shape) + int(ids[0] != 0)  # 0 is background
    image = np.zeros(labels.shape, np.int32)
    object_ids: list[int] = []
    for index, (object_id, box) in enumerate(zip(ids[ids != 0].tolist(), ndimage.find_objects(dense), strict=True), 1):
        pieces = _without_crumbs(ndimage.label(dense[box] == index)[0])
        image[box] += np.where(pieces > 0, pieces + len(object_ids), 0)
        object_ids += [object_id] * int(pieces.max())
    return _Frame.of(image, object_ids)


def _without_crumbs(pieces: NDArray[np.int32]) -> NDArray[np.int32]:
    """Count the large pieces from 1 without a gap; small ones get the number of the largest."""
    areas = np.bincount(pieces.ravel())[1:]
    is_large = areas >= _SMALL * areas.sum()
    number = np.cumsum(is_large)
    number[~is_large] = number[areas.argmax()]
    renumbered: NDArray[np.int32] = np.append(0, number).astype(np.int32)[pieces]
    return renumbered
