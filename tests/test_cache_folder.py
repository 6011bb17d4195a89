"""What is in a cache folder, whether it is whole, and pruning: in the library and on the command line."""

import os
from datetime import datetime, timedelta

import numpy as np
import pytest
import tifffile
import zarr

from napari_sam import cli
from napari_sam.cache import EmbeddingCache
from napari_sam.cache_folder import cached_images, choose, find_caches, is_of, prune, verify
from napari_sam.cache_key import FORMAT_VERSION
from napari_sam.cache_store import EmbeddingStore
from napari_sam.contrast import Contrast
from napari_sam.stack import open_stack

FULL = Contrast("limits", (0,), (4096,))
NOW = datetime.now()


def image(seed=0, planes=4):
    return np.random.default_rng(seed).integers(0, 4096, (planes, 16, 16), dtype=np.uint16)


@pytest.fixture
def fill(tiny_sam, tmp_path):
    """Encode planes of an image into a cache, and return how it is found again."""

    def fill_cache(pixels, planes=None, *, folder=tmp_path / "cache", days=0):
        before = {cached.name for cached in cached_images(folder)} if folder.exists() else set()
        cache = EmbeddingCache.open(folder, sam=tiny_sam, stack=open_stack(pixels), contrast=FULL)
        list(cache.embed(planes))
        [new] = [cached for cached in cached_images(folder) if cached.name not in before]
        written = (NOW - timedelta(days=days)).timestamp()
        for path in (folder / new.name).rglob("*"):
            os.utime(path, (written, written))
        return next(cached for cached in cached_images(folder) if cached.name == new.name)

    return fill_cache


def names(images):
    return [cached.name for cached in images]


def run(*arguments):
    with pytest.raises(SystemExit) as end:
        cli.main([str(each) for each in arguments])
    return end.value.code


class TestFind:
    def test_an_image_is_told_by_what_it_was_made_from_and_how_far_it_is(self, fill):
        cached = fill(image(), [(0,), (2,)], days=3)
        assert (cached.done, cached.total) == (2, 4)
        assert cached.attributes["model"] == "tiny"
        assert NOW - cached.written == pytest.approx(timedelta(days=3), abs=timedelta(seconds=1))
        assert cached.size == sum(
            path.stat().st_size for path in (cached.cache / cached.name).rglob("*") if path.is_file()
        )

    def test_caches_are_found_inside_a_folder(self, fill, tmp_path):
        for name in ("b", "deep/a"):
            fill(image(), [(0,)], folder=tmp_path / name)
        zarr.create_array(tmp_path / "image.zarr", data=image())
        assert find_caches(tmp_path) == (tmp_path / "b", tmp_path / "deep" / "a")

    def test_a_folder_without_a_cache_is_an_error(self, tmp_path):
        zarr.create_array(tmp_path / "image.zarr", data=image())
        for wrong in (tmp_path, tmp_path / "image.zarr"):
            with pytest.raises(ValueError, match="not an embedding cache"):
                find_caches(wrong)
        with pytest.raises(FileNotFoundError, match="no folder"):
            find_caches(tmp_path / "nowhere")

    def test_a_cache_of_a_newer_format_is_an_error_and_among_others_a_warning(self, fill, tmp_path, caplog):
        fill(image(), [(0,)], folder=tmp_path / "ours")
        zarr.create_group(tmp_path / "newer", attributes={"format_version": FORMAT_VERSION + 1})
        with pytest.raises(ValueError, match="upgrade"):
            find_caches(tmp_path / "newer")
        assert find_caches(tmp_path) == (tmp_path / "ours",)
        assert "upgrade" in caplog.text

    def test_a_group_that_was_killed_at_birth_is_there_and_empty(self, fill):
        cached = fill(image(), [(0,)])
        (cached.cache / cached.name / "seal" / "zarr.json").unlink()
        [killed] = cached_images(cached.cache)
        assert (killed.done, killed.total) == (0, 0)
        assert list(verify(killed)) == []


def test_a_cache_behind_a_url_is_looked_into_but_not_pruned(tiny_sam, tmp_path):
    url = f"memory://{tmp_path}"
    list(EmbeddingCache.open(url, sam=tiny_sam, stack=open_stack(image()), contrast=FULL).embed([(0,)]))
    assert find_caches(url) == (url,)
    [cached] = cached_images(url)
    assert (cached.done, cached.total, cached.written) == (1, 4, None)
    assert dict(verify(cached)) == {(0,): "good"}
    with pytest.raises(ValueError, match="only a folder can be pruned"):
        prune(cached)


class TestVerify:
    def test_planes_that_are_whole_are_good_and_missing_ones_are_left_out(self, fill):
        assert dict(verify(fill(image(), [(0,), (2,)]))) == {(0,): "good", (2,): "good"}

    @pytest.mark.parametrize("array", ["plane_hash", "seal", "image_embedding"])
    def test_a_damaged_plane_is_found(self, fill, array):
        cached = fill(image())
        [chunk] = (cached.cache / cached.name / array / "c").glob("1" + "/0" * 4 * (array == "image_embedding"))
        chunk.write_bytes(chunk.read_bytes()[:-1])
        assert dict(verify(cached)) == {(0,): "good", (1,): "damaged", (2,): "good", (3,): "good"}

    def test_an_embedding_of_nan_is_found(self, fill):
        cached = fill(image())
        values = np.full(cached.store.image_embedding.shape[-3:], np.nan, np.float16)
        group = zarr.open_group(cached.cache / cached.name, mode="r+")
        EmbeddingStore(group["image_embedding"], group["seal"], group["plane_hash"], {}).write((1,), 7, values)
        assert dict(verify(cached))[1,] == "not finite"

    def test_an_edited_plane_is_found_if_the_image_is_given(self, fill):
        cached, pixels = fill(image()), image()
        pixels[3, 0, 0] += 1
        assert set(dict(verify(cached)).values()) == {"good"}
        assert is_of(cached, open_stack(pixels))
        assert dict(verify(cached, open_stack(pixels)))[3,] == "changed"

    def test_another_image_of_the_same_shape_is_told_apart(self, fill):
        assert not is_of(fill(image()), open_stack(image(seed=1)))


class TestPrune:
    @pytest.fixture
    def three(self, fill):
        """Images that were written 30, 20 and 10 days ago; the second lacks a plane."""
        return [fill(image(1), days=30), fill(image(2), [(0,), (1,)], days=20), fill(image(3), days=10)]

    @pytest.mark.parametrize(
        ("conditions", "expected"),
        [
            ({"older_than": timedelta(days=15)}, [0, 1]),
            ({"incomplete": True}, [1]),
            ({"model": "tiny"}, [0, 1, 2]),
            ({"model": "nano"}, []),
            ({"older_than": timedelta(days=25), "incomplete": True}, []),
            ({"max_size": 0}, [0, 1, 2]),
            ({"max_size": 10**9}, []),
        ],
    )
    def test_what_meets_every_condition_is_chosen(self, three, conditions, expected):
        assert names(choose(three, now=NOW, **conditions)) == [three[index].name for index in expected]

    def test_a_size_takes_the_oldest_and_no_more_than_needed(self, three):
        most = sum(cached.size for cached in three) - 1
        assert names(choose(reversed(three), now=NOW, max_size=most)) == [three[0].name]

    @pytest.mark.parametrize("conditions", [{"older_than": timedelta(days=-1)}, {"max_size": -1}])
    def test_a_negative_age_or_size_takes_nothing(self, three, conditions):
        """`--max-gb -1` would have deleted everything."""
        with pytest.raises(ValueError, match="must be at least 0"):
            choose(three, now=NOW, **conditions)

    def test_no_condition_is_an_error(self, three):
        with pytest.raises(ValueError, match="condition"):
            choose(three, now=NOW)

    def test_a_pruned_image_is_gone_and_the_others_are_whole(self, three, fill):
        prune(three[1])
        [cache] = {cached.cache for cached in three}
        assert set(names(cached_images(cache))) == {three[0].name, three[2].name}
        assert all(finding == "good" for cached in cached_images(cache) for _, finding in verify(cached))
        assert fill(image(2)).done == 4

    def test_files_that_are_not_ours_stay(self, three):
        notes = three[0].cache / three[0].name / "notes.txt"
        notes.touch()
        prune(three[0])
        assert notes.exists()

    @pytest.mark.skipif(os.name == "nt", reason="links need a right there")
    def test_a_link_out_of_the_cache_is_refused(self, three, tmp_path):
        group = three[0].cache / three[0].name
        group.rename(tmp_path / "elsewhere")
        group.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(ValueError, match="leads out of the cache"):
            prune(three[0])
        assert (tmp_path / "elsewhere" / "image_embedding").exists()


class TestCommands:
    @pytest.fixture(autouse=True)
    def _wide(self, monkeypatch):
        monkeypatch.setenv("COLUMNS", "200")

    def test_info_tells_model_contrast_planes_and_size(self, fill, capsys):
        cached = fill(image(), [(0,)])
        assert run("cache", "info", cached.cache) == 0
        text = capsys.readouterr().out
        assert all(word in text for word in ("4 x 16 x 16", "uint16", "tiny", "0 to 4096", "1 of 4", "1 image, "))

    def test_verify_exits_with_1_where_a_plane_is_spoilt(self, fill, capsys, tmp_path):
        cached, pixels = fill(image()), image()
        assert run("cache", "verify", cached.cache) == 0
        pixels[3] += 1
        tifffile.imwrite(tmp_path / "edited.tif", pixels, photometric="minisblack")
        assert run("cache", "verify", cached.cache, "--image", tmp_path / "edited.tif") == 1
        assert "plane (3,): changed" in capsys.readouterr().out

    def test_verify_of_an_image_that_is_not_there_is_an_error(self, fill, capsys, tmp_path):
        cached = fill(image())
        tifffile.imwrite(tmp_path / "other.tif", image(seed=1), photometric="minisblack")
        assert run("cache", "verify", cached.cache, "--image", tmp_path / "other.tif") == 2
        assert "holds no embeddings of" in capsys.readouterr().err

    def test_prune_shows_first_and_deletes_when_told(self, fill, capsys):
        cached = fill(image(), [(0,)])
        assert run("cache", "prune", cached.cache, "--incomplete") == 0
        assert "nothing was deleted" in capsys.readouterr().out
        assert names(cached_images(cached.cache)) == [cached.name]
        assert run("cache", "prune", cached.cache, "--incomplete", "--delete") == 0
        assert names(cached_images(cached.cache)) == []

    def test_prune_without_a_condition_is_an_error(self, fill, capsys):
        assert run("cache", "prune", fill(image()).cache, "--delete") == 2
        assert "condition" in capsys.readouterr().err

    @pytest.mark.parametrize("number", ["-1", "nan", "inf"])
    @pytest.mark.parametrize("option", ["--max-gb", "--older-than"])
    def test_an_age_or_a_size_that_is_none_is_refused_by_its_name(self, fill, capsys, option, number):
        """`--max-gb -1` spoke of -1000000000 bytes, `nan` of an integer, and `inf` ended with a traceback."""
        cached = fill(image())
        assert run("cache", "prune", cached.cache, option, number, "--delete") == 2
        assert f"{option} must be a number of at least 0, got {float(number):g}; " in capsys.readouterr().err
        assert names(cached_images(cached.cache)) == [cached.name]

    @pytest.mark.parametrize("option", ["--max-gb", "--older-than"])
    def test_nothing_is_as_large_or_as_old_as_a_number_can_be(self, fill, capsys, option):
        assert run("cache", "prune", fill(image()).cache, option, "1e308") == 0
        assert "0 images" in capsys.readouterr().out
