"""The choice of the model: those with a name, those of the user, and any other weight file."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog

from napari_sam.own_models import own_models, remember_model
from napari_sam.plugin.places import model_rows

_FROM_FILE = ""


class ModelBox(QComboBox):
    """A choice among models; the last row asks for a file, which is listed from then on."""

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.model = "nano"  # a name, or the path of a file
        self._before = "nano"
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)
        self.activated.connect(self._on_activated)
        self.refill()

    def refill(self) -> None:
        """List the models as they are now: downloaded or not, trained meanwhile."""
        with QSignalBlocker(self):
            self.clear()
            for name, text in model_rows():
                self.addItem(text, name)
            self.addItem("choose a checkpoint file …", _FROM_FILE)
            self.setCurrentIndex(max(0, self.findData(self.model)))
            self.model = self.currentData()

    def choose(self, model: str) -> None:
        """Choose a model; one that is not listed is left alone."""
        if self.findData(model) >= 0 and model != self.model:
            self._before, self.model = self.model, model
            self.setCurrentIndex(self.findData(model))
            self.chosen.emit(model)

    def go_back(self) -> None:
        """Choose the model before this one, because this one is not wanted after all."""
        self.choose(self._before)

    def _on_activated(self, index: int) -> None:
        model = self.itemData(index)
        if model != _FROM_FILE:
            self._before, self.model = self.model if model != self.model else self._before, model
            self.chosen.emit(model)  # the same one again: to retry
            return
        kinds = "Weights (*.safetensors *.pth *.pt)"
        path, _ = QFileDialog.getOpenFileName(self, "Choose a checkpoint file", "", kinds)
        if path:
            remember_model(path)
            self.refill()
            self.choose(str(own_models()[0]))
        else:
            self.refill()
