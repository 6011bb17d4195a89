"""Fit the table of napari_sam.presence to walks on training volumes and made-up stacks that were not allowed to end.

python tools/calibrate_presence.py --data ../shared/data/train --records presence.json

prints the table to paste into presence.py, and the mean 3D IoU on each source with the rules of today and with tables
that were fitted to the others. What the walks gave is kept in --records; only what is missing there is walked again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from calibrate_confidence import fit, gather
from napari_sam import Evidence, StopRules
from napari_sam.evaluation.scores import iou
from napari_sam.evaluation.walks import ENDLESS
from napari_sam.presence import LOST, Course

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_sam.evaluation.scores import Target
    from napari_sam.evaluation.walks import Volume

THRESHOLDS = (0.4, 0.5, 0.6, 0.7)  # of the presence
_GONE = 0.2  # IoU with the truth below which the mask no longer is of the object
_BEYOND = 6  # planes that a walk is followed after its object has ended
_PER_SOURCE = 300.0  # weight of each source in the fit, in planes

Step = dict[str, float]
Walk = dict[str, Any]  # one object: its size, what its anchor has of it, and the steps to each side


def main() -> None:
    """Walk, fit, and print."""
    records = gather(__doc__, lambda volume, targets: list(walks(volume, targets)))
    names = list(LOST)
    print(f"LOST: {json.dumps(fit(examples(records.values()), names))}")
    for name, own in records.items():
        table = fit(examples(each for other, each in records.items() if other != name), names)
        scores = [f"{threshold:g} {mean_iou(own, table, threshold):.3f}" for threshold in THRESHOLDS]
        today, known = mean_iou(own, LOST, StopRules().min_presence), mean_iou(own, None, 0)
        print(f"{name}: today {today:.3f}; ends known {known:.3f}; fitted to others {', '.join(scores)}")


def walks(volume: Volume, targets: Sequence[Target]) -> Iterator[Walk]:
    """Walk from a click and a box on each object to both sides, past its ends."""
    for target in targets:
        extent, start = volume.extent(target), target.plane[0]
        low, high = max(0, extent[0] - _BEYOND), min(len(volume.truth), extent[-1] + 1 + _BEYOND)
        found = volume.walk([volume.first_prompt(target)], start=low, stop=high, rules=ENDLESS)
        steps: dict[int, Step] = {}
        for each in found:
            true = volume.mask(target, each.plane[0])
            steps[each.plane[0]] = {
                "predicted_iou": each.evidence.predicted_iou,
                "overlap": each.evidence.overlap,
                "iou": iou(each.mask, true) if true.any() else 0.0,
                "area": each.crop.area,
                "shared": int(np.count_nonzero(each.mask & true)),
            }
        sides = (range(start + 1, high), range(start - 1, low - 1, -1))
        yield {
            "size": int(np.count_nonzero(volume.truth == target.object_id)),
            "anchor": steps[start],
            "sides": [[steps[z] for z in side if z in steps] for side in sides],
        }


def examples(sources: Any) -> list[dict[str, Any]]:
    """Turn walks into steps with what is to be foretold, up to that on which the object is lost."""
    found = []
    for source in sources:
        own = []
        for side in (side for walk in source for side in walk["sides"]):
            course = Course()
            for step in side:
                seen = Evidence(predicted_iou=step["predicted_iou"], overlap=step["overlap"])
                gone = step["iou"] < _GONE
                if not step["area"]:
                    break
                own.append({"features": course.features(seen), "iou": float(gone)})
                if gone:
                    break
                course = course.after(seen)
        found += [each | {"weight": _PER_SOURCE / len(own)} for each in own]
    return found


def mean_iou(walks: Sequence[Walk], table: Any, threshold: float) -> float:
    """Score the walks of a source if they had ended below a presence; with no table, where the object truly ends."""
    scores = []
    for walk in walks:
        shared, area = walk["anchor"]["shared"], walk["anchor"]["area"]
        for side in walk["sides"]:
            course = Course()
            for step in side:
                seen = Evidence(predicted_iou=step["predicted_iou"], overlap=step["overlap"])
                course = course.after(seen, table or LOST)
                if (course.presence < threshold) if table else (step["iou"] == 0):
                    break
                shared, area = shared + step["shared"], area + step["area"]
        scores.append(shared / (area + walk["size"] - shared))
    return float(np.mean(scores))


if __name__ == "__main__":
    main()
