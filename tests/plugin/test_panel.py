"""What the panel shows, and on how small a screen."""

from types import SimpleNamespace

import numpy as np
import pytest
from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox
from tests.plugin.docks import SHAPE, click, press, walk
from tests.plugin.fakes import Studio

from napari_sam.crops import Crop
from napari_sam.plugin import showing
from napari_sam.plugin.panel import Panel
from napari_sam.plugin.settings import KEYS


@pytest.mark.parametrize(
    ("origin", "said"),
    [
        ("walked", "not found on this plane"),
        ("painted", "as you said"),
        ("confirmed", "as you said"),
        ("prompted", "click again, or choose Box"),
    ],
)
def test_where_an_object_is_not_the_panel_says_who_says_so(docked, origin, said):
    _, widget = docked
    draft = SimpleNamespace(choices=(), chosen=0, mask=Crop.empty(SHAPE[1:]), origin=origin, score=1.0)
    keys = dict.fromkeys(("polarity",), "Q")
    absent = SimpleNamespace(draft=draft, positive=True, object_id=1, plane=(0,), axis=0, curve=())
    showing._show_object(widget.panel, absent, keys)
    assert said in widget.panel.mask_text.text()


def test_an_image_without_other_planes_has_no_controls_for_them(docked, qtbot):
    viewer, widget = docked
    widget.choose_image(viewer.add_image(np.zeros((30, 30)), name="plane"))
    qtbot.waitUntil(widget.panel.through.isHidden)
    assert "planes" not in widget.panel.status.text()
    widget.choose_image(viewer.layers["stack"])
    qtbot.waitUntil(lambda: not widget.panel.through.isHidden())


def test_the_planes_that_may_be_reached_follow_rolled_axes(docked, qtbot):
    """An XZ plane beyond the last XY plane could not be propagated from: it had no prompt in that range."""
    viewer, widget = docked
    viewer.dims.order = (1, 0, 2)
    qtbot.waitUntil(lambda: widget.panel.last.value() == SHAPE[1] - 1)


def test_the_axes_to_walk_along_are_named_as_beside_the_sliders(docked):
    viewer, widget = docked
    widget.choose_image(viewer.add_image(np.zeros((3, *SHAPE), np.uint8), name="movie"))
    viewer.dims.axis_labels = ("t", "z", "y", "x")
    showing.show_ranges(widget.panel, widget.annotation)
    assert [widget.panel.axis.itemText(i) for i in range(2)] == ["along t", "along z"]


def test_channels_are_named_by_the_axis_that_holds_them(qtbot):
    studio, panel = Studio(np.zeros((9, 2, 40, 50), np.uint8)), Panel()
    qtbot.addWidget(panel)
    studio.viewer.dims.axis_labels = ("z", "c", "y", "x")
    showing.show_channels(panel, studio.annotation)
    names = [panel.more.channels.itemText(i) for i in range(1, panel.more.channels.count())]
    assert names == ["0 + 1 of axis c", "0 of axis c", "1 of axis c"]


def test_labels_of_another_shape_cannot_be_chosen_and_say_why(docked):
    viewer, widget = docked
    viewer.add_labels(np.zeros((3, 3), int), name="other")
    viewer.add_labels(np.zeros(SHAPE, int), name="fitting")
    box = widget.panel.result
    offered = {box.itemText(i): box.model().item(i).isEnabled() for i in range(1, box.count())}
    assert offered == {"fitting": True, "other: 3 x 3, not 5 x 40 x 50": False}


def test_nothing_is_shown_of_an_image_that_is_gone(docked, qtbot):
    """Its last mask, its curve, Cancel and Undo stayed in the panel."""
    viewer, widget = docked
    click(widget, qtbot)
    widget.panel.propagate.click()
    del viewer.layers["stack"]
    qtbot.waitUntil(lambda: not widget.panel.undo.isEnabled())
    assert widget.panel.mask_text.text() == ""
    assert widget.panel.propagate.text() == "Propagate (G)"
    assert not widget.panel.commit.isEnabled()


def test_every_control_has_a_tooltip_and_every_key_is_in_one(docked):
    _, widget = docked
    panel = widget.panel
    controls = [*panel.findChildren(QAbstractButton), *panel.findChildren(QComboBox), panel.plot]
    controls += panel.findChildren(QAbstractSpinBox)
    without = [type(one).__name__ for one in controls if not one.toolTip()]
    assert len(controls) > 40
    assert without == []
    tips = " ".join(control.toolTip() for control in controls)
    assert all(f"Key: {key}." in tips for key in KEYS.values())


def test_the_widget_fits_into_a_narrow_dock_with_everything_unfolded(docked):
    """In a dock of 300 pixels the panel took 400, and 490 for a movie of stacks."""
    viewer, widget = docked
    widget.choose_image(viewer.add_image(np.zeros((3, 2, *SHAPE), np.uint8), name="movie"))
    widget.panel.more.show()
    widget.panel.restore.show()
    assert widget.minimumSizeHint().width() <= 300


def test_the_status_says_what_may_come_next_at_every_step(docked, qtbot):
    _, widget = docked

    def said(part):
        qtbot.waitUntil(lambda: part in widget.panel.status.text().replace("\N{NO-BREAK SPACE}", " "))

    said("Click on an object, or choose Box and drag around it.")
    click(widget, qtbot)
    said("Not right? Click on what is missing, or (Q) on what is too much. G: to all planes. K: keep it.")
    walk(widget, qtbot)
    said("go to the weakest (W), correct it or say that it is right (Shift+W), then G again. K: keep it.")
    press(widget.panel.new_object, qtbot)
    said("Click on the next object, or choose Box and drag around it. 1 object is not committed yet (K).")
