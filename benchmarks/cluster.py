"""How much faster two workers encode than one, each with one thread, as a Markdown table.

Run ``python benchmarks/cluster.py`` on an otherwise idle machine with at least as many cores as workers; the load is
printed, because on a busy one planes per second say nothing; processor seconds a plane still tell whether two workers
stand in each other's way. What workers do once, load the model and open the cache, is not
counted: the clock starts when each has had time for two planes.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from itertools import pairwise
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING

import zarr

from napari_sam.cluster import Encoding, Job, connect, embed
from napari_sam.sample import make_nuclei_stack

if TYPE_CHECKING:
    from distributed import Client


def main() -> None:
    """Fill a fresh cache with each number of workers, and print planes per second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--planes", type=int, default=100)
    parser.add_argument("--side", type=int, default=512, help="of a plane, in pixels")
    parser.add_argument("--model", default="nano")
    arguments = parser.parse_args()
    if arguments.planes <= 2 * max(arguments.workers):
        parser.error(f"planes must be more than two for each worker, got {arguments.planes}")
    os.environ["OMP_NUM_THREADS"] = "1"  # of each worker; a single one would get every core
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "stack.zarr"
        pixels = make_nuclei_stack((arguments.planes, arguments.side, arguments.side), seed=0).image
        zarr.create_array(image, data=pixels, chunks=(1, *pixels.shape[1:]))
        rates = []
        for workers in arguments.workers:
            load = os.getloadavg()[0]
            job = Job(str(image), str(Path(folder) / f"cache-{workers}"), encoding=Encoding(model=arguments.model))
            rate, seconds = measured(job, workers)
            rates.append(rate)
            told = f"{rate:.2f} planes/s, {seconds:.3f} processor seconds a plane"
            print(f"{workers} workers: {told} (load average before it {load:.1f})", flush=True)
        for (fewer, slower), (more, faster) in pairwise(zip(arguments.workers, rates, strict=True)):
            print(f"{fewer} -> {more} workers: {faster / slower:.2f} times faster")


def measured(job: Job, workers: int) -> tuple[float, float]:
    """Encode everything; planes per second and processor seconds a plane, from when all workers are at work."""
    first, count = 2 * workers, 0
    with connect(workers=workers) as client:
        for count, _ in enumerate(embed(client, job), start=1):
            if count == first:
                started, used = perf_counter(), processor_seconds(client)
        elapsed, used = perf_counter() - started, processor_seconds(client) - used
    return (count - first) / elapsed, used / (count - first)


def processor_seconds(client: Client) -> float:
    """What all workers have used so far."""
    return sum(client.run(process_time).values())


if __name__ == "__main__":
    main()
