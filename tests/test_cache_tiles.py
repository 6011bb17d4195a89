"""Large planes in the cache: each tile is kept, checked and encoded on its own."""

from collections import Counter

import numpy as np
import pytest

from napari_sam import Segmenter, cli
from napari_sam.cache import EmbeddingCache
from napari_sam.cache_folder import cached_images, verify
from napari_sam.contrast import Contrast
from napari_sam.model.config import CONFIGS
from napari_sam.stack import open_stack
from napari_sam.tiles import TileGrid

FULL = Contrast("limits", (0,), (255,))


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (2, 100, 120), np.uint8)


@pytest.fixture
def opened(tiny_sam, tmp_path):
    def open_cache(image, *, tile=64, overlap=16, batch_size=1, folder=tmp_path / "cache"):
        return EmbeddingCache.open(
            folder,
            sam=tiny_sam,
            stack=open_stack(image),
            contrast=FULL,
            tile=tile,
            overlap=overlap,
            batch_size=batch_size,
        )

    return open_cache


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_every_tile_is_encoded_once(opened, image, encoder, batch_size):
    cache = opened(image, batch_size=batch_size)
    tiles = len(cache.grid.tiles)
    assert list(cache.embed()) == [(0,), (1,)]
    assert cache.cached_planes() == ((0,), (1,))
    assert list(opened(image).embed()) == []
    assert encoder["images"] == 2 * tiles


def test_a_view_encodes_the_tile_it_needs(opened, image, encoder):
    cache = opened(image)
    view = cache.grid.first_view((10.0, 10.0, 20.0, 20.0))
    embedding = cache.embedding((1,)).view(view)
    assert embedding.frame == view
    assert encoder["images"] == 1
    assert cache.cached_planes() == ()


def test_an_edit_encodes_the_tiles_that_show_it_anew(opened, image, encoder):
    cache = opened(image)
    list(cache.embed())
    encoder.clear()
    image[1, 5, 5] ^= 255
    list(opened(image).embed())
    grid = cache.grid
    assert encoder["images"] == sum(
        tile.window[0].start <= 5 < tile.window[0].stop and tile.window[1].start <= 5 < tile.window[1].stop
        for tile in grid.tiles
    )


def test_closing_the_iterator_keeps_the_tiles_that_were_encoded(opened, image, encoder):
    running = opened(image).embed()
    next(running)
    running.close()
    before = encoder["images"]
    assert list(opened(image).embed()) == [(1,)]
    assert encoder["images"] == 2 * before


@pytest.mark.parametrize("other", [{"tile": 80}, {"overlap": 32}, {"tile": None, "overlap": None}])
def test_other_tiles_are_another_entry(opened, image, encoder, other):
    list(opened(image).embed())
    encoder.clear()
    cache = opened(image, **other)
    assert cache.cached_planes() == ()
    list(cache.embed([(0,)]))
    assert encoder["images"] == (len(cache.grid.tiles) if cache.grid else 1)


def test_what_is_not_tiled_is_stored_as_ever(opened, image):
    small = opened(image[:, :50, :50])
    assert small.grid is None
    assert small.store.attributes["tiling"] == {"tile": None, "overlap": 0}
    assert small.store.plane_hash.shape == (2,)


def test_tiles_are_read_the_same_way_from_planes_of_any_size(opened, image, monkeypatch):
    digests = []
    for limit in (0, 2**30):
        monkeypatch.setattr("napari_sam.cache._BLOCK_BYTES", limit)
        cache = opened(image, folder=None)
        list(cache.embed())
        digests.append(np.asarray(cache.store.plane_hash[...]))
    np.testing.assert_array_equal(*digests)


def test_tiles_are_verified_one_by_one(opened, image, tmp_path, monkeypatch):
    cache = opened(image)
    list(cache.embed())
    monkeypatch.setattr("napari_sam.cache_folder.CONFIGS", {"under another name": cache.sam.config})
    [cached] = cached_images(tmp_path / "cache")
    image[0, 99, 119] ^= 255
    findings = Counter(finding for _, finding in verify(cached, open_stack(image)))
    assert findings["good"] + findings["changed"] == 2 * len(cache.grid.tiles)
    assert 0 < findings["changed"] < len(cache.grid.tiles)


def test_pixels_of_tiles_that_nobody_knows_are_not_compared(opened, image, tmp_path):
    list(opened(image).embed())
    [cached] = cached_images(tmp_path / "cache")
    assert {finding for _, finding in verify(cached)} == {"good"}
    with pytest.raises(ValueError, match="how the model 'tiny' tiles planes is not known here"):
        next(verify(cached, open_stack(image)))


def test_the_command_line_counts_planes_and_names_tiles(opened, image, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    cache = opened(image)
    list(cache.embed([(1,)]))
    count = len(cache.grid.tiles)
    [chunk] = tmp_path.glob("cache/*/*/seal/c/1/2")
    chunk.write_bytes(b"torn")
    for command, code, told in (
        ("info", 0, "1 of 2"),
        ("verify", 1, f"tiles: {count - 1} good, 1 damaged, {count} not encoded yet\n  plane (1,), tile 2: damaged"),
    ):
        with pytest.raises(SystemExit) as end:
            cli.main(["cache", command, str(tmp_path / "cache")])
        assert (end.value.code, told in capsys.readouterr().out) == (code, True)


def test_a_large_plane_is_tiled_unless_told_otherwise(tiny_sam):
    large = np.zeros((30, 2100), np.uint8)
    assert isinstance(Segmenter(large, tiny_sam).cache.grid, TileGrid)
    assert Segmenter(large, tiny_sam, tile=None).cache.grid is None
    assert CONFIGS["nano"].grid.largest_whole < 2100
