"""Prompts are kept beside the cache while somebody works, and offered again for the same image. No Qt.

What is kept is the JSON of `napari_sam.prompt_files`: the command line replays it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from napari_sam.plugin import layers
from napari_sam.plugin.drafts import render
from napari_sam.prompt_files import read_prompts, save_prompts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from napari_sam.plugin.annotation import Annotation
    from napari_sam.prompts import Prompt


def kept_at(annotation: Annotation, folder: Path | None) -> Path | None:
    """Where the prompts of an image are kept: by what its pixels are, not by the name of a layer.

    None if nothing is kept on disk, or as long as the image has not been opened.
    """
    cache: Any = getattr(annotation.segmenter, "cache", None)
    if folder is None or cache is None:
        return None
    image = {key: value for key, value in cache.store.attributes["image"].items() if key != "source"}
    said = json.dumps([image, annotation.view.order], sort_keys=True)
    return folder / "prompts" / f"{hashlib.sha256(said.encode()).hexdigest()[:16]}.json"


def keep(path: Path, prompts: Sequence[Prompt]) -> Iterator[None]:
    """Write prompts; a job. The file is complete at every moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_prompts(path, prompts, overwrite=True)
    yield


def kept(path: Path | None) -> tuple[Prompt, ...]:
    """Read what was kept; empty if there is nothing, or nothing that can be read."""
    if path is None or not path.exists():
        return ()
    try:
        return read_prompts(path)
    except (OSError, ValueError):
        return ()


def restore(annotation: Annotation, prompts: Sequence[Prompt]) -> None:
    """Draw prompts into the layers again; masks become drafts that count as painted."""
    stage, view = annotation.stage, annotation.view
    stage.ensure()
    for prompt in prompts:
        if not view.contains(prompt.plane):
            continue
        if prompt.mask is not None and prompt.mask.shape == view.plane_shape:
            labels = render(annotation.session.crops, prompt.plane, view.plane_shape)
            labels[prompt.mask] = prompt.object_id
            annotation.paint(prompt.plane, labels)
        layers.add_prompt(stage.points, stage.shapes, prompt, annotation.image, view)
    annotation.new_object()
