"""A choice among layers, with those that cannot be chosen and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QComboBox

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari.layers import Layer


class LayerBox(QComboBox):
    """A choice among layers; follows the layers themselves and not their names."""

    chosen = Signal(object)

    def __init__(self, nothing: str) -> None:
        super().__init__()
        self._nothing = nothing
        self._layers: list[Any] = [None]
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)
        self.activated.connect(lambda index: self.chosen.emit(self._layers[index]))

    def show_layers(
        self, layers: Sequence[Layer], current: Layer | None, unfit: Mapping[Layer, str] | None = None
    ) -> None:
        """List layers by their names of today, and those that cannot be chosen with the reason."""
        unfit = unfit or {}
        self._layers = [None, *layers, *unfit]
        names = [layer.name for layer in layers] + [f"{layer.name}: {reason}" for layer, reason in unfit.items()]
        with QSignalBlocker(self):
            self.clear()
            self.addItems([self._nothing, *names])
            rows: Any = self.model()
            for index in range(1 + len(layers), self.count()):
                rows.item(index).setEnabled(False)
                self.setItemData(index, self.itemText(index), Qt.ItemDataRole.ToolTipRole)
            self.setCurrentIndex(self._layers.index(current) if current in self._layers else 0)
