"""Planes that are encoded before anybody asks for them, and which ones are. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_sam.plugin.bench import Bench
    from napari_sam.plugin.jobs import Jobs
    from napari_sam.stack import Plane


class Ahead:
    """Encode planes in the background.

    Parameters
    ----------
    jobs : Jobs
        Does it.
    on_encoded : callable
        Told after every plane.

    Attributes
    ----------
    encoded : set of Plane
        Planes that are encoded: here, or for a click or a walk.
    is_wanted : bool
        Whether anything is done at all.
    """

    def __init__(self, jobs: Jobs, on_encoded: Callable[[], None]) -> None:
        self.encoded: set[Plane] = set()
        self.is_wanted = True
        self._jobs, self._on_encoded = jobs, on_encoded

    def encode(self, bench: Bench, planes: Sequence[Plane]) -> None:
        """Encode those of some planes that are missing, in this order, instead of what was asked for before."""
        self._jobs.pause_encoding()
        missing = [plane for plane in planes if plane not in self.encoded]
        if self.is_wanted and missing and bench.segmenter is not None:
            self._jobs.encode(bench, missing, self._note)

    def count(self, planes: Sequence[Plane]) -> tuple[int, int]:
        """How many of some planes are encoded, and how many there are."""
        return len(self.encoded.intersection(planes)), len(planes)

    def _note(self, plane: Plane | None) -> None:
        if plane is not None:
            self.encoded.add(plane)
            self._on_encoded()
