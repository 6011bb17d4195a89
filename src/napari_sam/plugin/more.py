"""The controls that are folded away under *More*: options, clean-up, channels, where things are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QFormLayout, QLabel, QPushButton, QSpinBox, QWidget

from napari_sam.plugin.controls import choice, side_by_side, tip
from napari_sam.plugin.layer_box import LayerBox

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sam.components import Components
    from napari_sam.plugin.controls import Keyed

_CHECKED = ("one_object_each", "contour", "overwrite", "largest", "fill_holes")
_COUNTED = ("smooth", "min_size")
_KEPT = (*_CHECKED, "neighbours")  # a walk asks for that when it begins
_PIECES: Mapping[str, Components] = {
    "those that the plane before supports": "supported",
    "the largest of these": "largest",
    "all that the model finds": "all",
}


class More(QWidget):
    """What few need every day.

    Parameters
    ----------
    keyed : Keyed
        Gets the one control here that has a key.
    """

    def __init__(self, keyed: Keyed) -> None:
        super().__init__()
        self._make_options(keyed)
        self._make_cleanup()
        self._make_places()
        self._make_buttons()
        self._lay_out()

    @property
    def options_of_commits(self) -> tuple[Any, ...]:
        """Signals that an option has changed which an annotation has to know at once."""
        checked = [getattr(self, name).toggled for name in _CHECKED]
        return (*checked, *(getattr(self, name).valueChanged for name in _COUNTED))

    def options(self) -> dict[str, Any]:
        """Give the options as values that can be kept."""
        checked = {name: getattr(self, name).isChecked() for name in _KEPT}
        counted = {name: getattr(self, name).value() for name in _COUNTED}
        return checked | counted | {"pieces": self.pieces.currentData()}

    def set_options(self, options: Mapping[str, Any]) -> None:
        """Set options that were kept; those that are missing stay as they are."""
        for name in _KEPT:
            getattr(self, name).setChecked(bool(options.get(name, getattr(self, name).isChecked())))
        for name in _COUNTED:
            getattr(self, name).setValue(options.get(name, getattr(self, name).value()))
        self.pieces.setCurrentIndex(max(0, self.pieces.findData(options.get("pieces", self.pieces.currentData()))))

    def _make_options(self, keyed: Keyed) -> None:
        self.one_object_each = tip(
            QCheckBox("One object per prompt"), "Make every click or box a new object; N of them are N objects."
        )
        self.encode_ahead = tip(
            QCheckBox("Encode ahead"),
            "Before its first click a plane is encoded, once. Do that for the planes around this one while you look "
            "at it, so that clicks there are answered at once; untick to pause.",
        )
        self.show_preview = keyed.add(
            QCheckBox(), "Preview", "hide_preview", "Untick to see the image without masks that are not committed."
        )
        self.show_preview.setChecked(True)
        self.contour = tip(QCheckBox("Outlines"), "Show masks that are not committed as outlines instead of areas.")
        self.overwrite = tip(
            QCheckBox("Overwrite other labels"),
            "Let a commit take voxels of other objects in the Labels layer, which else are never changed.",
        )

    def _make_cleanup(self) -> None:
        self.largest = tip(QCheckBox("Largest only"), "On commit, drop all pieces of an object but the largest.")
        self.fill_holes = tip(QCheckBox("Fill holes"), "On commit, fill holes on every plane.")
        self.smooth = tip(QDoubleSpinBox(), "On commit, smooth outlines by so many pixels; 0 leaves them as they are.")
        self.smooth.setRange(0, 20)
        self.smooth.setSingleStep(0.5)
        self.min_size = tip(QSpinBox(), "On commit, drop pieces of fewer voxels.")
        self.min_size.setRange(0, 10**6)
        self.pieces = choice(
            "Which pieces of an object Propagate keeps on a plane. Where it branches, pieces that were not connected "
            "on the plane before are dropped unless you keep all.",
            _PIECES,
        )
        self.neighbours = tip(
            QCheckBox("Hold neighbours back"),
            "Let Propagate find what lies around each object, too, so that none runs over into it: for neurites or "
            "cells that touch everywhere. Takes several times as long.",
        )

    def _make_places(self) -> None:
        self.channels = choice("Which channels inside the image the model sees together, as red, green and blue.")
        self.adopted = tip(
            LayerBox("SAM points and SAM shapes"),
            "Take clicks and boxes from a Points or Shapes layer of yours, too; nothing in it is changed.",
        )
        self.cache = choice(
            "Where encoded planes, your prompts and drafts are kept, so that you can go on another day at once."
        )

    def _make_buttons(self) -> None:
        self.split = tip(
            QPushButton("Segment all prompts"),
            "Make each click or box of this object an object of its own: N of them become N objects, decoded together.",
        )
        self.use_labels = tip(
            QPushButton("Use label"),
            "Take the label that is selected in the Labels layer, as it is on this plane, as the mask of this object.",
        )
        self.reopen = tip(
            QPushButton("Reopen object"), "Take the committed object with the number above up again, to correct it."
        )
        self.save = tip(
            QPushButton("Save prompts…"),
            "Save all prompts in a file that `sam-stacks segment` replays on its own.",
        )

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setSpacing(3)
        for row in (
            (self.one_object_each, self.contour),
            (self.encode_ahead, self.show_preview),
            (self.largest, self.fill_holes),
            (self.overwrite,),
            (self.neighbours,),
        ):
            form.addRow(side_by_side(*row))
        form.addRow("Smooth", self.smooth)
        form.addRow("Min. size", self.min_size)
        form.addRow("Pieces", self.pieces)
        self.channels_row = QWidget()
        self.channels_row.setLayout(side_by_side(QLabel("Channels"), self.channels))
        form.addRow(self.channels_row)
        form.addRow("Prompts", self.adopted)
        form.addRow("Cache", self.cache)
        form.addRow(side_by_side(self.split, self.use_labels))
        form.addRow(side_by_side(self.reopen, self.save))
