"""What a user does to the widget in a window, and the end of what comes of it."""

SHAPE = (5, 40, 50)
CLICK = (2, 20, 25)


def click(widget, qtbot, voxel=CLICK):
    """Click on a voxel, and wait for the answer."""
    widget.annotation.stage.points.add(voxel)
    qtbot.waitUntil(lambda: not widget.annotation.session.asked and widget._threads.is_idle)


def press(button, qtbot):
    """Press a button as soon as it is enabled: the panel follows what happens within a few hundredths of a second."""
    qtbot.waitUntil(button.isEnabled)
    button.click()


def rest(widget, qtbot):
    """Wait until no thread runs."""
    qtbot.waitUntil(lambda: widget._threads.is_idle)


def walk(widget, qtbot):
    """Propagate, and wait for the end."""
    press(widget.panel.propagate, qtbot)
    qtbot.waitUntil(lambda: widget.annotation.walking is None and widget._threads.is_idle)
