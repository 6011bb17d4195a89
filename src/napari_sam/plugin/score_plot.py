"""The curve of scores through the stack: where to look first, and a click goes there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPen
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_sam.plugin.walk import DOUBTFUL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtGui import QMouseEvent, QPaintEvent

    from napari_sam.plugin.walk import PlaneScore

_LEFT, _RIGHT, _TOP, _BOTTOM = 26, 8, 8, 16  # pixels around the plot
_GOOD, _WEAK, _ANCHOR = QColor("#2fa8d5"), QColor("#e69f00"), QColor("#2fbf71")


class ScorePlot(QWidget):
    """Confidence against the plane; anchors are dots, the plane that is shown a line."""

    clicked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._curve: tuple[PlaneScore, ...] = ()
        self._planes, self._current = 1, 0
        self.setMouseTracking(True)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        """Small enough to leave room for the buttons."""
        return QSize(260, 76)

    def show_curve(self, curve: Sequence[PlaneScore], *, planes: int, current: int) -> None:
        """Show the scores of an object.

        Parameters
        ----------
        curve : sequence of PlaneScore
            By position.
        planes : int
            How many planes there are along the axis.
        current : int
            The plane that is shown in the viewer.
        """
        self._curve, self._planes, self._current = tuple(curve), max(planes, 1), current
        self.update()

    def position_at(self, x: float) -> int:
        """Plane under a horizontal pixel."""
        share: float = (x - _LEFT) / max(self.width() - _LEFT - _RIGHT, 1)
        return min(max(round(share * (self._planes - 1)), 0), self._planes - 1)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw axes, the current plane, the curve and its dots."""
        del event
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        text = self.palette().windowText().color()
        faint = QColor(text)
        faint.setAlpha(60)
        self._draw_axes(painter, text, faint)
        if self._curve:
            self._draw_curve(painter, text)
        else:
            painter.setPen(text)
            between_lines = QRectF(self._point(0, 1), self._point(self._planes - 1, 0.5))
            painter.drawText(between_lines, Qt.AlignmentFlag.AlignCenter, "confidence per plane")
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go to the plane under the mouse."""
        self.clicked.emit(self.position_at(event.position().x()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Say the score under the mouse."""
        position = self.position_at(event.position().x())
        here = next((one for one in self._curve if one.position == position), None)
        said = "no mask" if here is None else f"{here.score:.2f}{', anchor' if here.is_anchor else ''}"
        QToolTip.showText(event.globalPosition().toPoint(), f"plane {position}: {said}", self)

    def _area(self) -> QRectF:
        return QRectF(_LEFT, _TOP, self.width() - _LEFT - _RIGHT, self.height() - _TOP - _BOTTOM)

    def _point(self, position: float, score: float) -> QPointF:
        area = self._area()
        x = area.left() + area.width() * position / max(self._planes - 1, 1)
        return QPointF(x, area.bottom() - area.height() * min(max(score, 0.0), 1.0))

    def _draw_axes(self, painter: QPainter, text: QColor, faint: QColor) -> None:
        area = self._area()
        font = painter.font()
        font.setPointSizeF(max(font.pointSizeF() * 0.75, 6))
        painter.setFont(font)
        for score in (0.0, 0.5, 1.0):
            start = self._point(0, score)
            painter.setPen(QPen(faint, 1))
            painter.drawLine(start, QPointF(area.right(), start.y()))
            painter.setPen(text)
            label = QRectF(0, start.y() - 7, _LEFT - 4, 14)
            painter.drawText(label, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, f"{score:g}")
        below = QRectF(area.left(), area.bottom() + 2, area.width(), _BOTTOM - 2)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, "0")
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, str(self._planes - 1))

    def _draw_curve(self, painter: QPainter, text: QColor) -> None:
        painter.setPen(QPen(text, 1, Qt.PenStyle.DashLine))
        painter.drawLine(self._point(self._current, 0), self._point(self._current, 1))
        for one, other in zip(self._curve, self._curve[1:], strict=False):
            lower = min(one.score, other.score)
            if other.position == one.position + 1 and lower > 0:  # 0: the user said that the object is not there
                weak = lower < DOUBTFUL
                painter.setPen(QPen(_WEAK if weak else _GOOD, 2))
                painter.drawLine(self._point(one.position, one.score), self._point(other.position, other.score))
        painter.setPen(Qt.PenStyle.NoPen)
        for one in self._curve:
            painter.setBrush(_ANCHOR if one.is_anchor else _WEAK if one.score < DOUBTFUL else _GOOD)
            radius = 4.0 if one.is_anchor else 1.8
            painter.drawEllipse(self._point(one.position, one.score), radius, radius)
