"""How many masks a walk finds per second when few or many objects walk together."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter, process_time
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.evaluation.scores import Target, first_prompt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_sam.evaluation.walks import Volume
    from napari_sam.prompts import Prompt

OBJECTS = (1, 5, 20, 100)
_WALKERS = 20
_PLANES = 6  # enough to time, on top of the start plane


@dataclass(frozen=True, slots=True)
class Throughput:
    """Speed of one walk of several objects, all embeddings being there.

    Attributes
    ----------
    objects : int
        That walked together.
    masks : int
        Pairs of an object and a plane that were decided.
    seconds, cpu_seconds : float
        Elapsed, and of the processor.
    """

    objects: int
    masks: int
    seconds: float
    cpu_seconds: float


def measure_throughput(volume: Volume, *, objects: Sequence[int] = OBJECTS) -> Iterator[Throughput]:
    """Time walks over a few planes from the plane with the most objects; counts that it does not have are left out.

    A first walk that is not counted warms up. The same 20 objects walk in groups of 1, 5 and 20: the same work, one at
    a time or together. More than 20 walk as one group.
    """
    position, prompts = _crowd(volume, max(objects))
    start, stop = _range(position, len(volume.truth))
    list(volume.seg.embed([(i,) for i in range(start, stop)]))
    volume.walk(prompts[:1], start=start, stop=stop)
    for count in objects:
        if count <= len(prompts):
            yield _time(volume, prompts, count, range(start, stop))


def _time(volume: Volume, prompts: Sequence[Prompt], count: int, positions: range) -> Throughput:
    """Walk in groups of ``count`` objects."""
    walkers = prompts[: count * max(1, _WALKERS // count)]
    masks, seconds, cpu_seconds = 0, -perf_counter(), -process_time()
    for first in range(0, len(walkers), count):
        group = walkers[first : first + count]
        masks += len(volume.walk(group, start=positions.start, stop=positions.stop))
    return Throughput(count, masks, seconds + perf_counter(), cpu_seconds + process_time())


def _crowd(volume: Volume, count: int) -> tuple[int, list[Prompt]]:
    """Prompt the largest objects on the plane that has the most of them."""
    numbers = [np.unique(plane[plane != 0], return_counts=True) for plane in volume.truth]
    position = max(range(len(numbers)), key=lambda i: len(numbers[i][0]))
    ids, areas = numbers[position]
    largest = ids[np.argsort(-areas.astype(int), kind="stable")][:count]
    return position, [first_prompt(volume.truth, Target(int(i), (position,))) for i in largest]


def _range(position: int, planes: int) -> tuple[int, int]:
    start = max(0, position - _PLANES // 2)
    return start, min(planes, start + _PLANES + 1)
