"""File > Open Sample: stacks that are made on the spot, with their exact truth beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_sam.sample import Sample

LayerData = tuple[Any, dict[str, Any], str]


def nuclei() -> list[LayerData]:
    """Make a confocal-like stack of stained nuclei, some of them touching."""
    from napari_sam.sample import make_nuclei_stack

    return _layers(make_nuclei_stack(), "nuclei")


def membranes() -> list[LayerData]:
    """Make an EM-like stack of densely packed neurites."""
    from napari_sam.sample_em import make_membrane_stack

    return _layers(make_membrane_stack(), "neurites (EM-like)")


def _layers(sample: Sample, name: str) -> list[LayerData]:
    placed = {"scale": sample.spacing, "units": ("um",) * 3}
    truth = {"name": f"{name} (truth)", "visible": False, **placed}
    return [(sample.image, {"name": name, **placed}, "image"), (sample.labels, truth, "labels")]
