"""What every training does around its steps: log, save now and then."""

from __future__ import annotations

from dataclasses import asdict
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_sam.training.state import Log
    from napari_sam.training.trainer import Step, Trainer

_SAVE_EVERY = 60.0  # seconds: what a power cut may cost


def follow(trainer: Trainer[Any], log: Log, *, save: Callable[[], None]) -> Iterator[Step]:
    """Yield each step once it is logged; save at once, now and then, at the end, and when closed between two steps.

    A step that is interrupted is lost, and those since the last saving: at most half of what was done in the first two
    minutes, and never more than a minute.
    """
    save()
    started = saved = monotonic()
    for step in trainer.run():
        log.write(asdict(step))
        now = monotonic()
        if now - saved >= min(saved - started, _SAVE_EVERY):
            save()
            saved = monotonic()
        try:
            yield step
        except GeneratorExit:
            save()
            raise
    save()  # what follows may take long, and may be interrupted too
