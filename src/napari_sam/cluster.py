"""One cache, many machines: the planes of a stack as tasks of a dask.distributed cluster (extra `cluster`)."""

import logging
import os
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast

import dask
import torch
import xxhash
from distributed import Client, LocalCluster, WorkerPlugin, as_completed, fire_and_forget, get_worker

from napari_sam.cache import EmbeddingCache
from napari_sam.cache_key import describe_image
from napari_sam.cache_store import as_location
from napari_sam.checkpoints import load_sam
from napari_sam.contrast import Contrast, estimate_contrast
from napari_sam.selection import Selection
from napari_sam.stack import Plane, Stack
from napari_sam.tiles import TileChoice

_RETRIES = 3


@dataclass(frozen=True, slots=True)
class Encoding:
    """How planes are encoded.

    Attributes
    ----------
    model : str
        A name that ``sam-stacks models`` lists, or a file that every worker can read.
    device : str or None
        Where workers encode. None: on a GPU if they have one.
    precision : str
        In which workers encode: ``"float32"``, ``"bfloat16"`` or ``"float16"``.
    tile, overlap
        How large planes are tiled, as in `TileGrid.choose`.
    """

    model: str = "nano"
    device: str | None = None
    precision: str = "float32"
    tile: TileChoice = "auto"
    overlap: int | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A stack to encode; what each worker is told.

    Attributes
    ----------
    image, cache : str
        Paths or URLs that mean the same to every worker.
    encoding : Encoding
        How.
    selection : Selection
        What of the image is looked at.
    """

    image: str
    cache: str
    encoding: Encoding = Encoding()
    selection: Selection = field(default_factory=Selection)

    def open_stack(self) -> Stack:
        """Open the image, as the command line does.

        Raises
        ------
        OSError
            If there is nothing to read.
        ValueError
            If it is no image, or has no such channel, level or planes.
        """
        return self.selection.open_stack(self.image)

    def open_cache(self, contrast: Contrast) -> EmbeddingCache:
        """Load the model and open the cache; what a worker does once.

        Raises
        ------
        OSError
            If image, model or cache cannot be read.
        ValueError
            If one of them is not what it should be.
        """
        sam = load_sam(self.encoding.model, device=self.encoding.device)
        sam.image_encoder.to(getattr(torch, self.encoding.precision))
        return EmbeddingCache.open(
            as_location(self.cache),
            sam=sam,
            stack=self.open_stack(),
            contrast=contrast,
            source=self.selection.describe(self.image),
            tile=self.encoding.tile,
            overlap=self.encoding.overlap,
        )


@dataclass(frozen=True, slots=True)
class Done:
    """A plane that is in the cache.

    Attributes
    ----------
    plane : tuple of int
        Which.
    new : bool
        Whether it had to be encoded.
    """

    plane: Plane
    new: bool


def embed(client: Client, job: Job, planes: Iterable[Plane] | None = None) -> Iterator[Done]:
    """Let the workers of a cluster encode what a cache lacks.

    A plane is a task. Each worker loads the model once, reads the planes that it is given, and writes them into the
    cache itself. What fails is tried again three times; what a lost worker had in flight goes to another one. If the
    iterator is closed or this process ends, the cluster goes on, and the same call by another process joins in. What
    is encoded is the same as with `Segmenter.embed`.

    Parameters
    ----------
    client : distributed.Client
        Connected to the cluster.
    job : Job
        What to encode.
    planes : iterable of tuple of int, optional
        Which ones. None: every plane.

    Yields
    ------
    Done
        As each plane is safely in the cache, in no order.

    Raises
    ------
    OSError
        At the end, if planes could not be encoded.
    ValueError
        If there is no such plane, or the image is not as described.
    """
    stack = job.open_stack()
    wanted = [stack.check_plane(plane) for plane in (stack.planes() if planes is None else planes)]
    contrast = estimate_contrast(stack)
    encoder = _Encoder(job, contrast, name=_name(job, contrast, stack, wanted))
    client.register_plugin(encoder)
    by_key = {f"{encoder.name}-{plane}": plane for plane in wanted}
    options = {"key": list(by_key), "retries": _RETRIES, "pure": False}
    futures = client.map(_encode, [encoder] * len(wanted), wanted, **options)
    fire_and_forget(futures)
    running = as_completed(futures)
    del futures  # so that each result is let go when it has been told, and is not computed again for a lost worker
    failed = yield from _told(running, by_key)
    with suppress(ValueError):  # another client that waited for the same planes was faster
        client.unregister_worker_plugin(encoder.name)  # which lets go of the model
    if failed:
        msg = (
            f"{len(failed)} of {len(wanted)} planes could not be encoded, such as {failed[0]}; the others are in the "
            "cache, and the same call tries these again"
        )
        raise OSError(msg)


@contextmanager
def connect(*, scheduler: str | None = None, workers: int | None = None) -> Iterator[Client]:
    """Connect to a cluster, or start one of processes on this machine, which ends with the context.

    Parameters
    ----------
    scheduler : str, optional
        Address such as ``tcp://login-node:8786``.
    workers : int, optional
        Processes to start, which share the processor cores.

    Raises
    ------
    OSError
        If nobody answers at the address.
    ValueError
        If not just one of the two is given, or no process would be started.
    """
    if (scheduler is None) == (workers is None):
        msg = f"expected either a scheduler or a number of workers, got scheduler={scheduler} and workers={workers}"
        raise ValueError(msg)
    if workers is not None and workers < 1:
        msg = f"workers must be at least 1, got {workers}: without one nothing would ever be encoded"
        raise ValueError(msg)
    if scheduler is not None:
        with Client(scheduler) as client:
            yield client
        return
    threads = max(1, (os.cpu_count() or 1) // max(1, workers or 1))
    settings = {"distributed.nanny.pre-spawn-environ.OMP_NUM_THREADS": threads}  # which dask otherwise sets to 1
    options = {
        "threads_per_worker": 1,
        "memory_limit": None,  # a worker holds the model and a plane, nothing to spill: a limit could only kill it
        "dashboard_address": None,
        "silence_logs": logging.ERROR,  # warnings are of processes that start and end slowly
    }
    with dask.config.set(settings), LocalCluster(n_workers=workers, **options) as cluster, Client(cluster) as client:
        yield client


class _Encoder(WorkerPlugin):
    """What a worker keeps between planes: the model and the open cache."""

    idempotent = True  # a client that comes back does not make the workers load the model again

    def __init__(self, job: Job, contrast: Contrast, *, name: str) -> None:
        self.job = job
        self.contrast = contrast
        self.name = name
        self.cache: EmbeddingCache | None = None

    def setup(self, worker: Any) -> None:
        """Prepare a worker; the model is loaded with the first plane, where a failure is told and tried again."""
        self._lock = threading.Lock()

    def encode(self, plane: Plane) -> bool:
        """Bring a plane into the cache; return whether it had to be encoded."""
        with self._lock:
            if self.cache is None:
                self.cache = self.job.open_cache(self.contrast)
        return bool(list(self.cache.embed([plane])))


def _encode(encoder: _Encoder, plane: Plane) -> bool:
    """Encode with what the worker keeps, of which the encoder that travels with the task is only the description."""
    worker = get_worker()
    kept = cast("_Encoder | None", worker.plugins.get(encoder.name))
    if kept is None:  # another client, who waited for the same planes, has just let go of it
        kept = _Encoder(encoder.job, encoder.contrast, name=encoder.name)
        kept.setup(worker)
    return kept.encode(plane)


def _name(job: Job, contrast: Contrast, stack: Stack, planes: Sequence[Plane]) -> str:
    """Name tasks so that those of the same job are the same tasks, whoever submits them.

    Other planes are another job: whoever has them all lets go of the model, while others still wait for theirs.
    """
    described = repr((job, contrast, describe_image(stack), sorted(planes)))
    return f"sam-embed-{xxhash.xxh3_64_hexdigest(described.encode())}"


def _told(running: Iterable[Any], by_key: dict[str, Plane]) -> Generator[Done, None, list[str]]:
    """Tell of each plane that is done, and return which planes failed and why."""
    failed: list[str] = []
    for future in running:
        plane = by_key[future.key]
        if future.status == "finished":
            yield Done(plane, new=future.result())
        else:
            reason = future.exception() if future.status == "error" else "it was cancelled"
            failed.append(f"plane {plane} ({reason})")
    return failed
