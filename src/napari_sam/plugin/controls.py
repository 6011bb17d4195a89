"""The small parts that the panel is made of: tooltips, rows, and buttons that have a key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from qtpy.QtCore import QSize
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLayout,
    QPushButton,
    QWidget,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

AnyWidget = TypeVar("AnyWidget", bound=QWidget)
AnyButton = TypeVar("AnyButton", bound=QAbstractButton)


class Keyed:
    """Buttons that have a key, each for one action; their texts and tooltips say which."""

    def __init__(self) -> None:
        self._buttons: dict[str, tuple[QAbstractButton, str, str]] = {}  # by action: text, tooltip

    def button(self, text: str, action: str, tip: str) -> QPushButton:
        """Make a button that has a key."""
        return self.add(QPushButton(), text, action, tip)

    def add(self, button: AnyButton, text: str, action: str, tip: str) -> AnyButton:
        """Give a button a key."""
        self._buttons[action] = button, text, tip
        return button

    @property
    def actions(self) -> dict[str, Callable[[], object]]:
        """What keys may do: the same as a click on a button."""
        return {action: button.click for action, (button, _, _) in self._buttons.items()}

    def show_keys(self, keys: Mapping[str, str]) -> None:
        """Show on every button which key it has."""
        for action, (button, text, tip) in self._buttons.items():
            key = keys.get(action, "")
            button.setText(with_key(text, key))
            button.setToolTip(f"{tip} Key: {key or 'none'}.")


def with_key(text: str, key: str) -> str:
    """Write a key behind a text, if there is one."""
    return f"{text} ({key})" if key else text


def tip(widget: AnyWidget, text: str) -> AnyWidget:
    """Give a control its tooltip."""
    widget.setToolTip(text)
    return widget


def choice(text: str, choices: Mapping[str, Any] | None = None) -> QComboBox:
    """Make a choice with a tooltip, that is no wider than there is room for it."""
    box = tip(QComboBox(), text)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(8)
    box.setIconSize(QSize(0, 0))  # Qt keeps room for icons that there are not
    for name, value in (choices or {}).items():
        box.addItem(name, value)
    return box


def narrow(spin: QAbstractSpinBox, *, width: int) -> QAbstractSpinBox:
    """Make a number as wide as its digits; in napari's style all are wide, and only a style can say otherwise."""
    spin.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
    spin.setStyleSheet(f"min-width: {width}px; max-width: {width}px; padding: 1px 4px;")
    return spin


def side_by_side(*widgets: QWidget) -> QLayout:
    """Lay controls out in a row, of which labels take no more than they need."""
    row = QHBoxLayout()
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(4)
    for widget in widgets:
        row.addWidget(widget, 0 if isinstance(widget, QLabel) else 1)
    return row
