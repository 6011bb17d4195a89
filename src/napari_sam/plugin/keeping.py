"""The work on an image is kept beside the cache, and offered again when the same image is opened. No Qt.

What is kept: prompts as they were drawn, in data coordinates of the image; drafts with their scores; the model and the
options. Committed objects are among them, and come back as drafts.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import zlib
from dataclasses import asdict, dataclass, replace
from itertools import count
from math import isnan
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_sam.crops import Crop
from napari_sam.evidence import Evidence
from napari_sam.plugin.commits import with_commits
from napari_sam.plugin.drawn import Drawn
from napari_sam.plugin.layers import LABEL, OBJECT, affine_between, new_points, new_shapes
from napari_sam.plugin.session import Draft

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from napari.layers import Layer, Points, Shapes

    from napari_sam.plugin.annotation import Annotation
    from napari_sam.plugin.session import Key

FORMAT = 1


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """What somebody did to an image.

    Attributes
    ----------
    drawn : mapping of str to Drawn
        Points and shapes in data coordinates of the image, those of commits included.
    drafts : mapping
        (object id, plane) to its draft, those of commits included.
    exact : frozenset
        Keys of the drafts that the model gave for just what is drawn.
    object_id : int
        The object that was being edited.
    model : str
        A name or a path.
    options : mapping
        Of the panel.
    """

    drawn: Mapping[str, Drawn]
    drafts: Mapping[Key, Draft]
    exact: frozenset[Key]
    object_id: int
    model: str
    options: Mapping[str, Any]

    @property
    def object_ids(self) -> set[int]:
        """The objects that were begun or committed."""
        drawn = {int(one) for each in self.drawn.values() for one in each.features[OBJECT]}
        return drawn | {object_id for object_id, _ in self.drafts}


def kept_at(annotation: Annotation, folder: Path | None) -> Path | None:
    """Where the work on an image is kept: by what its pixels are, not by the name of a layer.

    None if nothing is kept on disk, or as long as the image has not been opened.
    """
    cache: Any = getattr(annotation.segmenter, "cache", None)
    if folder is None or cache is None:
        return None
    image = {key: value for key, value in cache.store.attributes["image"].items() if key != "source"}
    said = json.dumps([image, annotation.view.order], sort_keys=True)
    return folder / "work" / f"{hashlib.sha256(said.encode()).hexdigest()[:16]}.json"


def work_of(annotation: Annotation, model: str, options: Mapping[str, Any]) -> Work:
    """Take what there is to keep of an annotation; nothing is written."""
    session, open_ids = with_commits(annotation.session), annotation.session.object_ids
    drawn: list[Mapping[str, Drawn]] = [
        entry.away.taken
        for entry in annotation.result.entries
        if entry.commit in annotation.session.commits and not entry.commit.object_ids & open_ids
    ]
    drawn.insert(0, annotation.stage.copy())
    joined = {}
    for name, layer in _sources(annotation).items():
        if parts := [_through(one[name], layer, annotation.image) for one in drawn if name in one]:
            joined[name] = _join(parts)
    exact = {key for key, draft in session.drafts.items() if draft.said and draft.said == session.prompts.get(key)}
    return Work(joined, session.drafts, frozenset(exact), annotation.object_id, model, options)


def restore(annotation: Annotation, work: Work) -> None:
    """Go on with work that was kept, as a step that can be undone."""
    annotation.stage.ensure()
    layers = _sources(annotation)
    drawn = {
        name: _through(copied, annotation.image, layers[name]) for name, copied in work.drawn.items() if name in layers
    }
    fitting = {
        key: draft
        for key, draft in work.drafts.items()
        if annotation.view.contains(key[1]) and draft.mask.shape == annotation.view.plane_shape
    }
    annotation.take_over(drawn, fitting, exact=work.exact, object_id=work.object_id)


def keep(path: Path, work: Work) -> Iterator[None]:
    """Write work; a job. The file is complete at every moment; that of a time before is set aside, not overwritten."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(_to_json(work)), encoding="utf-8")
    temporary.replace(path)
    yield


def set_aside(path: Path) -> None:
    """Keep the work of the time before under the next number that is free: something else is begun."""
    if path.exists():
        names = (path.with_suffix(f".before-{number}.json") for number in count(1))
        path.replace(next(name for name in names if not name.exists()))


def kept(path: Path | None) -> Work | None:
    """Read what was kept; None if there is nothing, or nothing that can be read."""
    if path is None or not path.exists():
        return None
    try:
        work = _from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, zlib.error):
        return None
    return work if work.object_ids else None


def _sources(annotation: Annotation) -> dict[str, Points | Shapes]:
    """Give the layers that things were drawn in; for one that is gone, one in its place."""
    stage, place = annotation.stage, (annotation.image, annotation.view)
    return {"points": stage.points or new_points(*place), "shapes": stage.shapes or new_shapes(*place)}


def _through(drawn: Drawn, source: Layer, target: Layer) -> Drawn:
    """Take what was drawn from the data coordinates of a layer to those of another."""
    matrix, offset = affine_between(source, target)
    return replace(drawn, data=[np.asarray(one) @ matrix.T + offset for one in drawn.data])


def _join(parts: list[Drawn]) -> Drawn:
    return Drawn(
        [one for part in parts for one in part.data],
        tuple(kind for part in parts for kind in part.shape_types),
        pd.concat([part.features for part in parts], ignore_index=True),
    )


# --- JSON


def _to_json(work: Work) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "model": work.model,
        "options": dict(work.options),
        "object_id": work.object_id,
        "drawn": {name: _drawn_to_json(drawn) for name, drawn in work.drawn.items()},
        "drafts": [_draft_to_json(key, draft, exact=key in work.exact) for key, draft in work.drafts.items()],
    }


def _from_json(said: Any) -> Work:
    if said["format"] != FORMAT:
        msg = f"expected format {FORMAT}, got {said['format']}"
        raise ValueError(msg)
    return Work(
        {name: _drawn_from_json(drawn) for name, drawn in said["drawn"].items()},
        dict(_draft_from_json(one) for one in said["drafts"]),
        frozenset(_key(one) for one in said["drafts"] if one["exact"]),
        int(said["object_id"]),
        str(said["model"]),
        said["options"],
    )


def _drawn_to_json(drawn: Drawn) -> dict[str, Any]:
    return {
        "data": [np.asarray(one).tolist() for one in drawn.data],
        "shape_types": list(drawn.shape_types),
        OBJECT: [int(one) for one in drawn.features[OBJECT]],
        LABEL: [str(one) for one in drawn.features[LABEL]],
    }


def _drawn_from_json(said: Any) -> Drawn:
    features = pd.DataFrame({OBJECT: np.array(said[OBJECT], int), LABEL: np.array(said[LABEL], object)})
    return Drawn([np.array(one, float) for one in said["data"]], tuple(said["shape_types"]), features)


def _draft_to_json(key: Key, draft: Draft, *, exact: bool) -> dict[str, Any]:
    crop = draft.mask
    bits = zlib.compress(np.packbits(crop.pixels).tobytes())
    return {
        "object": key[0],
        "plane": list(key[1]),
        "origin": draft.origin,
        "evidence": {name: value for name, value in asdict(draft.evidence).items() if not isnan(value)},
        "exact": exact,
        "shape": list(crop.shape),
        "window": [crop.top, crop.left, *crop.pixels.shape],
        "bits": base64.b85encode(bits).decode(),
    }


def _draft_from_json(said: Any) -> tuple[Key, Draft]:
    top, left, height, width = said["window"]
    packed = np.frombuffer(zlib.decompress(base64.b85decode(said["bits"])), np.uint8)
    pixels = np.unpackbits(packed, count=height * width).reshape(height, width).astype(bool)
    pixels.flags.writeable = False
    rows, columns = said["shape"]
    known = {name: value for name, value in said["evidence"].items() if name in Evidence.__slots__}
    draft = Draft(Crop((rows, columns), top, left, pixels), Evidence(**known), said["origin"])
    return _key(said), draft


def _key(said: Any) -> Key:
    return int(said["object"]), tuple(int(position) for position in said["plane"])
