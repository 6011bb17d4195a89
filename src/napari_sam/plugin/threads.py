"""Desks worked off in threads of Qt; a thread runs only while there is work.

superqt's workers, and with them napari's, replace ``warnings.showwarning`` while they run and put back what they found.
Two that overlap can put back each other's, for good; here two overlap all the time.
"""

from __future__ import annotations

import atexit
import weakref
from typing import TYPE_CHECKING

from qtpy.QtCore import QCoreApplication, QObject, QRunnable, QThreadPool, Signal

if TYPE_CHECKING:
    from napari_sam.plugin.work import Desk, Desks, Step


class Threads(QObject):
    """Keep one thread at each desk that is not empty.

    Parameters
    ----------
    desks : Desks
        Their steps are delivered in the thread that made this object, which must be the GUI thread.
    """

    def __init__(self, desks: Desks) -> None:
        super().__init__()
        self._running: dict[Desk, _Shift | None] = dict.fromkeys((desks.clicks, desks.encoding, desks.writing))
        self._lasting = desks.writing
        self._pool = QThreadPool(QCoreApplication.instance())  # others may keep all threads of Qt's own pool busy
        self._pool.setMaxThreadCount(len(self._running))
        self._see_out_at_exit()

    def wake(self) -> None:
        """Start threads where there is work; harmless if they run."""
        for desk, shift in self._running.items():
            if shift is None and not desk.is_empty:
                self._running[desk] = shift = _Shift(desk)
                shift.signals.stepped.connect(self._on_step)
                shift.signals.ended.connect(self._on_ended)
                self._pool.start(shift)

    @property
    def is_idle(self) -> bool:
        """Whether no thread runs."""
        return not any(self._running.values())

    def work_at(self, *desks: Desk) -> bool:
        """Whether a thread runs at one of these desks, or has to."""
        return any(self._running[desk] is not None or not desk.is_empty for desk in desks)

    def stop(self) -> None:
        """Empty the desks but that for writing; threads end after the step that they are at."""
        for desk in self._running:
            if desk is not self._lasting:
                desk.clear()

    def _on_step(self, desk: Desk, step: Step) -> None:
        desk.deliver(step)

    def _on_ended(self, desk: Desk, mistake: Exception | None) -> None:
        self._running[desk] = None
        self.wake()
        if mistake is not None:
            raise mistake  # for napari to show: nobody expected it

    def _see_out_at_exit(self) -> None:
        """Wait for the threads before Python goes, whether napari's event loop ends or a script without one."""
        own = weakref.WeakMethod(self._wait)
        atexit.register(lambda: (wait := own()) is not None and wait())
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self._wait)

    def _wait(self) -> None:
        self.stop()
        self._pool.waitForDone()
        for _ in self._lasting.work():  # what came while its thread was ending: no event starts another one now
            pass


class _Signals(QObject):
    stepped = Signal(object, object)
    ended = Signal(object, object)


class _Shift(QRunnable):
    """One thread at a desk, until the desk is empty."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.setAutoDelete(False)
        self.signals = _Signals()
        self._desk = desk

    def run(self) -> None:
        """Work; called in the thread."""
        mistake = None
        try:
            for step in self._desk.work():
                self.signals.stepped.emit(self._desk, step)
        except Exception as error:  # noqa: BLE001 - raised again in the GUI thread
            mistake = error
        self.signals.ended.emit(self._desk, mistake)
