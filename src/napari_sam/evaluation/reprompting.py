"""The usual way through a stack, to compare with: every mask is turned into prompts for the next plane.

Written from the description of the leading tool: walk outwards from the plane that the user segmented, one plane at a
time; prompt the next plane with what can be derived from the last mask; stop when a score falls below a threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_sam.evaluation.scores import iou
from napari_sam.evaluation.user import interior_point, tight_box
from napari_sam.prompts import Prompt
from napari_sam.views import predict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from napari_sam.cache import EmbeddingCache

Mask = NDArray[np.bool_]  # (h, w)
Projection = Literal["box", "point", "points + mask"]
Criterion = Literal["predicted IoU", "overlap"]

PROJECTIONS: tuple[Projection, ...] = get_args(Projection)
CRITERIA: tuple[Criterion, ...] = get_args(Criterion)
THRESHOLDS = (0.5, 0.6, 0.7, 0.8)
_MARGIN = 0.05  # of the box's sides, on each side


@dataclass(frozen=True, slots=True, eq=False)
class Reprompted:
    """What one step found.

    Attributes
    ----------
    position : int
        Along the stack.
    mask : ndarray of bool
        ``(h, w)``.
    scores : mapping
        What a threshold may be put on: the IoU that the model expects, and the IoU with the mask of the plane before.
    """

    position: int
    mask: Mask
    scores: Mapping[Criterion, float]


def reprompt(cache: EmbeddingCache, start: Prompt, projection: Projection) -> Iterator[Reprompted]:
    """Walk from the mask of a prompt to both ends of a ``(z, y, x)`` stack, as far as any of the thresholds lets it.

    Parameters
    ----------
    cache : EmbeddingCache
        Of the stack.
    start : Prompt
        What the user gives.
    projection : {"box", "point", "points + mask"}
        What of a mask prompts the next plane.

    Yields
    ------
    Reprompted
        First the start, then plane by plane outwards.
    """
    first = _decode(cache, start)
    yield Reprompted(start.plane[0], first.mask, dict.fromkeys(CRITERIA, 1.0))
    for positions in (range(start.plane[0] + 1, len(cache.stack.array)), range(start.plane[0] - 1, -1, -1)):
        mask = first.mask
        for position in positions:
            if not mask.any():
                break
            step = _decode(cache, project(mask, (position,), projection), mask)
            yield step
            mask = step.mask
            if max(step.scores.values()) < min(THRESHOLDS):
                break


def cut(steps: Sequence[Reprompted], criterion: Criterion, threshold: float) -> dict[int, Mask]:
    """Keep each side of a walk up to the first plane whose score is below the threshold; that plane is dropped."""
    kept = {steps[0].position: steps[0].mask}
    ended: set[bool] = set()  # sides, by whether they lie above the start
    for step in steps[1:]:
        side = step.position > steps[0].position
        if step.scores[criterion] < threshold:
            ended.add(side)
        if side not in ended:
            kept[step.position] = step.mask
    return kept


def project(mask: Mask, plane: tuple[int, ...], projection: Projection) -> Prompt:
    """Turn a mask that is not empty into prompts: its box, a point inside it, or points on both sides and itself."""
    box = _widened(mask)
    if projection == "box":
        return Prompt(plane, box=box)
    inside = interior_point(mask)
    if projection == "point":
        return Prompt(plane, [inside])
    outside = _around(box, mask)
    labels = [1, *[0] * len(outside)]
    return Prompt(plane, [inside, *outside], point_labels=labels, mask=mask)


def _decode(cache: EmbeddingCache, prompt: Prompt, before: Mask | None = None) -> Reprompted:
    """Decode one mask; its overlap is that with the mask of the plane before."""
    embedding = cache.embedding(prompt.plane)
    prediction = predict(cache.sam, embedding, [prompt], multimask_output=False)[0]
    mask = prediction.masks[0]
    overlap = 1.0 if before is None else iou(mask, before)
    scores: dict[Criterion, float] = {"predicted IoU": float(prediction.iou_predictions[0]), "overlap": overlap}
    return Reprompted(prompt.plane[0], mask, scores)


def _widened(mask: Mask) -> tuple[tuple[float, float], tuple[float, float]]:
    (top, left), (bottom, right) = tight_box(mask)
    rows, columns = _MARGIN * (bottom - top + 1), _MARGIN * (right - left + 1)
    return (top - rows, left - columns), (bottom + rows, right + columns)


def _around(box: Sequence[Sequence[float]], mask: Mask) -> list[tuple[float, float]]:
    """Middles of the sides of a box and its corners, those of them that lie in the image and not on the mask."""
    (top, left), (bottom, right) = box
    rows, columns = (top, (top + bottom) / 2, bottom), (left, (left + right) / 2, right)
    points = [(row, column) for row in rows for column in columns if (row, column) != (rows[1], columns[1])]
    height, width = mask.shape
    inside = [(r, c) for r, c in points if 0 <= round(r) < height and 0 <= round(c) < width]
    return [(r, c) for r, c in inside if not mask[round(r), round(c)]]
