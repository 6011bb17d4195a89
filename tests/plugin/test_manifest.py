"""What napari reads of us before it runs anything."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import napari.settings
import npe2
import pytest

import napari_sam
from napari_sam.plugin import sample_data, settings
from napari_sam.sample import make_nuclei_stack
from napari_sam.sample_em import make_membrane_stack

MANIFEST = Path(napari_sam.__file__).with_name("napari.yaml")
WITH_PREFERENCES = pytest.mark.skipif(
    not hasattr(napari.settings, "get_plugin_settings"), reason="napari keeps none before 0.9"
)


@pytest.fixture(scope="module")
def manifest():
    return npe2.PluginManifest.from_file(MANIFEST)


def test_every_command_leads_to_something_that_can_be_called(manifest):
    for command in manifest.contributions.commands:
        module, name = command.python_name.split(":")
        assert callable(getattr(import_module(module), name))


@WITH_PREFERENCES
def test_every_key_of_the_preferences_is_one_of_ours_with_the_same_default(manifest):
    page = manifest.contributions.configurations["keys"].properties
    assert {action: one.default for action, one in page.items()} == dict(settings.KEYS)


@WITH_PREFERENCES
def test_the_general_preferences_have_the_defaults_of_the_code(manifest):
    page = manifest.contributions.configurations["general"].properties
    plain = settings.Settings()
    assert {name: getattr(plain, name) for name in page} == {name: one.default for name, one in page.items()}


def test_without_stored_preferences_the_defaults_hold(monkeypatch):
    monkeypatch.setattr(settings, "PLUGIN", "a-plugin-that-is-not-there")
    assert settings.read_settings() == settings.Settings()


class Listener:
    heard = False

    def hear(self, event):
        self.heard = True


@WITH_PREFERENCES
def test_a_change_of_the_preferences_is_told_and_read(plugin_settings, npe2pm, manifest):
    npe2pm.register(manifest)
    listener = Listener()
    stop = settings.follow_settings(listener.hear)
    napari.settings.get_plugin_settings(settings.PLUGIN).keys.commit = "Y"
    assert listener.heard
    assert settings.read_settings().keys["commit"] == "Y"
    stop()
    listener.heard = False
    napari.settings.get_plugin_settings(settings.PLUGIN).keys.commit = "Shift+Y"
    assert not listener.heard


@pytest.mark.parametrize("name", ["nuclei", "membranes"])
def test_a_sample_is_an_image_and_its_truth_in_the_same_place(monkeypatch, name):
    small = (4, 48, 48)
    monkeypatch.setattr("napari_sam.sample.make_nuclei_stack", lambda: make_nuclei_stack(small))
    monkeypatch.setattr("napari_sam.sample_em.make_membrane_stack", lambda: make_membrane_stack(small))
    (image, placed, kind), (truth, placed_truth, kind_truth) = getattr(sample_data, name)()
    assert (kind, kind_truth) == ("image", "labels")
    assert image.shape == truth.shape == small
    assert placed["scale"] == placed_truth["scale"]


def test_the_widget_module_brings_no_torch():
    code = "import sys, napari_sam.plugin.widget; sys.exit('torch' in sys.modules or 'zarr' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False).returncode == 0
