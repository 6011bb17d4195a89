"""The mutation matrix: whatever an embedding depends on is changed in turn, and no embedding of before is ever read."""

import copy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
import zarr

from napari_sam.cache import EmbeddingCache
from napari_sam.cache_key import describe
from napari_sam.contrast import Contrast
from napari_sam.image_files import read_image
from napari_sam.model.sam import Sam
from napari_sam.stack import open_stack

PIXELS = np.random.default_rng(0).integers(0, 4096, (3, 16, 16, 2), dtype=np.uint16)  # z, y, x, c
FULL = Contrast("limits", (0, 0), (4096, 4096))


@dataclass(frozen=True)
class Encoding:
    """All that a stack of embeddings depends on."""

    sam: Sam
    pixels: Any = field(default_factory=PIXELS.copy)
    channel_axis: int = -1
    channels: tuple[int, ...] = (0, 1)
    contrast: Contrast = FULL

    def open(self, folder):
        stack = open_stack(self.pixels, channel_axis=self.channel_axis, channels=self.channels)
        return EmbeddingCache.open(folder, sam=self.sam, stack=stack, contrast=self.contrast)


def pixels(change):
    return lambda encoding: replace(encoding, pixels=change(encoding.pixels.copy()))


def model(change):
    def other(encoding):
        sam = copy.deepcopy(encoding.sam)
        with torch.no_grad():
            change(sam)
        return replace(encoding, sam=sam)

    return other


def config(**changes):
    return model(lambda sam: setattr(sam, "config", replace(sam.config, **changes)))


def one_pixel(image):
    image[1, 5, 7, 0] += 1
    return image


# What is changed, and how many of the three planes must then be encoded.
CHANGES = {
    "one pixel": (pixels(one_pixel), 1),
    "every pixel": (pixels(lambda image: image + np.uint16(1)), 3),
    "dtype": (pixels(lambda image: image.astype(np.int32)), 3),
    "shape": (pixels(lambda image: image[:, :-1]), 3),
    "order of the axes": (pixels(lambda image: image.transpose(0, 2, 1, 3)), 3),
    "order of the planes": (pixels(lambda image: image[::-1]), 3),
    "one more axis": (pixels(lambda image: image[None]), 3),
    "place of the channels": (
        lambda encoding: replace(encoding, pixels=np.moveaxis(encoding.pixels, -1, 1), channel_axis=1),
        3,
    ),
    "plane orientation": (pixels(lambda image: image.transpose(1, 0, 2, 3)), 16),
    "choice of channels": (
        lambda encoding: replace(encoding, channels=(0,), contrast=Contrast("limits", (0,), (4096,))),
        3,
    ),
    "order of channels": (lambda encoding: replace(encoding, channels=(1, 0)), 3),
    "contrast": (lambda encoding: replace(encoding, contrast=Contrast("limits", (0, 0), (4096, 4000))), 3),
    "kind of contrast": (lambda encoding: replace(encoding, contrast=Contrast("percentile", (0, 0), (4096, 4096))), 3),
    "one weight": (model(lambda sam: next(sam.image_encoder.parameters()).view(-1)[0].add_(1e-3)), 3),
    "model": (config(name="other"), 3),
    "normalisation": (config(pixel_mean=(0.0, 0.0, 0.0)), 3),
    "precision": (model(lambda sam: sam.bfloat16()), 3),
    "precision of the encoder alone": (model(lambda sam: sam.image_encoder.to(torch.bfloat16)), 3),
}

# What a later version of the package may do differently.
REVISIONS = {
    "format version": {"format_version": 0},
    "model input": {"model_input": {"version": 0}},
    "tile size": {"tiling": {"tile": 512, "overlap": 0}},
    "overlap": {"tiling": {"tile": None, "overlap": 64}},
}

SAME = {
    "a copy": pixels(lambda image: image),
    "another memory layout": pixels(np.asfortranarray),
    "another byte order": pixels(lambda image: image.astype(">u2")),
    "a reloaded model": model(lambda sam: sam),
    "another mask decoder": model(lambda sam: next(sam.mask_decoder.parameters()).add_(1)),
    "negative axes": lambda encoding: replace(encoding, channel_axis=3),
}


@pytest.fixture
def filled(tiny_sam, tmp_path):
    """An encoding, and a cache in which it is complete."""
    encoding = Encoding(tiny_sam)
    list(encoding.open(tmp_path / "cache").embed())
    return encoding, tmp_path / "cache"


def embeddings(cache):
    return [cache.get_or_encode(plane).image_embedding for plane in cache.stack.planes()]


@pytest.mark.parametrize("change", CHANGES)
def test_after_a_change_no_embedding_is_stale(filled, change):
    encoding, folder = filled
    alter, count = CHANGES[change]
    changed = alter(encoding)
    assert len(list(changed.open(folder).embed())) == count
    cached, fresh = embeddings(changed.open(folder)), embeddings(changed.open(None))
    assert all(torch.equal(one, other) for one, other in zip(cached, fresh, strict=True))


@pytest.mark.parametrize("change", [change for change in CHANGES if change != "one pixel"])
def test_after_a_change_the_embeddings_of_before_are_still_there(filled, change):
    encoding, folder = filled
    list(CHANGES[change][0](encoding).open(folder).embed())
    assert list(encoding.open(folder).embed()) == []


@pytest.mark.parametrize("revision", REVISIONS)
def test_what_another_version_did_differently_is_not_read(filled, revision, monkeypatch):
    encoding, folder = filled
    described = describe(encoding.sam, encoding.open(folder).stack, encoding.contrast)
    assert described[next(iter(REVISIONS[revision]))] != REVISIONS[revision]
    monkeypatch.setattr("napari_sam.cache.describe", lambda *_, **__: described | REVISIONS[revision])
    assert len(list(encoding.open(folder).embed())) == 3


@pytest.mark.parametrize("change", SAME)
def test_what_makes_no_difference_hits_fully(filled, change):
    encoding, folder = filled
    assert list(SAME[change](encoding).open(folder).embed()) == []


@pytest.mark.parametrize("form", ["tif", "zarr", "npy"])
def test_the_same_image_in_a_file_hits_fully(filled, form, tmp_path):
    encoding, folder = filled
    path = tmp_path / f"image.{form}"
    if form == "tif":
        tifffile.imwrite(path, np.moveaxis(PIXELS, -1, 1), metadata={"axes": "ZCYX"}, ome=True)
        stored = np.moveaxis(np.asarray(read_image(path).array), 1, -1)
    elif form == "zarr":
        zarr.create_array(path, data=PIXELS)
        stored = zarr.open_array(path, mode="r")
    else:
        np.save(path, PIXELS)
        stored = np.load(path, mmap_mode="r")
    assert list(replace(encoding, pixels=stored).open(folder).embed()) == []


def test_a_cache_that_was_moved_hits_fully(filled, tmp_path):
    encoding, folder = filled
    folder.rename(tmp_path / "elsewhere")
    assert list(encoding.open(tmp_path / "elsewhere").embed()) == []
