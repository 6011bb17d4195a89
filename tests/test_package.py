"""What an installed package brings along."""

from importlib.metadata import entry_points, metadata, version

import napari_sam
from napari_sam.cache_store import EmbeddingStore
from napari_sam.checkpoints import weights_path


def test_the_weights_of_nano_come_with_the_package():
    assert 0 < weights_path("nano").stat().st_size <= 25_000_000


def test_neither_napari_nor_qt_is_a_base_dependency():
    base = [line.lower() for line in metadata("napari-sam-stacks").get_all("Requires-Dist") if "extra ==" not in line]
    assert not [line for line in base if line.startswith(("napari", "pyqt", "pyside", "qtpy"))]


def test_the_command_line_and_the_plugin_are_found_by_name():
    assert entry_points(group="console_scripts")["sam-stacks"].value == "napari_sam.cli:main"
    assert entry_points(group="napari.manifest")["napari-sam-stacks"].value == "napari_sam:napari.yaml"


def test_the_version_is_where_everyone_looks_for_it():
    assert napari_sam.__version__ == version("napari-sam-stacks")


def test_a_zarr_whose_arrays_take_no_type_parameter_will_do():
    """With zarr 3.0 nothing could be imported: `zarr.Array[Any]` was evaluated."""
    assert all(isinstance(annotation, str) for annotation in EmbeddingStore.__annotations__.values())
