"""Run by test_demo.py as ``demo_visitor.py [FOLDER]``: open the demo and mark a nucleus with each tool, by the mouse.

Prints, as JSON, the IoU of each mask with the true nucleus. With a folder, a picture of the window after each tool
goes there.
"""

import json
import sys
import time
import traceback
from pathlib import Path

import napari
import numpy as np
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_sam.cli import app

PATIENCE = 120  # seconds; the machine may be busy
LEFT = Qt.MouseButton.LeftButton


class Visitor:
    """Somebody in front of the window."""

    def __init__(self, folder, ious):
        self.folder, self.ious = folder, ious
        self.viewer = napari.current_viewer()
        docked = self.viewer.window.dock_widgets
        self.widget = next(docked[name] for name in docked if name.startswith("SAM stacks"))
        self.canvas = next(w for w in QApplication.allWidgets() if type(w).__name__.startswith("CanvasBackend"))
        self.widget.window().activateWindow()
        QTest.qWaitForWindowActive(self.widget.window())

    @property
    def annotation(self):
        return self.widget.annotation

    def visit(self):
        """Try every tool on a nucleus of its own, then close the window."""
        self.until(lambda: self.annotation is not None and self.annotation.segmenter is not None)
        self.until(lambda: not self.annotation.stage.missing)
        plane = self.annotation.plane
        truth = np.asarray(self.viewer.layers["nuclei (truth)"].data)[plane]
        sizes = np.bincount(truth.ravel())
        edge = [truth[:20], truth[-20:], truth[:, :20], truth[:, -20:]]
        for one in (0, *(number for side in edge for number in np.unique(side))):
            sizes[one] = 0
        tools = {"point": self.point, "box": self.box, "outline": self.outline, "scribble": self.scribble}
        for number, (tool, draw) in zip(np.argsort(-sizes), tools.items(), strict=False):
            self.mark(tool, draw, truth == number)
        self.widget.window().close()

    def mark(self, tool, draw, nucleus):
        """Choose a tool, draw with it, and compare the mask with the nucleus; then go on with a new object."""
        if tool != "point":  # that is chosen when the window opens
            QTest.mouseClick(self.widget.panel.tools[tool], LEFT)
        QTest.qWait(200)
        draw(nucleus)
        self.until(lambda: self.annotation.draft is not None and not self.annotation.session.asked)
        mask = self.annotation.draft.mask.full()
        self.ious[tool] = float((mask & nucleus).sum() / (mask | nucleus).sum())
        if self.folder is not None:
            QTest.qWait(500)
            self.viewer.screenshot(str(self.folder / f"{tool}.png"), canvas_only=False, flash=False)
        QTest.mouseClick(self.widget.panel.new_object, LEFT)

    def point(self, nucleus):
        """Click into the middle."""
        QTest.mouseClick(self.canvas, LEFT, pos=self.move(np.argwhere(nucleus).mean(axis=0)))

    def box(self, nucleus):
        """Drag from corner to corner."""
        inside = np.argwhere(nucleus)
        first, last = inside.min(axis=0), inside.max(axis=0)
        QTest.mousePress(self.canvas, LEFT, pos=self.move(first))
        for share in np.linspace(0.2, 1, 5):
            self.move(first + share * (last - first), LEFT)
        QTest.mouseRelease(self.canvas, LEFT, pos=self.move(last, LEFT))

    def outline(self, nucleus):
        """Click, go around, click again."""
        inside = np.argwhere(nucleus)
        radius = np.sqrt(len(inside) / np.pi)
        turns = np.linspace(0, 2 * np.pi, 12, endpoint=False)
        self.draw(inside.mean(axis=0) + radius * np.stack([np.sin(turns), np.cos(turns)], axis=1))

    def scribble(self, nucleus):
        """Click, go along the middle, click again."""
        inside = np.argwhere(nucleus)
        middle, reach = inside.mean(axis=0), np.ptp(inside[:, 1]) / 4
        self.draw(middle + np.stack([np.zeros(5), np.linspace(-reach, reach, 5)], axis=1))

    def draw(self, way):
        """Draw along pixels, with a click at either end."""
        QTest.mouseClick(self.canvas, LEFT, pos=self.move(way[0]))
        for pixel in way[1:]:
            self.move(pixel)
        QTest.mouseClick(self.canvas, LEFT, pos=self.move(way[-1]))

    def move(self, pixel, *held):
        """Move the mouse over a pixel of the plane, and say where on the canvas that is."""
        image, viewer = self.annotation.image, self.viewer
        camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera  # it moved in napari 0.9
        world = np.array(image.data_to_world((*self.annotation.plane, *pixel)))[-2:]
        offset = (world - np.array(camera.center)[-2:]) * camera.zoom
        spot = self.canvas.rect().center() + QPoint(round(offset[1]), round(offset[0]))
        QTest.mouseMove(self.canvas, spot)
        QTest.qWait(30)
        return spot

    def until(self, condition):
        """Wait, as a user would."""
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end:
                msg = f"gave up waiting: {self.widget.panel.status.text()!r}"
                raise TimeoutError(msg)
            QTest.qWait(50)


def main():
    """Visit the demo while napari's event loop runs."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    run, ious = napari.run, {}

    def visit():
        """Try all, and end in any case: napari would show an error and stay open."""
        visitor = Visitor(folder, ious)
        try:
            visitor.visit()
        except TimeoutError:
            traceback.print_exc()
        finally:
            QApplication.exit()

    def run_with_visitor():
        QTimer.singleShot(0, visit)
        run()

    napari.run = run_with_visitor
    app(["demo", "--napari"], result_action="return_value")
    sys.stdout.write(json.dumps(ious))


if __name__ == "__main__":
    main()
