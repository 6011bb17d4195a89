"""Keys that work wherever the focus is, and can be chosen anew at any moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qtpy.QtWidgets import QWidget

# Other layers than ours keep these for themselves; ours bind them on their own.
_IN_THE_DOCK = {"undo": "Ctrl+Z", "redo": "Ctrl+Shift+Z"}


class Keys:
    """Keys of a widget; they end with it.

    Parameters
    ----------
    widget : QWidget
        Whose keys they are.
    actions : mapping of str to callable
        What each action does.
    """

    def __init__(self, widget: QWidget, actions: Mapping[str, Callable[[], object]]) -> None:
        self._widget, self._actions = widget, actions
        self._shortcuts: list[QShortcut] = []
        for action, key in _IN_THE_DOCK.items():
            self._make(action, key, Qt.ShortcutContext.WidgetWithChildrenShortcut)

    def bind(self, keys: Mapping[str, str]) -> None:
        """Bind actions to keys, instead of those that were bound before; an empty key means none."""
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        bound = [(action, key) for action, key in keys.items() if key]
        self._shortcuts = [self._make(action, key, Qt.ShortcutContext.ApplicationShortcut) for action, key in bound]

    def _make(self, action: str, key: str, context: Qt.ShortcutContext) -> QShortcut:
        shortcut = QShortcut(QKeySequence(key), self._widget)
        shortcut.setContext(context)
        shortcut.activated.connect(self._actions[action])
        return shortcut
