"""The steps of an annotation, to go back and forward again. No Qt.

A session is a value, and so is what is drawn: a step back is the moment before it, taken whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari.layers import Points, Shapes

    from napari_sam.plugin.drawn import Drawn
    from napari_sam.plugin.results import Entry, Stroke
    from napari_sam.plugin.session import Session

_MOST = 100  # steps, as many as napari keeps for a Labels layer


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """An annotation between two steps.

    Attributes
    ----------
    session : Session
        Prompts and drafts.
    drawn : mapping of str to Drawn
        What the layers of these names hold.
    adopted : tuple of Points or Shapes
        The user's layers that are read.
    object_id : int
        The object that is being edited.
    wrote : Entry, Stroke or None
        What the step from here, or to here, wrote into the labels.
    """

    session: Session
    drawn: Mapping[str, Drawn]
    adopted: tuple[Points | Shapes, ...]
    object_id: int
    wrote: Entry | Stroke | None = None


class History:
    """Moments that can be gone back to, and those that were gone back from."""

    def __init__(self) -> None:
        self._past: tuple[Moment, ...] = ()
        self._future: tuple[Moment, ...] = ()

    @property
    def last(self) -> Moment | None:
        """Where a step back leads."""
        return self._past[-1] if self._past else None

    @property
    def next(self) -> Moment | None:
        """Where a step forward leads."""
        return self._future[-1] if self._future else None

    def remember(self, before: Moment) -> None:
        """Begin a step; what was undone before is forgotten."""
        self._past, self._future = (*self._past, before)[-_MOST:], ()

    def back(self, now: Moment) -> Moment | None:
        """Take a step back from now; None if there is none."""
        if not self._past:
            return None
        *past, moment = self._past
        self._past, self._future = tuple(past), (*self._future, replace(now, wrote=moment.wrote))
        return moment

    def forward(self, now: Moment) -> Moment | None:
        """Take the step again that was taken back last; None if there is none."""
        if not self._future:
            return None
        *future, moment = self._future
        self._future, self._past = tuple(future), (*self._past, replace(now, wrote=moment.wrote))
        return moment

    def forget(self) -> None:
        """Forget all steps: they led to something that is gone."""
        self._past = self._future = ()
