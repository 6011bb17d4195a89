"""What the tests of the plugin share: an annotation without a window, and a widget in one."""

import numpy as np
import pytest
from tests.plugin import docks, fakes

from napari_sam.plugin.widget import SamStacks


@pytest.fixture
def studio():
    """An annotation of a stack, in a viewer model; its desks are worked off when the test says so."""
    return fakes.Studio(np.zeros(fakes.SHAPE, np.uint8))


@pytest.fixture
def docked(make_napari_viewer_proxy, qtbot):
    """A viewer with an image and the widget; a click is answered by a fake."""
    viewer = make_napari_viewer_proxy()
    viewer.add_image(np.zeros(docks.SHAPE, np.uint8), name="stack")
    widget = SamStacks(viewer, open_segmenter=fakes.FakeSegmenter)
    viewer.window.add_dock_widget(widget, name="SAM stacks")
    viewer.dims.set_point(0, docks.CLICK[0])
    qtbot.waitUntil(lambda: widget._threads.is_idle)
    yield viewer, widget
    widget._threads.stop()
    qtbot.waitUntil(lambda: widget._threads.is_idle)
