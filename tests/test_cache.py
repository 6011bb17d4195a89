import copy
import dataclasses
import errno
import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from zarr.storage._local import _put

from napari_sam.cache import EmbeddingCache
from napari_sam.cache_key import FORMAT_VERSION
from napari_sam.contrast import Contrast, estimate_contrast
from napari_sam.embeddings import encode
from napari_sam.image import Frame
from napari_sam.stack import open_stack

FULL = Contrast("limits", (0,), (4096,))
NEWER = FORMAT_VERSION + 1


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 4096, (6, 32, 32), dtype=np.uint16)


@pytest.fixture
def opened(tiny_sam, tmp_path):
    """Open the cache of an image; on disk unless told otherwise."""

    def open_cache(image, contrast=FULL, *, folder=tmp_path / "cache", sam=tiny_sam, batch_size=1, **options):
        stack = open_stack(image, **options)
        contrast = contrast or estimate_contrast(stack)
        return EmbeddingCache.open(folder, sam=sam, stack=stack, contrast=contrast, batch_size=batch_size)

    return open_cache


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KiB: the description of a cache and a few tiny planes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"a small disk needs root and tmpfs: {made.stderr.strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


def values(cache):
    return {plane: cache.get_or_encode(plane).image_embedding.numpy() for plane in cache.stack.planes()}


def assert_equal(first, second):
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[plane], second[plane]) for plane in first)


def chunk(folder, array, z):
    [file] = folder.glob(f"*/*/{array}/c/{z}" + "/0" * 4 * (array == "image_embedding"))
    return file


def groups(folder):
    return [path.parent for path in folder.glob("*/*/zarr.json")]


class TestHits:
    @pytest.mark.parametrize("where", ["in memory", "folder", "url"])
    def test_second_read_does_not_call_the_encoder(self, opened, image, encoder, tmp_path, where):
        places = {"in memory": None, "folder": tmp_path / "cache", "url": f"memory://{tmp_path}"}
        cache = opened(image, folder=places[where])
        first = cache.get_or_encode((2,))
        cache.forget()
        again = cache.get_or_encode((2,))
        assert encoder["images"] == 1
        assert torch.equal(first.image_embedding, again.image_embedding)

    def test_an_embedding_is_that_of_the_encoder_in_float16(self, opened, image, tiny_sam):
        cache = opened(image)
        frame = Frame.for_plane(image.shape[1:], tiny_sam.config.grid)
        [fresh] = encode(tiny_sam, [image[3]], contrast=FULL, frames=[frame])
        stored = cache.get_or_encode((3,))
        assert torch.equal(stored.image_embedding, fresh.image_embedding.half().float())
        assert stored.frame == fresh.frame

    def test_embed_yields_what_it_encoded_and_leaves_out_what_is_there(self, opened, image):
        cache = opened(image)
        cache.get_or_encode((1,))
        assert list(cache.embed([(4,), (1,), (0,)])) == [(4,), (0,)]
        assert list(cache.embed()) == [(2,), (3,), (5,)]
        assert list(cache.embed()) == []

    @pytest.mark.parametrize("batch_size", [2, 4, 10])
    def test_batches_fill_the_cache_as_single_planes_do(self, opened, image, tmp_path, batch_size):
        batched = opened(image, folder=tmp_path / "batched", batch_size=batch_size)
        assert list(batched.embed()) == list(batched.stack.planes())
        for plane, single in values(opened(image, folder=None)).items():
            np.testing.assert_allclose(values(batched)[plane], single, atol=1e-2)

    def test_closing_the_iterator_keeps_what_was_yielded(self, opened, image):
        running = opened(image).embed()
        done = [next(running), next(running)]
        running.close()
        assert opened(image).cached_planes() == tuple(done)

    def test_a_2d_image_is_cached_too(self, opened, image, encoder):
        assert list(opened(image[0]).embed()) == [()]
        opened(image[0]).get_or_encode(())
        assert encoder["images"] == 1

    def test_planes_are_not_read_again_once_they_were_compared(self, opened, image):
        class Counting:
            shape, dtype, reads = image.shape, image.dtype, 0

            def __getitem__(self, index):
                self.reads += 1
                return image[index]

        array = Counting()
        cache = opened(array)
        list(cache.embed())
        array.reads = 0
        values(cache)
        assert array.reads == 0

    def test_planes_that_share_chunks_are_read_together_and_edits_are_seen_all_the_same(self, opened, image, encoder):
        array = zarr.create_array(zarr.storage.MemoryStore(), data=image, chunks=(3, 32, 32))
        cache = opened(array)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(cache.stack), "read", None)  # what reads single planes
            assert len(list(cache.embed())) == 6
        array[2] = image[2] + 1
        assert list(cache.embed()) == [(2,)]
        array[3] = image[3] + 1
        cache.forget()
        assert np.array_equal(cache.pixels((3,)), image[3] + 1)
        cache.get_or_encode((3,))
        assert encoder["images"] == 8

    def test_an_edit_in_place_is_seen_after_forget(self, opened, image, encoder):
        cache = opened(image)
        list(cache.embed())
        image[2] += 1
        assert list(cache.embed()) == [(2,)]
        image[3] += 1
        cache.forget()
        cache.get_or_encode((3,))
        assert encoder["images"] == 8

    def test_a_plane_that_does_not_exist_is_refused_at_once(self, opened, image):
        cache = opened(image)
        for ask in (cache.get_or_encode, lambda plane: cache.embed([plane])):
            with pytest.raises(ValueError, match=r"\(6,\)"):
                ask((6,))
        assert cache.cached_planes() == ()

    def test_only_a_few_planes_stay_in_memory_as_tensors(self, opened):
        cache = opened(np.zeros((20, 16, 16), np.uint8))
        list(cache.embed())
        assert len(cache._recent._values) == 8


class TestEdits:
    """An image that was changed between two openings."""

    def test_a_changed_pixel_encodes_its_plane_alone_with_a_warning(self, opened, image, caplog):
        list(opened(image).embed())
        image[3, 7, 7] += 1
        with caplog.at_level(logging.WARNING):
            assert list(opened(image).embed()) == [(3,)]
        assert "(3,) have changed" in caplog.text

    def test_two_images_of_one_kind_do_not_drive_each_other_out(self, opened, image, encoder):
        other = np.random.default_rng(1).integers(0, 4096, image.shape, dtype=np.uint16)
        list(opened(image).embed())
        list(opened(other).embed())
        encoder.clear()
        list(opened(image).embed())
        list(opened(other).embed())
        assert encoder["images"] == 0

    def test_an_edit_keeps_the_contrast_that_the_other_planes_were_encoded_with(self, opened, image):
        before = opened(image, None)
        list(before.embed())
        image[3] = image[3] // 2 + 40
        after = opened(image, None)
        assert list(after.embed()) == [(3,)]
        assert after.contrast == before.contrast != estimate_contrast(after.stack)

    def test_an_image_that_became_much_brighter_gets_a_new_contrast(self, opened, image):
        list(opened(image, None).embed())
        image[3:] *= 8
        assert len(list(opened(image, None).embed())) == 6

    def test_a_model_of_which_only_the_encoder_is_in_bfloat16_reads_what_a_whole_one_wrote(
        self, opened, image, tiny_sam, caplog
    ):
        """A cluster encodes in bfloat16; a laptop without it decodes in float32."""
        list(opened(image, sam=copy.deepcopy(tiny_sam).bfloat16()).embed())
        laptop = copy.deepcopy(tiny_sam)
        opened(image, sam=laptop)
        assert "image encoded in bfloat16, but this model encodes in float32" in caplog.text
        laptop.image_encoder.to(torch.bfloat16)
        cache = opened(image, sam=laptop)
        assert list(cache.embed()) == []
        assert cache.get_or_encode((0,)).image_embedding.dtype == torch.float32


class TestDamage:
    @pytest.mark.parametrize("array", ["image_embedding", "seal", "plane_hash"])
    @pytest.mark.parametrize(
        "harm",
        [
            lambda content: b"",
            lambda content: content[:-1],
            lambda content: content[: len(content) // 2],
            lambda content: content[:-5] + bytes([content[-5] ^ 1]) + content[-4:],
        ],
        ids=["empty", "a byte short", "torn", "a flipped bit"],
    )
    def test_a_damaged_chunk_is_encoded_again_with_a_warning(self, opened, image, tmp_path, caplog, array, harm):
        expected = values(opened(image))
        file = chunk(tmp_path / "cache", array, 2)
        file.write_bytes(harm(file.read_bytes()))
        with caplog.at_level(logging.WARNING):
            assert list(opened(image).embed()) == [(2,)]
        assert "(2,) is damaged" in caplog.text
        assert_equal(values(opened(image)), expected)

    @pytest.mark.parametrize("array", ["image_embedding", "seal", "plane_hash"])
    def test_a_missing_chunk_is_encoded_again(self, opened, image, tmp_path, array):
        expected = values(opened(image))
        chunk(tmp_path / "cache", array, 2).unlink()
        assert list(opened(image).embed()) == [(2,)]
        assert_equal(values(opened(image)), expected)

    def test_chunks_of_two_planes_that_were_swapped_are_not_believed(self, opened, image, tmp_path):
        list(opened(image).embed())
        one, two = (chunk(tmp_path / "cache", "image_embedding", z) for z in (1, 2))
        content = one.read_bytes()
        shutil.copy(two, one)
        two.write_bytes(content)
        assert list(opened(image).embed()) == [(1,), (2,)]

    def test_writers_of_two_versions_of_a_plane_cannot_mix_them(self, opened, image):
        """The older writer's hash arrives last, on top of the newer one's embedding."""
        old, new = opened(image), opened(image)
        list(old.embed())
        digest = int(old.store.plane_hash[2])
        image[2] += 1
        list(new.embed())
        old.store.plane_hash[2] = np.uint64(digest)
        assert old.get((2,), digest) is None

    def test_a_group_that_was_killed_at_birth_is_completed(self, opened, image, tmp_path):
        opened(image)
        [group] = groups(tmp_path / "cache")
        shutil.rmtree(group / "plane_hash")
        assert len(list(opened(image).embed())) == 6

    def test_torn_metadata_is_an_error_that_says_what_to_delete(self, opened, image, tmp_path):
        opened(image)
        [group] = groups(tmp_path / "cache")
        (group / "zarr.json").write_text('{"attrib')
        with pytest.raises(ValueError, match=r"damaged.*delete"):
            opened(image)


class TestFolder:
    def test_what_a_group_is_for_can_be_read_in_it(self, opened, image, tmp_path):
        opened(image)
        [group] = groups(tmp_path / "cache")
        attributes = json.loads((group / "zarr.json").read_text())["attributes"]
        assert attributes["format_version"] == FORMAT_VERSION
        assert attributes["image"]["axes"] == ["stack", "y", "x"]
        assert attributes["contrast"] == {"kind": "limits", "low": [0], "high": [4096]}

    def test_a_newer_format_is_refused_and_left_alone(self, opened, image, tmp_path):
        list(opened(image).embed())
        for path in [tmp_path / "cache" / "zarr.json", groups(tmp_path / "cache")[0] / "zarr.json"]:
            original = path.read_text()
            path.write_text(original.replace(f'"format_version": {FORMAT_VERSION}', f'"format_version": {NEWER}'))
            with pytest.raises(ValueError, match=f"format {NEWER}.*upgrade"):
                opened(image)
            path.write_text(original)

    @pytest.mark.parametrize("zarr_format", [2, 3])
    @pytest.mark.parametrize("create", ["array", "group"])
    def test_other_zarr_data_is_refused_and_left_alone(self, opened, image, tmp_path, zarr_format, create):
        if create == "array":
            zarr.create_array(tmp_path / "cache", shape=(2,), dtype="u1", zarr_format=zarr_format)
        else:
            zarr.create_group(tmp_path / "cache", zarr_format=zarr_format)
        before = sorted((tmp_path / "cache").rglob("*"))
        with pytest.raises(ValueError, match="not an embedding cache"):
            opened(image)
        assert sorted((tmp_path / "cache").rglob("*")) == before

    def test_a_url_that_cannot_be_reached_is_an_error(self, opened, image):
        with pytest.raises(ValueError, match=r"cannot be reached.*install"):
            opened(image, folder="nowhere://cache")

    def test_other_files_in_the_folder_do_not_disturb(self, opened, image, tmp_path):
        (tmp_path / "cache" / "more").mkdir(parents=True)
        (tmp_path / "cache" / "image.tif").touch()
        assert len(list(opened(image).embed())) == 6

    def test_a_folder_that_cannot_be_made_is_an_error(self, opened, image, tmp_path):
        (tmp_path / "file").touch()
        for folder in (tmp_path / "file", tmp_path / "file" / "cache"):
            with pytest.raises(OSError, match=r"cannot be opened.*another folder"):
                opened(image, folder=folder)

    @pytest.mark.parametrize("last", ["nothing", "embedding", "seal"])
    def test_a_full_disk_is_an_error_and_earlier_planes_are_intact(self, opened, image, monkeypatch, last):
        running = opened(image).embed()
        done = [next(running), next(running)]
        with monkeypatch.context() as full:
            full.setattr("zarr.storage._local._put", full_after(["nothing", "embedding", "seal"].index(last)))
            with pytest.raises(OSError, match=r"plane \(2,\).*No space left.*intact") as error:
                next(running)
        assert error.value.errno == errno.ENOSPC
        assert done == [(0,), (1,)]
        assert list(opened(image).embed()) == [(2,), (3,), (4,), (5,)]

    @pytest.mark.skipif(not shutil.which("mount"), reason="a small disk is made with mount and tmpfs")
    def test_a_disk_that_was_really_full_goes_on_when_there_is_room(self, opened, image, small_disk):
        with pytest.raises(OSError, match=r"plane \(\d,\) cannot be written .*make room there") as error:
            list(opened(image, folder=small_disk).embed())
        assert error.value.errno == errno.ENOSPC
        stored = opened(image, folder=small_disk).cached_planes()
        assert 0 < len(stored) < len(image)
        subprocess.run(["mount", "-o", "remount,size=1m", small_disk], check=True)
        assert list(opened(image, folder=small_disk).embed()) == [(z,) for z in range(len(stored), len(image))]
        assert_equal(values(opened(image, folder=small_disk)), values(opened(image, folder=None)))

    def test_a_full_cache_can_be_used_where_nothing_can_be_written(self, opened, image, monkeypatch):
        expected = values(opened(image))
        monkeypatch.setattr("zarr.storage._local._put", no_space)
        assert_equal(values(opened(image)), expected)

    def test_an_embedding_beyond_float16_is_an_error(self, opened, image):
        cache = opened(image)
        embedding = cache.get_or_encode((0,))
        huge = dataclasses.replace(embedding, image_embedding=embedding.image_embedding * 1e6)
        with pytest.raises(ValueError, match="float16"):
            cache.put((0,), 1, huge)


def no_space(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def full_after(files):
    """Write so many files, then find the disk full."""
    outcomes = iter([_put] * files)
    return lambda *args, **kwargs: next(outcomes, no_space)(*args, **kwargs)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Caches that several processes wrote, by what happened to them: folder, and planes reported as stored."""
    folder = tmp_path_factory.mktemp("written")
    script = Path(__file__).with_name("killed_writers.py")
    run = subprocess.run([sys.executable, script, folder], capture_output=True, text=True, timeout=500)
    assert run.returncode == 0, run.stderr
    return {name: (folder / name, stored) for name, stored in json.loads(run.stdout).items()}


def content(folder):
    [group] = groups(folder)
    return {name: array[...] for name, array in zarr.open_group(group, mode="r").arrays()}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the writers are forked")
class TestProcesses:
    """The kill matrix: see killed_writers.py for what was done to each cache."""

    @pytest.mark.parametrize("name", ["killed", "together", "survivor"])
    def test_what_was_stored_is_never_encoded_again(self, written, name):
        """Beyond the plane that two writers, or the killed one and its heir, have in flight at the same moment."""
        _, report = written[name]
        assert report["again"] == []

    @pytest.mark.parametrize("name", ["killed", "together", "survivor"])
    def test_neither_kills_nor_company_leave_a_trace(self, written, name):
        assert_equal(content(written[name][0]), content(written["undisturbed"][0]))

    def test_two_writers_lose_no_plane(self, written):
        assert set(written["together"][1]["stored"]) == set(written["undisturbed"][1]["stored"])
