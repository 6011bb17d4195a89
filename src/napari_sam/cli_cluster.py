"""What `sam-stacks embed` does with `--workers` or `--scheduler`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.selection import Selection

if TYPE_CHECKING:
    from napari_sam.cluster import Job


def make_job(image: str, cache: str, *, selection: Selection, model: str, tile: Any, **encoding: Any) -> "Job":
    """Describe what to encode so that workers understand it, who run in other folders."""
    try:
        from napari_sam.cluster import Encoding, Job
    except ModuleNotFoundError as error:
        msg = f"a cluster needs {error.name}, which is not installed: pip install 'napari-sam-stacks[cluster]'"
        raise ValueError(msg) from None
    from napari_sam.checkpoints import REGISTRY

    model = model if model in REGISTRY else _absolute(model)
    tile = None if tile == "none" else tile
    return Job(_absolute(image), _absolute(cache), Encoding(model=model, tile=tile, **encoding), selection)


def run_job(job: "Job", *, workers: int | None, scheduler: str | None) -> Iterator[bool]:
    """Have the planes encoded, and tell of each whether it was new."""
    from napari_sam.cluster import connect, embed

    with connect(scheduler=scheduler, workers=workers) as client:
        if scheduler is not None:
            print(f"Connected; the cluster's own view of it: {client.dashboard_link}", file=sys.stderr)
        try:
            yield from (done.new for done in embed(client, job))
        except KeyboardInterrupt:
            if scheduler is not None:
                print("\nThe cluster goes on encoding; the same command shows how far it is", file=sys.stderr)
            raise


def _absolute(location: str) -> str:
    return location if "://" in location else str(Path(location).absolute())
