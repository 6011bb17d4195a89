"""What an embedding depends on, as JSON; and which group of a cache belongs to it."""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

import numpy as np
import xxhash

from napari_sam.contrast import Contrast, sample_planes
from napari_sam.embeddings import encoder_sha256
from napari_sam.image import MODEL_INPUT_VERSION, Frame
from napari_sam.model.sam import Sam
from napari_sam.stack import Pixels, Stack
from napari_sam.tiles import TileGrid

FORMAT_VERSION = 1
_FINGERPRINT_PLANES = 8
_CLOSE_CONTRAST = 0.1  # of the range; training varies the contrast twice as much

Attributes = dict[str, Any]

# By format version: how the version before it would describe the same encoding, None if it had no words for it.
_AS_BEFORE: Mapping[int, Callable[[Attributes], Attributes | None]] = MappingProxyType({})


def describe(
    sam: Sam, stack: Stack, contrast: Contrast, *, grid: TileGrid | None = None, source: str | None = None
) -> Attributes:
    """Return everything that the embeddings of a stack depend on, and a bounded fingerprint of its pixels.

    Parameters
    ----------
    sam, stack, contrast
        What is encoded, and how.
    grid : TileGrid, optional
        Where the tiles are. None: planes are encoded whole.
    source : str, optional
        Where the image came from; for the reader only.
    """
    frame = grid.tiles[0] if grid else Frame.for_plane(stack.plane_shape, sam.config.grid)
    return {
        "format_version": FORMAT_VERSION,
        "model": sam.config.name,
        "weights_sha256": encoder_sha256(sam),
        "image_encoder": jsonable(asdict(sam.config.image_encoder)),
        "model_input": {
            "version": MODEL_INPUT_VERSION,
            "input_size": list(frame.input_size),
            "padded_size": list(frame.padded_size),
            "pixel_mean": list(sam.config.pixel_mean),
            "pixel_std": list(sam.config.pixel_std),
        },
        "precision": str(sam.encoder_dtype).removeprefix("torch."),
        **describe_image(stack, source=source),
        "contrast": jsonable(asdict(contrast)),
        "tiling": {"tile": grid.side, "overlap": grid.overlap} if grid else {"tile": None, "overlap": 0},
    }


def descriptions(attributes: Attributes) -> Iterator[Attributes]:
    """Describe an encoding as this format does, then as each older one did, back to one that could not have said it.

    A group that any of them names holds what is wanted, and is read and filled in its own format.
    """
    yield attributes
    for version in range(FORMAT_VERSION, 1, -1):
        before = _AS_BEFORE[version](attributes)
        if before is None:
            return
        attributes = before | {"format_version": version - 1}
        yield attributes


def describe_image(stack: Stack, *, source: str | None = None) -> Attributes:
    """Return that part of the description which is about the image alone: ``image`` and ``channels``."""
    return {
        "image": {
            "shape": [int(n) for n in stack.array.shape],
            "dtype": stack.dtype.name,
            "axes": list(stack.axes),
            "source": source or _source_of(stack.array),
            "fingerprint": _fingerprint(stack),
        },
        "channels": list(stack.channels),
    }


def _source_of(array: Any) -> str | None:
    """Where an array lies, if it knows: zarr and memory-mapped files do."""
    found = getattr(array, "store_path", None) or getattr(array, "filename", None)
    return None if found is None else str(found)


def plane_hash(pixels: Pixels) -> int:
    """Hash the pixels of a plane; never 0, which stands for "nothing stored".

    The raw pixels, in little-endian order: everything that happens to them is in the key, and a resize in floating
    point, which may differ in its last bit, would not be the same on a laptop and on the cluster that encoded.
    """
    little = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<"))
    return xxhash.xxh3_64_intdigest(little.data) or 1


def encoding_name(attributes: Attributes) -> str:
    """Name everything about an encoding but which image it is: the group of all images of this kind."""
    image = {key: attributes["image"][key] for key in ("shape", "dtype", "axes")}
    measured = attributes["contrast"]["kind"] == "percentile"
    contrast = {"kind": "percentile"} if measured else attributes["contrast"]
    return f"{attributes['model']}-{_digest(attributes | {'image': image, 'contrast': contrast})}"


def image_name(attributes: Attributes) -> str:
    """Name the group of an image that no edit has changed."""
    return _digest([attributes["contrast"], attributes["image"]["fingerprint"]])


def choose_image(existing: Mapping[str, Attributes], wanted: Attributes) -> str:
    """Name the group of an image: one of `existing`, if that is the same image or was it before an edit.

    An edit leaves at least half of the sampled planes as they were. The image then keeps the percentile contrast that
    was measured when its group was made, unless a new measurement is more than a tenth off: otherwise an edit of one
    plane, which moves the percentiles a little, would cost a new encoding of all the others.
    """
    name = image_name(wanted)
    if name in existing:
        return name
    return next((other for other in sorted(existing) if _is_edit(existing[other], wanted)), name)


def is_same_image(stored: Attributes, wanted: Attributes) -> bool:
    """Tell whether two groups are of one image, perhaps edited in between, however each was encoded."""
    same = all(stored["image"][key] == wanted["image"][key] for key in ("shape", "dtype", "axes"))
    return bool(same and stored["channels"] == wanted["channels"] and _shares_planes(stored, wanted))


def _fingerprint(stack: Stack) -> dict[str, str]:
    """Hash of a sample of some planes that are not blank, by plane."""
    samples = itertools.islice(sample_planes(stack), _FINGERPRINT_PLANES)
    return {",".join(map(str, plane)): f"{plane_hash(sample):016x}" for plane, sample in samples}


def _is_edit(stored: Attributes, wanted: Attributes) -> bool:
    return _shares_planes(stored, wanted) and _is_close(stored["contrast"], wanted["contrast"])


def _shares_planes(stored: Attributes, wanted: Attributes) -> bool:
    ours, theirs = wanted["image"]["fingerprint"], stored["image"]["fingerprint"]
    shared = ours.keys() & theirs.keys()
    equal = sum(ours[plane] == theirs[plane] for plane in shared)
    return bool(0 < len(shared) <= 2 * equal)


def _is_close(stored: Attributes, wanted: Attributes) -> bool:
    low, high = np.array(stored["low"]), np.array(stored["high"])
    off = np.maximum(abs(low - wanted["low"]), abs(high - wanted["high"]))
    return bool((off <= _CLOSE_CONTRAST * (high - low)).all())


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def jsonable(content: Attributes) -> Attributes:
    """Turn tuples into lists, as they come back from a file."""
    return dict(json.loads(json.dumps(content)))
