"""What the library logs as a warning, said in the window: there nobody reads a log."""

from __future__ import annotations

import logging
import weakref

from napari.utils.notifications import show_warning
from qtpy.QtCore import QObject, Signal

_LIBRARY = "napari_sam"
_PLUGIN = f"{_LIBRARY}.plugin"  # says itself what goes wrong


class LibraryWarnings(QObject):
    """Show each kind of warning once: what is wrong with one plane is often wrong with all.

    Ends with `stop`, or when nobody holds it any more.
    """

    _warned = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()
        self._warned.connect(self._show)  # the library warns in threads, and this is the GUI's
        self._handler = _Handler(self)
        logging.getLogger(_LIBRARY).addHandler(self._handler)

    def begin_anew(self) -> None:
        """Say again what was said: it is about another image."""
        self._said.clear()

    def stop(self) -> None:
        """Listen no more."""
        logging.getLogger(_LIBRARY).removeHandler(self._handler)

    def hear(self, record: logging.LogRecord) -> None:
        """Take a record of any thread."""
        kind = str(record.msg)
        if not record.name.startswith(_PLUGIN) and kind not in self._said:
            self._said.add(kind)
            self._warned.emit(record.getMessage())

    def _show(self, said: str) -> None:
        show_warning(said[:1].upper() + said[1:])


class _Handler(logging.Handler):
    def __init__(self, listener: LibraryWarnings) -> None:
        super().__init__(logging.WARNING)
        self._listener = weakref.ref(listener)

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on, as long as there is somebody to hear it."""
        listener = self._listener()
        if listener is None:
            logging.getLogger(_LIBRARY).removeHandler(self)
        else:
            listener.hear(record)
