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
    """Yield each step once it is logged; save each minute, at the end, and when closed between two steps."""
    saved = monotonic()
    for step in trainer.run():
        log.write(asdict(step))
        if monotonic() - saved > _SAVE_EVERY:
            save()
            saved = monotonic()
        try:
            yield step
        except GeneratorExit:
            save()
            raise
    save()  # what follows may take long, and may be interrupted too
