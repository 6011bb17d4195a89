"""In a dock that is too short for the controls they scroll, and none is squeezed."""

import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QVBoxLayout, QWidget

from napari_sam.plugin.panel import Panel
from napari_sam.plugin.scrolling import Scrolling


@pytest.fixture
def panel():
    panel = Panel()
    panel.more.cache.addItems(["your cache folder", "memory only"])
    panel.status.setText("Not right? Click on what is missing, or on what is too much. " * 3)
    return panel


@pytest.fixture
def scrolling(panel, qtbot):
    scrolling = Scrolling(panel)
    qtbot.addWidget(scrolling)
    scrolling.resize(300, 500)
    scrolling.show()
    return scrolling


@pytest.mark.parametrize("height", [200, 500, 650])
def test_on_a_small_screen_nothing_is_squeezed(panel, scrolling, qtbot, height):
    """In a window of 650 pixels with everything unfolded the curve had 30 of its 76, of which it drew on 6."""
    panel.restore.show()
    panel.advanced.setChecked(True)
    scrolling.resize(300, height)
    qtbot.waitUntil(lambda: panel.plot.height() == panel.plot.sizeHint().height())
    qtbot.waitUntil(lambda: panel.more.height() >= panel.more.minimumSizeHint().height())
    assert scrolling.height() == height


def test_nothing_is_cut_off_at_the_side(panel, scrolling):
    panel.advanced.setChecked(True)
    scrolling.resize(scrolling.minimumSizeHint())
    assert panel.width() <= scrolling.viewport().width()
    assert scrolling.verticalScrollBar().isVisible()


def test_a_dock_grows_wider_with_the_controls(panel, scrolling, qtbot):
    before = scrolling.minimumSizeHint().width()
    window = QWidget()
    qtbot.addWidget(window)
    QVBoxLayout(window).addWidget(scrolling)
    window.show()
    panel.propagate.setText("Propagate with a text that is far too long (Ctrl+Shift+G)")
    qtbot.waitUntil(lambda: window.minimumWidth() > before + 100)
    scrolling.setParent(None)  # it does not go with this window


def test_what_is_unfolded_is_scrolled_to(panel, scrolling, qtbot):
    assert panel.more.visibleRegion().isEmpty()
    panel.advanced.setChecked(True)
    scrolling.show_all_of(panel.more)
    qtbot.waitUntil(lambda: panel.more.visibleRegion().boundingRect().height() > 100)


def _turn_the_wheel(control):
    middle = QPointF(control.rect().center())
    still, down = QPoint(0, 0), QPoint(0, -120)
    none, no_key, phase = Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase
    turned = QWheelEvent(middle, control.mapToGlobal(middle), still, down, none, no_key, phase, False)
    QApplication.sendEvent(control, turned)
    return turned


def test_the_wheel_scrolls_over_choices_and_numbers_and_changes_none(panel, scrolling):
    """Who scrolled through the options took another cache, and every plane was encoded again."""
    chosen = []
    panel.more.cache.activated.connect(chosen.append)
    for control in (panel.more.cache, panel.object_id, panel.more.smooth):
        assert not _turn_the_wheel(control).isAccepted()  # so it goes to what is behind: the area that scrolls
    assert chosen == []
    assert (panel.object_id.value(), panel.more.smooth.value()) == (1, 0)


def test_the_wheel_turns_a_number_that_was_clicked_on(panel, scrolling, monkeypatch):
    panel.object_id.setValue(5)
    monkeypatch.setattr(panel.object_id, "hasFocus", lambda: True)
    _turn_the_wheel(panel.object_id)
    assert panel.object_id.value() == 4
