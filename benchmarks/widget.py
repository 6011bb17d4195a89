"""Time until the dock widget is there, beside that of napari's own window, as a Markdown table.

Run ``python benchmarks/widget.py``, under a display of its own if there is none:
``xvfb-run -a python benchmarks/widget.py``. CPU time is of the whole process, all threads; on a busy machine it says
more than wall time. Each row is measured once: only the first time of a process is a start.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import napari
    from qtpy.QtWidgets import QWidget

    Lap = tuple[str, float, float]  # what, wall and CPU time in seconds


def laps() -> Iterator[Lap]:
    """Open a window, then the widget in it, then wait for the model."""
    now = _clocks()
    viewer = _open_viewer()
    yield "napari: import, window with a stack on the screen", *_since(now)
    now = _clocks()
    docked, widget = viewer.window.add_plugin_dock_widget("napari-sam-stacks", "SAM stacks")
    _until(_is_painted(widget))
    yield "the widget: asked for until it is on the screen", *_since(now)
    _until(lambda: widget.annotation.segmenter is not None and not widget.annotation.stage.missing)
    yield "asked for until the model is open, which is done in a thread", *_since(now)
    docked.close()
    viewer.close()


def _open_viewer() -> napari.Viewer:
    import napari
    import numpy as np
    from qtpy.QtWidgets import QApplication

    viewer = napari.Viewer()
    viewer.add_image(np.zeros((24, 256, 256), np.uint16))
    _until(_is_painted(next(one for one in QApplication.topLevelWidgets() if one.isVisible())))
    return viewer


def _is_painted(widget: QWidget) -> Callable[[], bool]:
    """Tell whether a widget was painted since this was called."""
    from qtpy.QtCore import QEvent, QObject

    class Painted(QObject):
        seen = False

        def eventFilter(self, watched: QObject, event: QEvent) -> bool:
            self.seen = self.seen or event.type() == QEvent.Type.Paint
            return super().eventFilter(watched, event)

    painted = Painted(widget)
    widget.installEventFilter(painted)
    widget.update()
    return lambda: painted.seen


def _until(condition: Callable[[], bool]) -> None:
    from qtpy.QtWidgets import QApplication

    while not condition():
        QApplication.processEvents()
        time.sleep(0.001)


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(then: tuple[float, float]) -> tuple[float, float]:
    now = _clocks()
    return now[0] - then[0], now[1] - then[1]


def main() -> None:
    """Print the table."""
    print("| | wall | CPU |\n|---|---|---|")
    for what, wall, cpu in laps():
        print(f"| {what} | {wall:.2f} s | {cpu:.2f} s |")


if __name__ == "__main__":
    main()
