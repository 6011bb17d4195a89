"""What can be chosen: models, and folders for the cache. No Qt, no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_sam.checkpoints import REGISTRY, cache_folder, weights_path
from napari_sam.own_models import own_models, short_names

if TYPE_CHECKING:
    from napari.layers import Image

BESIDE = ".sam-stacks"

Place = Literal["user", "beside", "memory"]


def model_rows() -> list[tuple[str, str]]:
    """Give what opens each model, and a line that says its size, its licence and whether it is here."""
    paths = own_models()
    named = zip(paths, short_names(paths), strict=True)
    own = [(str(path), f"{name} · {path.stat().st_size / 1e6:.0f} MB · yours") for path, name in named]
    shipped = []
    for name, row in REGISTRY.items():
        size = f"{row.size / 1e6:.0f} MB" if is_here(name) else f"downloads {row.size / 1e6:,.0f} MB"
        shipped.append((name, f"{name} · {size} · {row.licence}"))
    return shipped + own


def is_here(model: str) -> bool:
    """Whether a model, by its name or its path, can be opened without a download."""
    return weights_path(model).exists() if model in REGISTRY else Path(model).is_file()


def cache_places(image: Image | None) -> list[tuple[str, Place]]:
    """Give the places where encoded planes and prompts of an image may be kept, each with a line that says so."""
    places: list[tuple[str, Place]] = [("your cache folder", "user")]
    if image is not None and image.source.path:
        places.append((f"beside the image, in {BESIDE}", "beside"))
    return [*places, ("memory only", "memory")]


def cache_at(place: Place, image: Image | None) -> Path | None:
    """Find the folder of a place; None stands for the memory."""
    if place == "memory":
        return None
    if place == "beside" and image is not None and image.source.path:
        return Path(image.source.path).parent / BESIDE
    return cache_folder() / "embeddings"
