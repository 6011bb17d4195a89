"""Drive the real window with real mouse and key events through a session, and save a screenshot of each step.

Run under a display of its own: ``xvfb-run -a -s "-screen 0 1280x800x24" python tools/tour.py docs/images``.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import napari
import numpy as np
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

from napari_sam.plugin.bench import Opener
from napari_sam.plugin.widget import SamStacks
from napari_sam.sample import Sample, make_nuclei_stack

SIZE = (1280, 800)
PATIENCE = 600.0  # seconds; encoders are slow on a busy machine


class Tour:
    """A window with the sample and the widget, and hands to use them with."""

    def __init__(self, sample: Sample, model: str, cache: Path, folder: Path) -> None:
        self.sample, self.folder = sample, folder
        self.viewer = napari.Viewer()
        self.image = self.viewer.add_image(
            sample.image, name="nuclei", scale=sample.spacing, units=("um",) * 3, contrast_limits=(100, 2500)
        )
        self.widget = SamStacks(self.viewer, open_segmenter=Opener(model, cache))
        self.viewer.window.add_dock_widget(self.widget, name="SAM stacks")
        self.widget.window().setGeometry(0, 0, *SIZE)
        self.widget.window().activateWindow()
        QTest.qWaitForWindowActive(self.widget.window())
        self.viewer.dims.set_point(0, self.image.data_to_world((len(sample.image) // 2, 0, 0))[0])
        self.rest(1.0)

    @property
    def annotation(self) -> "napari_sam.plugin.annotation.Annotation":  # noqa: F821
        """What the widget is working on."""
        return self.widget.annotation

    @property
    def canvas(self) -> QWidget:
        """The widget that shows the image."""
        return next(w for w in QApplication.allWidgets() if type(w).__name__.startswith("CanvasBackend"))

    @property
    def camera(self) -> "napari.components.Camera":
        """How the image is looked at; it moved in napari 0.9."""
        return self.viewer.scene.camera if hasattr(self.viewer, "scene") else self.viewer.camera

    def rest(self, seconds: float) -> None:
        """Let the window do what it has to."""
        QTest.qWait(int(1000 * seconds))

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait, as a user would."""
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end:
                sys.exit(f"gave up waiting for {what}")
            QTest.qWait(50)

    def click(self, voxel: tuple[float, ...]) -> None:
        """Click on a voxel, in the middle of the window, and wait for the answer."""
        self.viewer.dims.set_point(0, self.image.data_to_world(voxel)[0])
        self.camera.center = self.image.data_to_world(voxel)
        self.rest(0.3)
        world = np.array(self.image.data_to_world(voxel))[-2:]
        offset = (world - np.array(self.camera.center)[-2:]) * self.camera.zoom
        middle = self.canvas.rect().center()
        spot = middle + QPoint(round(offset[1]), round(offset[0]))
        before = self.annotation.session.number
        QTest.mouseMove(self.canvas, spot)
        self.rest(0.1)
        QTest.mouseClick(self.canvas, Qt.MouseButton.LeftButton, pos=spot)
        self.until(lambda: self.annotation.session.number > before, "a request")
        self.until(lambda: not self.annotation.session.asked, "a mask")

    def press(self, key: str, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        """Press a key over the canvas."""
        QTest.keyClick(self.canvas, key, modifier)
        self.rest(0.3)

    def picture(self, name: str) -> None:
        """Save the whole window."""
        self.rest(0.5)
        self.viewer.screenshot(str(self.folder / f"{name}.png"), canvas_only=False, flash=False)
        print(name, "|", self.widget.panel.status.text().replace("\n", " | "))


def steps(tour: Tour) -> Iterator[str]:
    """Go through a session; yields the name of each picture when the window shows it."""
    plane, row, column = _round_nucleus(tour.sample)
    tour.viewer.dims.set_point(0, tour.image.data_to_world((plane, 0, 0))[0])
    tour.until(lambda: tour.annotation.segmenter is not None, "the model")
    tour.camera.zoom *= 1.5
    yield "01-open"
    tour.click((plane, row, column))
    yield "02-click"
    tour.press("J")
    yield "03-next-mask"
    tour.press("J")
    tour.press("J")
    tour.press("G")
    tour.until(lambda: tour.annotation.walking is None, "the walk")
    yield "04-propagate"
    tour.press("W")
    yield "05-weakest"
    tour.annotation.go_to(tour.annotation.curve[-1].position)
    tour.press("G", Qt.KeyboardModifier.ShiftModifier)
    yield "05-ends-here"
    tour.press("Z", Qt.KeyboardModifier.ControlModifier)
    tour.press("K")
    for _ in range(2):
        plane, row, column = _round_nucleus(tour.sample, np.asarray(tour.annotation.result.labels.data))
        tour.click((plane, row, column))
        tour.press("G")
        tour.until(lambda: tour.annotation.walking is None, "the walk")
        tour.press("K")
    yield "06-commit"
    tour.press("U")
    yield "07-undo"
    tour.press("K")
    tour.widget.panel.advanced.setChecked(True)
    tour.viewer.dims.ndisplay = 3
    tour.camera.angles = (20, -30, 140)
    yield "08-volume"


def _round_nucleus(sample: Sample, taken: np.ndarray | None = None) -> tuple[int, int, int]:
    """Find the middle of the largest nucleus that nobody has labelled and that does not touch the border."""
    sizes = np.bincount(sample.labels.ravel())
    sizes[0] = 0
    if taken is not None:
        sizes[np.unique(sample.labels[taken > 0])] = 0
    edges = [sample.labels[:, :30], sample.labels[:, -30:], sample.labels[..., :30], sample.labels[..., -30:]]
    for edge in (*edges, sample.labels[:2], sample.labels[-2:]):
        sizes[np.unique(edge)] = 0
    inside = np.argwhere(sample.labels == sizes.argmax())
    middle = inside[((inside - inside.mean(axis=0)) ** 2).sum(axis=1).argmin()]
    return tuple(int(i) for i in middle)


def main() -> None:
    """Take the tour."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="nano")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache:  # planes may still be on their way there
        tour = Tour(make_nuclei_stack(), options.model, Path(cache), options.folder)
        for name in steps(tour):
            tour.picture(name)
        tour.viewer.close()


if __name__ == "__main__":
    main()
