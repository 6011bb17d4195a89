"""A bar in napari's activity dock for work that goes on by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils import progress

if TYPE_CHECKING:
    from collections.abc import Iterator
from contextlib import contextmanager


class Activity:
    """Show how far something is, while it is under way.

    napari's bars process events while they are drawn, and an event may be the next step of what they show: such a
    call from within is dropped, and the one after it catches up.

    Parameters
    ----------
    what : str
        Beside the bar.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._bar: progress | None = None
        self._is_drawing = False

    def show(self, done: int, total: int) -> None:
        """Show the bar, and how much of it is done."""
        with self._drawing() as may_draw:
            if may_draw:
                self._draw(done, total)

    def hide(self) -> None:
        """Take the bar away."""
        with self._drawing() as may_draw:
            if may_draw and self._bar is not None:
                self._bar.close()
                self._bar = None

    def _draw(self, done: int, total: int) -> None:
        if self._bar is not None and self._bar.total != total:
            self._bar.close()
            self._bar = None
        if self._bar is None:
            self._bar = progress(total=total, desc=self._what)
        if done != self._bar.n:
            self._bar.update(done - self._bar.n)

    @contextmanager
    def _drawing(self) -> Iterator[bool]:
        """Say whether this call comes from outside and may draw."""
        if self._is_drawing:
            yield False
            return
        self._is_drawing = True
        try:
            yield True
        finally:
            self._is_drawing = False
