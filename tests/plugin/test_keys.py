"""Keys: those of the Preferences, and those of our layers."""

from pathlib import Path

import napari.settings
import npe2
import pytest
from qtpy.QtGui import QShortcut
from tests.plugin.docks import click
from tests.plugin.fakes import FakeSegmenter

import napari_sam
from napari_sam.plugin import widget as widget_module
from napari_sam.plugin.settings import KEYS, PLUGIN, Settings
from napari_sam.plugin.widget import SamStacks


def test_a_key_chosen_in_the_preferences_works_at_once(docked, qtbot, monkeypatch):
    _, widget = docked
    monkeypatch.setattr(widget_module, "read_settings", lambda: Settings(keys={**KEYS, "polarity": "Y", "undo": ""}))
    widget._on_settings(None)
    assert widget.panel.polarity.text() == "● Positive (Y)"
    assert "Key: none" in widget.panel.undo.toolTip()
    bound = {one.key().toString() for one in widget.findChildren(QShortcut) if one.isEnabled()}
    assert "Y" in bound
    assert not {"Q", "U"} & bound


@pytest.mark.skipif(not hasattr(napari.settings, "get_plugin_settings"), reason="napari keeps none before 0.9")
def test_a_key_is_bound_when_napari_stores_the_preference(make_napari_viewer_proxy, plugin_settings, npe2pm, qtbot):
    npe2pm.register(npe2.PluginManifest.from_file(Path(napari_sam.__file__).with_name("napari.yaml")))
    viewer = make_napari_viewer_proxy()
    widget = SamStacks(viewer, open_segmenter=FakeSegmenter)
    viewer.window.add_dock_widget(widget)
    napari.settings.get_plugin_settings(PLUGIN).keys.confirm = "Shift+Y"
    qtbot.waitUntil(lambda: widget.panel.confirm.text() == "Right as it is (Shift+Y)")
    bound = {one.key().toString() for one in widget.findChildren(QShortcut) if one.isEnabled()}
    assert "Shift+Y" in bound
    assert "Shift+W" not in bound


def test_control_z_on_our_layers_takes_the_last_click_back(docked, qtbot):
    viewer, widget = docked
    click(widget, qtbot)
    for layer in widget.annotation.stage.own_layers:
        assert {"Ctrl+Z", "Ctrl+Shift+Z"} <= {str(key) for key in layer.keymap}
        assert all(act.__name__ for act in layer.keymap.values())  # napari asks for it at every key press
    points = widget.annotation.stage.points
    next(act for key, act in points.keymap.items() if str(key) == "Ctrl+Z")(points)
    assert len(points.data) == 0
    widget.choose_image(None)
    del viewer.layers["stack"]
    assert not points.keymap
