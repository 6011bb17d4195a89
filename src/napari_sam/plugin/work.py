"""Work off the GUI thread, as one iterator that a thread steps: urgent jobs first, each a step at a time. No Qt."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

# What the library raises when the input, the disk, the network, the memory or the installation is at fault.
EXPECTED_ERRORS = (ValueError, OSError, RuntimeError, MemoryError, ImportError)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Job:
    """An iterator to step, and whom to tell.

    Attributes
    ----------
    key : hashable
        A newer job with the same key takes the place of an older one.
    urgency : int
        Jobs of a smaller number go first, also between two steps of another.
    run : callable
        Called in the thread; gives the iterator.
    on_step : callable
        Told each value in the GUI thread.
    on_end : callable
        Told, in the GUI thread, that the iterator ended: None, or the error that ended it.
    """

    key: Hashable
    urgency: int
    run: Callable[[], Iterator[Any]]
    on_step: Callable[[Any], None] = field(default=lambda value: None)
    on_end: Callable[[Exception | None], None] = field(default=lambda error: None)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What happened in the thread: a value of a job, or its end."""

    job: Job
    value: Any = None
    ended: bool = False
    error: Exception | None = None


class Desk:
    """Jobs that wait. One thread works on them; jobs are submitted, cancelled and answered in the GUI thread.

    The thread is needed only while there is work: `work` ends when the desk is empty, and is started again with the
    next job.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[Hashable, tuple[Job, Iterator[Any] | None]] = {}  # to be stepped by the thread
        self._counting: dict[Hashable, Job] = {}  # whose steps the GUI thread still wants

    def submit(self, job: Job) -> None:
        """Put a job on the desk, in place of one with the same key."""
        self._counting[job.key] = job
        with self._lock:
            self._open.pop(job.key, None)
            self._open[job.key] = (job, None)

    def cancel(self, key: Hashable) -> None:
        """Take a job off the desk: it takes no further step, and steps that are on their way count no more."""
        self._counting.pop(key, None)
        with self._lock:
            self._open.pop(key, None)

    def clear(self) -> None:
        """Cancel all jobs."""
        for key in tuple(self._counting):
            self.cancel(key)

    def has(self, key: Hashable) -> bool:
        """Whether a job is on the desk, or steps of it are on their way."""
        return key in self._counting

    @property
    def is_empty(self) -> bool:
        """Whether the thread has nothing to do."""
        return not self._open

    def work(self) -> Iterator[Step]:
        """Step the most urgent job until there is none; an expected error ends its job, and not the work.

        Yields
        ------
        Step
            For `deliver`, in the GUI thread.
        """
        while (job := self._most_urgent()) is not None:
            try:
                value = next(self._iterator(job))
            except StopIteration:
                self._close(job)
                yield Step(job, ended=True)
            except EXPECTED_ERRORS as error:
                self._close(job)
                yield Step(job, ended=True, error=error)
            except Exception:
                self._close(job)  # or it would be tried again and again
                raise
            else:
                yield Step(job, value)

    def deliver(self, step: Step) -> None:
        """Tell a job's callbacks, unless it was cancelled or replaced meanwhile."""
        job = step.job
        if self._counting.get(job.key) is not job:
            return
        if step.ended:
            del self._counting[job.key]
            job.on_end(step.error)
        else:
            job.on_step(step.value)

    def _most_urgent(self) -> Job | None:
        with self._lock:
            return min((job for job, _ in self._open.values()), key=lambda job: job.urgency, default=None)

    def _iterator(self, job: Job) -> Iterator[Any]:
        """Find the iterator of a job, or make it before its first step; empty if that was cancelled just now."""
        with self._lock:
            iterator = self._open.get(job.key, (None, None))[1]
        iterator = job.run() if iterator is None else iterator
        with self._lock:
            if self._open.get(job.key, (None, None))[0] is not job:
                return iter(())
            self._open[job.key] = (job, iterator)
            return iterator

    def _close(self, job: Job) -> None:
        with self._lock:
            if self._open.get(job.key, (None, None))[0] is job:
                del self._open[job.key]


@dataclass(frozen=True, slots=True, eq=False)
class Desks:
    """The desks of a widget; each has a thread of its own, so that none waits for what is done at another.

    Attributes
    ----------
    clicks : Desk
        For what the user waits for.
    encoding : Desk
        For the background.
    writing : Desk
        For what goes to the labels or to the disk: nothing cancels that.
    """

    clicks: Desk = field(default_factory=Desk)
    encoding: Desk = field(default_factory=Desk)
    writing: Desk = field(default_factory=Desk)
