"""What can be chosen: models, and folders for the cache. No Qt, no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.checkpoints import REGISTRY, cache_folder, weights_path

if TYPE_CHECKING:
    from napari.layers import Image

BESIDE = ".sam-stacks"


def model_rows() -> list[tuple[str, str]]:
    """Give the name of each model, and a line that says its size, its licence and whether it is here."""
    rows = []
    for name, row in REGISTRY.items():
        here = row.url is None or weights_path(name).exists()
        size = f"{row.size / 1e6:.0f} MB" if here else f"downloads {row.size / 1e6:,.0f} MB"
        rows.append((name, f"{name} · {size} · {row.licence}"))
    return rows


def cache_places(image: Image | None) -> list[tuple[str, Path | None]]:
    """Give the places where encoded planes may be kept; None stands for the memory."""
    places: list[tuple[str, Path | None]] = [("your cache folder", cache_folder() / "embeddings")]
    source = None if image is None else image.source.path
    if source:
        places.append(("beside the image", Path(source).parent / BESIDE))
    return [*places, ("memory only", None)]
