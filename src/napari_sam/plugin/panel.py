"""The controls of the dock widget: they show what they are told and say what was pressed, and know nothing else.

From the top to the bottom they are what a user does: choose an image, mark an object, follow it through the planes,
keep it. Everything fits into a dock of 300 pixels.
"""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QButtonGroup,
    QFormLayout,
    QGridLayout,
    QLabel,
    QLayout,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_sam.plugin.controls import Keyed, choice, narrow, side_by_side, tip
from napari_sam.plugin.layer_box import LayerBox
from napari_sam.plugin.model_box import ModelBox
from napari_sam.plugin.more import More
from napari_sam.plugin.score_plot import ScorePlot

TOOLS = {
    "point": ("Point", "Click on the object; switch to Negative for clicks on what is not the object."),
    "box": ("Box", "Drag a rectangle around the object: the surest way to mark it."),
    "outline": ("Lasso", "Draw around the object, and click again to end."),
    "scribble": ("Scribble", "Draw along the object, and click again to end: it counts as several clicks."),
    "brush": ("Brush", "Paint what is missing of the mask. Propagate keeps planes that you painted as they are."),
    "eraser": ("Eraser", "Erase what is too much of the mask. Propagate keeps planes that you erased on as they are."),
}


class Panel(QWidget):
    """All controls, from the choice of the image at the top to the ones that are folded away at the bottom."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.keyed = Keyed()
        self.more = More(self.keyed)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(5, 6, 5, 6)
        layout.setSpacing(4)
        layout.addLayout(self._make_pickers())
        layout.addLayout(self._make_tools())
        layout.addLayout(self._make_object_row())
        layout.addLayout(self._make_mask_row())
        layout.addWidget(self._make_walk())
        layout.addLayout(self._make_commit_rows())
        layout.addWidget(self._make_status())
        layout.addWidget(self._make_fold())
        layout.addWidget(self.more)
        layout.addStretch()

    @property
    def needing_an_image(self) -> tuple[QWidget, ...]:
        """Controls that can do nothing as long as there is no image."""
        buttons = (
            self.new_object,
            self.next_mask,
            self.propagate,
            self.weakest,
            self.confirm,
            self.end_here,
            self.commit,
            self.discard,
            self.undo,
            self.redo,
        )
        more = (self.more.split, self.more.use_labels, self.more.reopen, self.more.save)
        return (*self.tools.values(), self.polarity, self.object_id, *buttons, *more)

    def show_tool(self, tool: str | None) -> None:
        """Show which tool is active; None: none of these."""
        self._tool_group.setExclusive(tool is not None)
        for name, button in self.tools.items():
            button.setChecked(name == tool)

    def _make_pickers(self) -> QLayout:
        form = QFormLayout()
        form.setSpacing(4)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.image = tip(LayerBox("choose an image"), "The image to segment. Its contrast on screen does not matter.")
        self.model = tip(
            ModelBox(), "The model. nano comes with the plugin, others are downloaded when chosen; or a file of yours."
        )
        self.result = tip(
            LayerBox("new layer on commit"),
            "The Labels layer that Commit writes to. No other layer is ever written, and nothing before you commit.",
        )
        for name, widget in (("Image", self.image), ("Model", self.model), ("Labels", self.result)):
            form.addRow(name, widget)
        return form

    def _make_tools(self) -> QLayout:
        grid = QGridLayout()
        grid.setSpacing(3)
        self.tools: dict[str, QPushButton] = {}
        self._tool_group = QButtonGroup(self)
        for number, (name, (text, said)) in enumerate(TOOLS.items()):
            button = tip(QPushButton(text), said)
            button.setCheckable(True)
            self._tool_group.addButton(button)
            self.tools[name] = button
            grid.addWidget(button, number // 3, number % 3)
        return grid

    def _make_object_row(self) -> QLayout:
        self.polarity = self.keyed.button(
            "Positive",
            "polarity",
            "Whether the next click is on the object (●) or on what does not belong to it (✕).",
        )
        self.polarity.setCheckable(True)
        self.object_id = tip(QSpinBox(), "The number of the object that you mark: its label in the Labels layer.")
        self.object_id.setPrefix("# ")
        self.object_id.setRange(1, 2**31 - 1)
        self.object_id.setMaximumWidth(90)
        self.new_object = self.keyed.button("New", "new_object", "Go on with a new object, under the next free number.")
        return side_by_side(self.polarity, self.object_id, self.new_object)

    def _make_mask_row(self) -> QLayout:
        self.mask_text = tip(
            QLabel(),
            "The mask of this object on this plane, and how well the model expects it to fit: 1 is perfect, "
            "below 0.5 more is wrong than right.",
        )
        self.mask_text.setWordWrap(True)
        self.mask_text.setMinimumHeight(round(2.5 * self.fontMetrics().lineSpacing()))  # else the rows below would jump
        self.next_mask = self.keyed.button(
            "Next mask", "next_mask", "A lone click can mean several things, and has three masks: show the next one."
        )
        row = side_by_side(self.mask_text, self.next_mask)
        row.setStretch(0, 1)
        row.setStretch(1, 0)
        return row

    def _make_walk(self) -> QWidget:
        """Everything about other planes: hidden where there are none."""
        self.through = QWidget()
        column = QVBoxLayout(self.through)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(self._make_way())
        self.propagate = self.keyed.button(
            "Propagate", "propagate", "Carry the object from plane to plane until it ends; press again to stop."
        )
        self.end_here = self.keyed.button(
            "Ends here",
            "end_here",
            "The object is not on this plane: empty it and those behind, and end before it.",
        )
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)  # the status line says the numbers
        self.progress.setFixedHeight(4)
        column.addLayout(side_by_side(self.propagate, self.end_here))
        column.addWidget(self.progress)
        column.addLayout(self._make_curve())
        return self.through

    def _make_way(self) -> QLayout:
        self.direction = choice(
            "From this plane forward, back, or to both sides of every plane that you marked.",
            {"both ways": "both", "forward": "forward", "back": "back"},
        )
        self.direction.setMinimumContentsLength(6)
        self.axis = choice("The axis to propagate along, named as beside its slider.")
        self.first = tip(QSpinBox(), "First plane that may be reached.")
        self.last = tip(QSpinBox(), "Last plane that may be reached. Propagation ends earlier where the object does.")
        limits = (QLabel("planes"), narrow(self.first, width=30), QLabel("to"), narrow(self.last, width=30))
        column = QVBoxLayout()
        column.addWidget(self.axis)
        column.addLayout(side_by_side(self.direction, *limits))
        return column

    def _make_curve(self) -> QLayout:
        self.plot = tip(
            ScorePlot(),
            "How well the mask of each plane should fit; 1 is perfect, orange is doubtful. Click to go there. "
            "Green dots are planes that you marked, painted or found right: propagation keeps them.",
        )
        self.weakest = self.keyed.button("Weakest", "weakest_plane", "Show the plane where a correction mends most.")
        self.confirm = self.keyed.button(
            "Right as it is",
            "confirm",
            "The mask of this plane needs no correction: Propagate keeps it, and goes on from it. Where there is none: "
            "the object is really not here, and Propagate ends before this plane.",
        )
        column = QVBoxLayout()
        column.setSpacing(3)
        column.addWidget(self.plot)
        column.addLayout(side_by_side(self.weakest, self.confirm))
        return column

    def _make_commit_rows(self) -> QLayout:
        self.commit = self.keyed.button("Commit", "commit", "Write all masks into the Labels layer, as one undo step.")
        self.discard = tip(QPushButton("Discard"), "Forget the clicks and the masks of this object.")
        self.undo = self.keyed.button(
            "Undo", "undo", "Take back the last click, stroke, propagation or commit. Also Ctrl+Z."
        )
        self.redo = self.keyed.button("Redo", "redo", "Take the step again that was undone. Also Ctrl+Shift+Z.")
        column = QVBoxLayout()
        column.setSpacing(3)
        column.addLayout(side_by_side(self.commit, self.discard))
        column.addLayout(side_by_side(self.undo, self.redo))
        return column

    def _make_status(self) -> QWidget:
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.status.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.status.setMinimumHeight(2 * self.fontMetrics().height())
        self.status.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.restore = tip(
            QPushButton(),
            "Bring back clicks, masks and options of the last time, in place of what is here. It can be undone.",
        )
        self.restore.hide()
        self.cancel_download = tip(QPushButton("Cancel the download"), "Go back to the model before this one.")
        self.cancel_download.hide()
        box = QWidget()
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (self.status, self.restore, self.cancel_download):
            column.addWidget(widget)
        return box

    def _make_fold(self) -> QWidget:
        self.advanced = tip(QPushButton("More …"), "Options, clean-up, channels, the cache, saving.")
        self.advanced.setCheckable(True)
        self.advanced.toggled.connect(self.more.setVisible)
        self.more.hide()
        return self.advanced
