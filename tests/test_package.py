"""What an installed package brings along."""

from importlib.metadata import entry_points, metadata

from napari_sam.checkpoints import weights_path


def test_the_weights_of_nano_come_with_the_package():
    assert 0 < weights_path("nano").stat().st_size <= 25_000_000


def test_neither_napari_nor_qt_is_a_base_dependency():
    base = [line.lower() for line in metadata("napari-sam-stacks").get_all("Requires-Dist") if "extra ==" not in line]
    assert not [line for line in base if line.startswith(("napari", "pyqt", "pyside", "qtpy"))]


def test_the_command_line_and_the_plugin_are_found_by_name():
    assert entry_points(group="console_scripts")["sam-stacks"].value == "napari_sam.cli:main"
    assert entry_points(group="napari.manifest")["napari-sam-stacks"].value == "napari_sam:napari.yaml"
