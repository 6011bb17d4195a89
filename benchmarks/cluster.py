"""How much faster two workers encode than one, each with one thread, as a Markdown table.

Run ``python benchmarks/cluster.py`` on an otherwise idle machine with at least as many cores as workers; the load is
printed, because on a busy one the ratio says nothing. What workers do once, load the model and open the cache, is not
counted: the clock starts when each has had time for two planes.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import zarr

from napari_sam.cluster import Job, connect, embed
from napari_sam.sample import make_nuclei_stack


def main() -> None:
    """Fill a fresh cache with each number of workers, and print planes per second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--planes", type=int, default=100)
    parser.add_argument("--side", type=int, default=512, help="of a plane, in pixels")
    parser.add_argument("--model", default="nano")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # of each worker; a single one would get every core
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "stack.zarr"
        pixels = make_nuclei_stack((arguments.planes, arguments.side, arguments.side), seed=0).image
        zarr.create_array(image, data=pixels, chunks=(1, *pixels.shape[1:]))
        rates = []
        for workers in arguments.workers:
            load = os.getloadavg()[0]
            job = Job(str(image), str(Path(folder) / f"cache-{workers}"), model=arguments.model)
            rates.append(planes_per_second(job, workers))
            print(f"{workers} workers: {rates[-1]:.2f} planes/s (load average before it {load:.1f})", flush=True)
        counts = pairwise(zip(arguments.workers, rates, strict=True))
        for (fewer, slower), (more, faster) in counts:
            print(f"{fewer} -> {more} workers: {faster / slower:.2f} times faster")


def planes_per_second(job: Job, workers: int) -> float:
    """Encode everything, and count from when all workers are at work."""
    with connect(workers=workers) as client:
        times = [perf_counter() for _ in embed(client, job)]
    first = 2 * workers
    return (len(times) - first) / (times[-1] - times[first - 1])


if __name__ == "__main__":
    main()
