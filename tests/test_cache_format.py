"""Every cache that was ever written is read: a file of format 1, and how a later format finds older ones."""

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest

from napari_sam.cache import EmbeddingCache
from napari_sam.cache_key import FORMAT_VERSION, describe
from napari_sam.contrast import Contrast
from napari_sam.model.config import DecoderConfig, InputGrid, SamConfig, ViTConfig
from napari_sam.model.sam import build_sam
from napari_sam.stack import open_stack

FORMAT_1 = Path(__file__).with_name("data") / "cache_format_1.zip"


@pytest.fixture
def sam(monkeypatch):
    """A model whose weights always hash to the same, whatever random numbers they are."""
    monkeypatch.setattr("napari_sam.cache_key.encoder_sha256", lambda sam: "0" * 64)
    vit = ViTConfig(embed_dim=32, depth=1, num_heads=2, global_attn_indexes=(), img_size=64, out_chans=8)
    decoder = DecoderConfig(dim=8, num_heads=2, mlp_dim=16)
    grid = InputGrid(shortest=64, longest=64, multiple=64)
    return build_sam(SamConfig(name="tiny", image_encoder=vit, decoder=decoder, grid=grid)).eval()


def open_cache(folder, sam):
    stack = open_stack(np.arange(2 * 12 * 16, dtype=np.uint16).reshape(2, 12, 16))
    return EmbeddingCache.open(folder, sam=sam, stack=stack, contrast=Contrast("limits", (0,), (383,)))


def checksum(cache):
    values = [cache.get_or_encode(plane).image_embedding.half().numpy().tobytes() for plane in cache.stack.planes()]
    return hashlib.sha256(b"".join(values)).hexdigest()


def test_a_cache_of_format_1_is_read(sam, tmp_path):
    """If this fails, every cache that users have would be encoded anew: describe format 1 in `cache_key._AS_BEFORE`."""
    with zipfile.ZipFile(FORMAT_1) as archive:
        archive.extractall(tmp_path)
    cache = open_cache(tmp_path, sam)
    assert list(cache.embed()) == []
    assert checksum(cache) == "7a7e5b4bbd489a3e214ad692f054917bcf29b5b8f9009167dd8ed5b1dc7d2a8a"


class TestLaterFormat:
    """As if the next format knew one thing more, which was always "no" before."""

    @pytest.fixture
    def later(self, monkeypatch):
        def describe_later(*arguments, **options):
            described = describe(*arguments, **options)
            return described | {"format_version": FORMAT_VERSION + 1, "news": answer}

        answer = "no"
        monkeypatch.setattr("napari_sam.cache.describe", describe_later)
        for module in ("cache_key", "cache_store"):
            monkeypatch.setattr(f"napari_sam.{module}.FORMAT_VERSION", FORMAT_VERSION + 1)

        def forget_news(described):
            return {key: described[key] for key in described if key != "news"} if described["news"] == "no" else None

        monkeypatch.setattr("napari_sam.cache_key._AS_BEFORE", {FORMAT_VERSION + 1: forget_news})

        def say(new):
            nonlocal answer
            answer = new

        return say

    @pytest.fixture
    def filled(self, sam, tmp_path):
        list(open_cache(tmp_path, sam).embed())
        return tmp_path

    def test_an_older_group_is_read(self, filled, later, sam):
        assert list(open_cache(filled, sam).embed()) == []

    def test_what_the_older_format_could_not_say_gets_a_group_of_its_own(self, filled, later, sam):
        later("yes")
        assert len(list(open_cache(filled, sam).embed())) == 2
        assert list(open_cache(filled, sam).embed()) == []
