"""Controls in a dock that may be too short for them: they scroll, and none is squeezed."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QSize, Qt, QTimer
from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QFrame, QScrollArea, QWidget

_SHORTEST = 200  # pixels: what is scrolled through in less cannot be found


class Scrolling(QScrollArea):
    """Let controls scroll up and down, never sideways.

    A dock asks its window for no more height than it needs: a small screen, or another dock above this one, decides.

    Parameters
    ----------
    body : QWidget
        The controls; each takes the height that it needs for the width that there is.
    """

    def __init__(self, body: QWidget) -> None:
        super().__init__()
        self._body, self._to_show = body, body
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._scroll)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(body)
        self.setWidgetResizable(True)
        for kind in (QComboBox, QAbstractSpinBox):
            for control in body.findChildren(kind):
                control.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # the wheel alone gives it none
                control.installEventFilter(self)

    def sizeHint(self) -> QSize:
        """Take all of the controls; Qt stops at some lines of text."""
        return self._body.sizeHint() + QSize(self._bar, 0)

    def minimumSizeHint(self) -> QSize:
        """Take the width of the controls, beside a bar."""
        return QSize(self._body.minimumSizeHint().width() + self._bar, _SHORTEST)

    def show_all_of(self, control: QWidget) -> None:
        """Scroll to a control as soon as it has its place: that is given to it after this."""
        self._to_show = control
        self._soon.start(0)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the controls when they need more room, and let the wheel scroll over choices and numbers.

        It would change them on the way.
        """
        if watched is self._body and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return bool(super().eventFilter(watched, event))

    @property
    def _bar(self) -> int:
        return int(self.verticalScrollBar().sizeHint().width())

    def _scroll(self) -> None:
        if self._to_show.isVisible():
            self.ensureWidgetVisible(self._to_show, 0, 0)
