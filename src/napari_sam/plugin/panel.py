"""The controls of the dock widget: they show what they are told and say what was pressed, and know nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLayout,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_sam.plugin.layer_box import LayerBox
from napari_sam.plugin.model_box import ModelBox
from napari_sam.plugin.score_plot import ScorePlot

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari_sam.components import Components

TOOLS = {
    "point": ("Point", "Click on the object; switch to Negative for clicks on what is not the object."),
    "box": ("Box", "Drag a rectangle around the object."),
    "outline": ("Lasso", "Draw around the object, and click again to end: the outline becomes a box and a mask."),
    "scribble": ("Scribble", "Draw along the object, and click again to end: the path becomes several clicks."),
    "brush": ("Brush", "Paint on the preview; a painted plane is an anchor that propagation keeps."),
    "eraser": ("Eraser", "Erase in the preview; the plane becomes an anchor."),
}
_CHECKED = ("one_object_each", "contour", "overwrite", "largest", "fill_holes")
_COUNTED = ("smooth", "min_size")
_PIECES: tuple[tuple[str, Components], ...] = (
    ("those that the plane before supports", "supported"),
    ("the largest of these", "largest"),
    ("all that the model finds", "all"),
)


class Panel(QWidget):
    """All controls, from the choice of the image at the top to the advanced ones, folded, at the bottom."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._keyed: list[tuple[QAbstractButton, str, str, str]] = []  # text, action, tooltip
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.setSpacing(5)
        layout.addLayout(self._make_pickers())
        layout.addLayout(self._make_tools())
        layout.addLayout(self._make_object_row())
        layout.addLayout(self._make_mask_row())
        layout.addWidget(self._make_walk())
        layout.addLayout(self._make_commit_row())
        layout.addWidget(self._make_status())
        layout.addWidget(self._make_advanced())
        layout.addStretch()

    @property
    def needing_an_image(self) -> tuple[QWidget, ...]:
        """Controls that can do nothing as long as there is no image."""
        buttons = (
            self.new_object,
            self.next_mask,
            self.propagate,
            self.weakest,
            self.end_here,
            self.commit,
            self.discard,
        )
        more = (self.split, self.use_labels, self.reopen, self.save)
        return (*self.tools.values(), self.polarity, self.object_id, *buttons, *more)

    @property
    def actions(self) -> dict[str, Callable[[], object]]:
        """What keys may do: the same as a click on a button."""
        return {action: button.click for button, _, action, _ in self._keyed}

    @property
    def options_of_commits(self) -> tuple[Any, ...]:
        """Signals that an option has changed which an annotation has to know at once."""
        checked = [getattr(self, name).toggled for name in _CHECKED]
        return (*checked, *(getattr(self, name).valueChanged for name in _COUNTED))

    def show_keys(self, keys: Mapping[str, str]) -> None:
        """Show on every button that has a key which one it is."""
        for button, text, action, tip in self._keyed:
            key = keys.get(action, "")
            button.setText(with_key(text, key))
            button.setToolTip(f"{tip} Key: {key or 'none'}.")

    def options(self) -> dict[str, Any]:
        """Give the options as values that can be kept."""
        checked = {name: getattr(self, name).isChecked() for name in _CHECKED}
        counted = {name: getattr(self, name).value() for name in _COUNTED}
        return checked | counted | {"pieces": self.pieces.currentData()}

    def set_options(self, options: Mapping[str, Any]) -> None:
        """Set options that were kept; those that are missing stay as they are."""
        for name in _CHECKED:
            getattr(self, name).setChecked(bool(options.get(name, getattr(self, name).isChecked())))
        for name in _COUNTED:
            getattr(self, name).setValue(options.get(name, getattr(self, name).value()))
        self.pieces.setCurrentIndex(max(0, self.pieces.findData(options.get("pieces", self.pieces.currentData()))))

    def show_tool(self, tool: str | None) -> None:
        """Show which tool is active; None: none of these."""
        self._tool_group.setExclusive(tool is not None)
        for name, button in self.tools.items():
            button.setChecked(name == tool)

    def _make_pickers(self) -> QLayout:
        form = QFormLayout()
        form.setSpacing(4)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.image = _tip(LayerBox("choose an image"), "The image to segment. Its contrast on screen does not matter.")
        self.model = _tip(
            ModelBox(), "The model. nano comes with the plugin, others are downloaded when chosen; or a file of yours."
        )
        self.result = _tip(
            LayerBox("new layer at the first commit"),
            "The Labels layer that commits are written to: one of the image's shape. Nothing else is ever written.",
        )
        for name, widget in (("Image", self.image), ("Model", self.model), ("Labels", self.result)):
            form.addRow(name, widget)
        return form

    def _make_tools(self) -> QLayout:
        grid = QGridLayout()
        grid.setSpacing(3)
        self.tools: dict[str, QPushButton] = {}
        self._tool_group = QButtonGroup(self)
        for number, (name, (text, tip)) in enumerate(TOOLS.items()):
            button = _tip(QPushButton(text), tip)
            button.setCheckable(True)
            self._tool_group.addButton(button)
            self.tools[name] = button
            grid.addWidget(button, number // 3, number % 3)
        return grid

    def _make_object_row(self) -> QLayout:
        row = QHBoxLayout()
        self.polarity = self._button("Positive", "polarity", "Whether prompts lie on the object or on what is not.")
        self.polarity.setCheckable(True)
        self.object_id = _tip(QSpinBox(), "The object that prompts belong to: its label in the Labels layer.")
        self.object_id.setPrefix("# ")
        self.object_id.setRange(1, 2**31 - 1)
        self.object_id.setMaximumWidth(90)
        self.new_object = self._button("New object", "new_object", "Go on with the next free label.")
        for widget in (self.polarity, self.object_id, self.new_object):
            row.addWidget(widget)
        row.setStretchFactor(self.polarity, 1)
        row.setStretchFactor(self.new_object, 1)
        return row

    def _make_mask_row(self) -> QLayout:
        row = QHBoxLayout()
        self.mask_text = _tip(
            QLabel(),
            "The mask of this object on this plane, and how well the model expects it to fit: an IoU of 1 is perfect, "
            "below 0.5 more is wrong than right.",
        )
        self.next_mask = self._button("Next mask", "next_mask", "A lone click has three masks: show the next one.")
        row.addWidget(self.mask_text, 1)
        row.addWidget(self.next_mask)
        return row

    def _make_walk(self) -> QWidget:
        """Everything about other planes: hidden where there are none."""
        self.through = QWidget()
        column = QVBoxLayout(self.through)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(5)
        column.addLayout(self._make_way())
        column.addWidget(self._make_plot())
        return self.through

    def _make_way(self) -> QLayout:
        grid = QGridLayout()
        grid.setSpacing(4)
        self.direction = _tip(QComboBox(), "From this plane forward, back, or to both sides of every prompt.")
        for text, value in (("both ways", "both"), ("forward", "forward"), ("back", "back")):
            self.direction.addItem(text, value)
        self.axis = _tip(QComboBox(), "The axis to propagate along.")
        self.first = _tip(QSpinBox(), "First plane that may be reached.")
        self.last = _tip(QSpinBox(), "Last plane that may be reached. Propagation ends earlier where the object does.")
        self.propagate = self._button("Propagate", "propagate", "Carry the object through the stack; again: stop.")
        self.progress = QProgressBar()
        self.progress.setTextVisible(True)
        self.progress.setFormat("")
        for spin in (self.first, self.last):
            spin.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)
            spin.setMaximumWidth(48)
        row = QHBoxLayout()
        for widget in (self.direction, self.axis, QLabel("planes"), self.first, QLabel("to"), self.last):
            row.addWidget(widget)
        row.setStretchFactor(self.direction, 1)
        grid.addLayout(row, 0, 0, 1, 2)
        grid.addWidget(self.propagate, 1, 0)
        grid.addWidget(self.progress, 1, 1)
        grid.setColumnStretch(0, 1)
        grid.setColumnStretch(1, 1)
        return grid

    def _make_plot(self) -> QWidget:
        box = QWidget()
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        self.plot = _tip(
            ScorePlot(),
            "How well the object should fit on each plane; 1 is perfect, orange is doubtful. Click to go there. "
            "Green dots are anchors: planes that you prompted or painted.",
        )
        self.weakest = self._button("Weakest plane", "weakest_plane", "Show the plane where a correction mends most.")
        column.addWidget(self.plot)
        self.end_here = self._button(
            "Ends here", "end_here", "The object is not on this plane: propagation ends before it, planes behind go."
        )
        column.addLayout(_side_by_side(self.weakest, self.end_here))
        return box

    def _make_commit_row(self) -> QLayout:
        row = QHBoxLayout()
        self.commit = self._button("Commit", "commit", "Write all drafts into the Labels layer, as one undo step.")
        self.undo = self._button(
            "Undo", "undo", "Take back the last prompt, stroke, propagation or commit. Also Ctrl+Z."
        )
        self.redo = self._button("Redo", "redo", "Take the step again that was undone. Also Ctrl+Shift+Z.")
        self.discard = _tip(QPushButton("Discard"), "Forget the prompts and the draft of this object.")
        for widget in (self.commit, self.undo, self.redo, self.discard):
            row.addWidget(widget, 1)
        return row

    def _make_status(self) -> QWidget:
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.status.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.status.setMinimumHeight(2 * self.fontMetrics().height())
        self.status.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.restore = _tip(
            QPushButton(),
            "Bring back prompts, drafts and options of the last time, in place of what is here. It can be undone.",
        )
        self.restore.hide()
        self.cancel_download = _tip(QPushButton("Cancel the download"), "Go back to the model before this one.")
        self.cancel_download.hide()
        box = QWidget()
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.status)
        column.addWidget(self.restore)
        column.addWidget(self.cancel_download)
        return box

    def _make_advanced(self) -> QWidget:
        self._make_options()
        self._make_cleanup()
        self.adopted = _tip(
            LayerBox("SAM points and SAM shapes"),
            "Take prompts from a Points or Shapes layer of yours, too; it is read only.",
        )
        self.cache = _tip(QComboBox(), "Where encoded planes are kept. They make the next session start at once.")
        self.channels = _tip(
            QComboBox(), "Channels inside the image that the model sees together, as red, green and blue."
        )
        self.channels_row = QWidget()
        self.channels_row.setLayout(_side_by_side(QLabel("Channels"), self.channels))
        self.split = _tip(
            QPushButton("Segment all prompts"),
            "Make each prompt of this object an object of its own: N clicks become N objects, decoded together.",
        )
        self.use_labels = _tip(
            QPushButton("Use label"),
            "Make an anchor of this object from the label selected in the Labels layer, as it is on this plane.",
        )
        self.reopen = _tip(QPushButton("Reopen object"), "Take the committed object with this number up again.")
        self.save = _tip(QPushButton("Save prompts…"), "Write all prompts as JSON; `sam-stacks segment` replays them.")
        body = QWidget()
        form = QFormLayout(body)
        form.setContentsMargins(0, 0, 0, 0)
        form.setSpacing(3)
        form.addRow(_side_by_side(self.one_object_each, self.encode_ahead))
        form.addRow(_side_by_side(self.show_preview, self.contour))
        form.addRow(_side_by_side(self.largest, self.fill_holes, self.overwrite))
        form.addRow(_side_by_side(QLabel("Smooth"), self.smooth, QLabel("Min. size"), self.min_size))
        form.addRow("Pieces", self.pieces)
        form.addRow(self.channels_row)
        form.addRow("Prompts", self.adopted)
        form.addRow("Cache", self.cache)
        form.addRow(_side_by_side(self.split, self.use_labels))
        form.addRow(_side_by_side(self.reopen, self.save))
        self.advanced = _tip(QPushButton("More …"), "Options, clean-up, the cache, saving.")
        self.advanced.setCheckable(True)
        fold = QScrollArea()  # on a small screen it scrolls, and the window does not grow beyond it
        fold.setWidget(body)
        fold.setWidgetResizable(True)
        fold.setFrameShape(QScrollArea.Shape.NoFrame)
        fold.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.advanced.toggled.connect(fold.setVisible)
        fold.hide()
        box = QWidget()
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.advanced)
        column.addWidget(fold)
        return box

    def _make_options(self) -> None:
        self.one_object_each = _tip(QCheckBox("One object per prompt"), "N clicks or boxes become N objects.")
        self.encode_ahead = _tip(QCheckBox("Encode ahead"), "Encode planes around this one meanwhile; untick to pause.")
        self.show_preview = self._keep(
            QCheckBox(), "Preview", "hide_preview", "Untick to see the image without drafts."
        )
        self.show_preview.setChecked(True)
        self.contour = _tip(QCheckBox("Outlines"), "Show drafts as outlines instead of areas.")
        self.overwrite = _tip(
            QCheckBox("Overwrite"),
            "Let a commit take voxels of other objects in the Labels layer, which else are never changed.",
        )

    def _make_cleanup(self) -> None:
        self.pieces = _tip(
            QComboBox(),
            "When propagating: which pieces of the object are kept on a plane. Where it branches, "
            "pieces that were not connected on the plane before are dropped unless you keep all.",
        )
        for text, value in _PIECES:
            self.pieces.addItem(text, value)
        self.largest = _tip(QCheckBox("Largest only"), "On commit, drop all pieces of an object but the largest.")
        self.fill_holes = _tip(QCheckBox("Fill holes"), "On commit, fill holes on every plane.")
        self.smooth = _tip(QDoubleSpinBox(), "On commit, smooth outlines by so many pixels; 0 leaves them as they are.")
        self.smooth.setRange(0, 20)
        self.smooth.setSingleStep(0.5)
        self.min_size = _tip(QSpinBox(), "On commit, drop pieces of fewer voxels.")
        self.min_size.setRange(0, 10**6)

    def _button(self, text: str, action: str, tip: str) -> QPushButton:
        return self._keep(QPushButton(text), text, action, tip)

    def _keep(self, button: Any, text: str, action: str, tip: str) -> Any:
        """Make a note of a button that has a key."""
        self._keyed.append((button, text, action, tip))
        return button


def with_key(text: str, key: str) -> str:
    """Write a key behind a text, if there is one."""
    return f"{text} ({key})" if key else text


def _tip(widget: Any, text: str) -> Any:
    widget.setToolTip(text)
    return widget


def _side_by_side(*widgets: QWidget) -> QLayout:
    row = QHBoxLayout()
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(4)
    for widget in widgets:
        row.addWidget(widget, 0 if isinstance(widget, QLabel) else 1)
    return row
