"""Whom an annotation tells what happens to it. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Whom an annotation tells, in the GUI thread.

    Attributes
    ----------
    on_change : callable
        That something changed that can be seen here.
    on_open : callable
        That the segmenter is open.
    on_error : callable
        What went wrong in a thread.
    """

    on_change: Callable[[], None] = lambda: None
    on_open: Callable[[], None] = lambda: None
    on_error: Callable[[Exception], None] = lambda error: None
