"""Tables on stdout: fitted to a terminal, and as wide as they want to be in a file or a pipe, where nothing is cut."""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_sam.evaluation.scores import Score
    from napari_sam.plane_mask import PlaneMask
    from napari_sam.stack import Plane

_UNBOUNDED = 10_000  # characters; a table takes what it needs


def print_table(table: Table) -> None:
    """Print a table; the environment variable ``COLUMNS`` sets its width, as everywhere."""
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(width=_UNBOUNDED)
    with console.capture() as captured:  # rich ends the process where nobody reads the output
        console.print(table)
    sys.stdout.write(captured.get())


def print_objects(found: Sequence[PlaneMask], ious: Mapping[int, float] | None = None) -> None:
    """Print where each object was found and why it was not followed further.

    Parameters
    ----------
    found : sequence of PlaneMask
        All that walks have found; of what came twice, the last counts.
    ious : mapping of int to float, optional
        How well each object matches the truth, by id.
    """
    from napari_sam.plane_mask import latest

    by_object: dict[int, list[PlaneMask]] = defaultdict(list)
    for mask in latest(found):
        by_object[mask.object_id].append(mask)
    table = Table("object", "planes", "voxels", "ended by", *(["IoU in 3D"] if ious else []))
    for object_id, masks in sorted(by_object.items()):
        planes = sorted(mask.plane for mask in masks if mask.crop)
        span = f"{_index(planes[0])} to {_index(planes[-1])}" if planes else "none"
        reasons = ", ".join(sorted({mask.reason for mask in masks if mask.reason} - {"cleared"}))
        voxels = sum(mask.crop.area for mask in masks)
        table.add_row(str(object_id), span, str(voxels), reasons, *([f"{ious[object_id]:.3f}"] if ious else []))
    print_table(table)


def print_scores(scores: Sequence[Score]) -> None:
    """Print the mean IoU of each way of prompting, and how far off what the model expected was."""
    from napari_sam.evaluation.report import summarise

    table = Table("way", "objects", "mean IoU", "calibration error")
    for row in summarise(scores):
        error = "" if row.calibration_error is None else f"{row.calibration_error:.3f}"
        table.add_row(row.way, str(row.objects), f"{row.mean_iou:.3f}", error)
    print_table(table)


def _index(plane: Plane) -> str:
    return ", ".join(map(str, plane))
