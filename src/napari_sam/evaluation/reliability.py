"""Does a confidence mean what it says? Planes of walks with their confidence and their true IoU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.confidence import confidences, is_anchor
from napari_sam.evaluation.scores import iou
from napari_sam.plane_mask import latest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_sam.evaluation.scores import Target
    from napari_sam.evaluation.walks import Volume

BINS = np.linspace(0, 1, 6)


@dataclass(frozen=True, slots=True)
class PlaneScore:
    """One plane of a walk that holds a mask.

    Attributes
    ----------
    object_id, position : int
        Which object, and where.
    confidence : float
        What was expected of the mask, 0 to 1.
    iou : float
        What it is; 0 where the object is not.
    """

    object_id: int
    position: int
    confidence: float
    iou: float


def score_confidence(volume: Volume, targets: Sequence[Target]) -> Iterator[PlaneScore]:
    """Walk from a click and a box, each object alone, and score every plane that the walk gave a mask."""
    for target in targets:
        found = latest(volume.walk([volume.first_prompt(target)]))
        for each, expected in zip(found, confidences(found), strict=True):
            if each.crop and not is_anchor(each):
                position = each.plane[0]
                yield PlaneScore(target.object_id, position, expected, iou(each.mask, volume.mask(target, position)))


def reliability(planes: Sequence[PlaneScore]) -> list[tuple[float, float, int]]:
    """Give mean confidence, mean IoU and number of the planes in each fifth of the confidence."""
    values = np.array([(each.confidence, each.iou) for each in planes]).reshape(-1, 2)
    fifth = np.digitize(values[:, 0], BINS[1:-1])
    inside = [values[fifth == i] for i in range(len(BINS) - 1)]
    return [
        (float(own[:, 0].mean()), float(own[:, 1].mean()), len(own)) if len(own) else (0.0, 0.0, 0) for own in inside
    ]


def calibration_error(planes: Sequence[PlaneScore]) -> float | None:
    """Give the mean absolute difference of mean confidence and mean IoU over the fifths, weighted by their planes."""
    if not planes:
        return None
    return sum(abs(expected - true) * count for expected, true, count in reliability(planes)) / len(planes)
