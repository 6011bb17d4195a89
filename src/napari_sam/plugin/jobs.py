"""What an annotation asks of the threads, as jobs on two desks. No Qt."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from napari_sam.plugin.work import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

    from napari_sam.crops import Crop
    from napari_sam.plane_mask import PlaneMask
    from napari_sam.plugin.bench import Answer, Bench
    from napari_sam.plugin.drafts import Look
    from napari_sam.plugin.session import Ask
    from napari_sam.plugin.walk import Route
    from napari_sam.plugin.work import Desks
    from napari_sam.prompts import Prompt
    from napari_sam.stack import Plane

    OnEnd = Callable[[Exception | None], None]

OPEN, DECODE, WALK, SEARCH, ENCODE, WRITE = range(6)  # urgency
_TURN, _PATIENCE = 0.02, 1.0  # seconds
T = TypeVar("T")


class Jobs:
    """Submit the work of an annotation; clicks overtake walks, and the background waits for both.

    Parameters
    ----------
    desks : Desks
        Neither a click nor a commit waits for a plane that takes the encoder seconds.
    on_end : callable
        Told the end of every job for which nobody else is told: None, or an error.
    """

    def __init__(self, desks: Desks, on_end: OnEnd) -> None:
        self._desks, self._on_end = desks, on_end

    def in_turns(self, things: Iterable[T], do: Callable[[T], None]) -> None:
        """Let the GUI thread do something to each thing, with time for other events between them."""
        is_done = threading.Event()

        def turns() -> Iterator[T]:
            """Give the things one after the other; in the thread."""
            for thing in things:
                is_done.clear()
                yield thing
                is_done.wait(_PATIENCE)  # Qt would take the next one at once if it came while this one is done
                time.sleep(_TURN)

        def take_turn(thing: T) -> None:
            """Do one of them and let the thread go on; in the GUI thread."""
            try:
                do(thing)
            finally:
                is_done.set()

        self._submit("turns", OPEN, turns, take_turn)

    def open(self, bench: Bench, on_fetched: Callable[[tuple[int, int] | None], None], on_end: OnEnd) -> None:
        """Open the segmenter; whatever is submitted later finds it open."""
        self._submit("open", OPEN, bench.open, on_fetched, on_end)

    def decode(
        self, bench: Bench, asks: Sequence[Ask], on_answers: Callable[[list[Answer]], None], on_end: OnEnd
    ) -> None:
        """Decode prompts: one alone takes the place of an earlier one for the same object and plane.

        Of many, those that are asked for anew meanwhile are answered later, and that counts.
        """
        key = asks[0].key if len(asks) == 1 else asks[0].number
        self._submit(("decode", key), DECODE, partial(bench.decode, asks), on_answers, on_end)

    def walk(
        self,
        bench: Bench,
        seeds: Sequence[Prompt],
        way: Route,
        look: Look,
        *,
        on_found: Callable[[tuple[PlaneMask, Crop]], None],
        on_end: OnEnd,
    ) -> None:
        """Walk from anchors; see `Bench.walk`."""
        self._submit("walk", WALK, partial(bench.walk, seeds, way, look), on_found, on_end)

    def search(self, look_for: Callable[[], Iterator[Any]], on_found: Callable[[Any], None]) -> None:
        """Look something up when nothing else is asked for."""
        self._submit("search", SEARCH, look_for, on_found)

    def encode(self, bench: Bench, planes: Sequence[Plane], on_encoded: Callable[[Plane | None], None]) -> None:
        """Encode planes in the background, in this order, while no click waits."""
        run = partial(bench.encode, planes, lambda: not self._desks.clicks.is_empty)
        self._desks.encoding.submit(Job(key="encode", urgency=ENCODE, run=run, on_step=on_encoded, on_end=self._on_end))

    def write(self, run: Callable[[], Iterator[None]], on_end: OnEnd) -> None:
        """Write into the labels, after everything that was asked for before; nothing cancels that."""
        self._desks.writing.submit(Job(key=object(), urgency=WRITE, run=run, on_end=on_end))

    def cancel_walk(self) -> None:
        """Stop the walk at the next plane."""
        self._desks.clicks.cancel("walk")

    def pause_encoding(self) -> None:
        """Stop the background at the next plane."""
        self._desks.encoding.cancel("encode")

    @property
    def is_opening(self) -> bool:
        """Whether the segmenter is being opened."""
        return self._desks.clicks.has("open")

    def clear(self) -> None:
        """Cancel everything but what goes to the labels."""
        self._desks.clicks.clear()
        self._desks.encoding.clear()

    def _submit(
        self,
        key: Hashable,
        urgency: int,
        run: Callable[[], Iterator[Any]],
        on_step: Callable[[Any], None],
        on_end: OnEnd | None = None,
    ) -> None:
        self._desks.clicks.submit(
            Job(key=key, urgency=urgency, run=run, on_step=on_step, on_end=on_end or self._on_end)
        )
