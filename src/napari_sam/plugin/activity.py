"""Bars in napari's activity dock for work that goes on by itself."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from napari.utils import cancelable_progress, progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_sam.plugin.annotation import Annotation


class Bars:
    """Show which planes are encoded, and how much of a model is here, of the annotation at hand.

    Parameters
    ----------
    on_cancel : callable
        Called when somebody cancels a download.
    """

    def __init__(self, on_cancel: Callable[[], None]) -> None:
        self._encoding = Activity("Encoding planes")
        self._download = Activity("Downloading the model", on_cancel)

    def show(self, annotation: Annotation | None, *, is_encoding: bool) -> None:
        """Show bars for what is under way, and take the others away; None: there is no image."""
        fetching = None if annotation is None else annotation.fetching
        if annotation is not None and is_encoding:
            self._encoding.show(*annotation.ahead)
        else:
            self._encoding.hide()
        if fetching is not None:
            self._download.show(*(round(size / 2**20) for size in fetching))
        else:
            self._download.hide()


class Activity:
    """Show how far something is, while it is under way.

    napari's bars process events while they are drawn, and an event may be the next step of what they show: such a
    call from within is dropped, and the one after it catches up.

    Parameters
    ----------
    what : str
        Beside the bar.
    on_cancel : callable, optional
        Called when somebody presses the bar's button; None: there is none.
    """

    def __init__(self, what: str, on_cancel: Callable[[], None] | None = None) -> None:
        self._what, self._on_cancel = what, on_cancel
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
            given = {"total": total, "desc": self._what}
            if self._on_cancel is not None:
                given["bar_format"] = "{desc}|{bar}|{n_fmt}/{total_fmt}"  # a longer text hides the button
            self._bar = progress(**given) if self._on_cancel is None else _Cancelable(self._on_cancel, **given)
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


class _Cancelable(cancelable_progress):
    """A bar that tells at once: napari's own tells the loop that it is put around, and there is none."""

    def __init__(self, on_cancel: Callable[[], None], **given: Any) -> None:
        self._on_cancel = on_cancel
        super().__init__(**given)

    def cancel(self) -> None:
        """Tell who asked for the bar, and take the bar away."""
        super().cancel()
        self._on_cancel()
