"""What the command line says and leaves behind where something goes wrong on the way."""

import errno
import os
import sys

import pytest
import tifffile
import torch
import zarr
from tests.test_cli import SEGMENT, WALK, folder, run, tiny_model
from zarr.codecs import GzipCodec, ZstdCodec

from napari_sam import Segmenter, cli

__all__ = ("folder", "tiny_model")  # fixtures


def test_an_error_can_be_traced_for_a_report(folder, monkeypatch):
    monkeypatch.setenv("NAPARI_SAM_DEBUG", "1")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        cli.main(("segment", "nothing.tif", *SEGMENT[2:]))


def test_a_gpu_that_is_too_small_is_one_sentence_that_says_what_to_do(folder, capsys, monkeypatch):
    """PyTorch's error is no mistake in a path or a number, and ended with a traceback."""

    def fail(*_arguments, **_how):
        msg = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 7.79 GiB of which"
        raise torch.OutOfMemoryError(msg)

    monkeypatch.setattr(Segmenter, "segment", fail)
    assert run(*SEGMENT) == 2
    said = capsys.readouterr().err
    assert said.startswith("sam-stacks: The GPU is out of memory (it was asked for 2.00 GiB more); close what else")
    assert len(said.splitlines()) == 1
    assert not (folder / "labels.tif").exists()


@pytest.mark.parametrize("name", ["zstd.zarr", "gzip.zarr", "zlib.tif"])
def test_a_chunk_that_cannot_be_unpacked_is_one_sentence(folder, capsys, name):
    """A copy with an error in it ended with the traceback of a codec."""
    pixels = tifffile.imread("image.tif")
    if name == "zlib.tif":
        tifffile.imwrite(name, pixels, compression="zlib", photometric="minisblack")
        with tifffile.TiffFile(name) as tiff:
            start = tiff.pages[3].dataoffsets[0]
        content = bytearray((folder / name).read_bytes())
        content[start : start + 9] = b"not zlib!"
        (folder / name).write_bytes(content)
    else:
        codec = GzipCodec() if name == "gzip.zarr" else ZstdCodec()
        zarr.create_array(name, data=pixels, chunks=(1, 64, 64), compressors=codec)
        (folder / name / "c" / "3" / "0" / "0").write_bytes(b"neither zstd nor gzip")
    for command in (("segment", name, *SEGMENT[2:]), ("embed", name, "--cache", "cache")):
        assert run(*command) == 2
        said = capsys.readouterr().err
        assert ("what is stored cannot be unpacked (" in said, len(said.splitlines())) == (True, 1)
    assert not (folder / "labels.tif").exists()


def test_a_full_disk_is_one_sentence_that_says_where_and_what_to_do(folder, capsys, monkeypatch):
    """It was "No space left on device", whichever of the disks that was."""

    def fail(*_arguments, **_how):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tifffile, "imwrite", fail)
    assert run(*SEGMENT) == 2
    said = capsys.readouterr().err
    assert said.startswith("sam-stacks: where the output goes: No space left on device; make room there")
    assert not (folder / "labels.tif").exists()


def test_a_mistake_of_ours_keeps_its_traceback(folder, monkeypatch):
    def fail(*_arguments, **_how):
        msg = "shapes do not match"
        raise RuntimeError(msg)

    monkeypatch.setattr(Segmenter, "segment", fail)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        cli.main(SEGMENT)


def test_a_stop_by_the_user_is_one_sentence_and_exit_code_130(folder, capsys, monkeypatch):
    def stop(*_arguments, **_how):
        raise KeyboardInterrupt

    monkeypatch.setattr(Segmenter, "segment", stop)
    assert run(*SEGMENT) == 130
    assert capsys.readouterr().err.splitlines() == [
        "sam-stacks: stopped; what is in a cache is kept, and no output is half written"
    ]
    assert not (folder / "labels.tif").exists()


@pytest.mark.parametrize(
    ("arguments", "written"),
    [((*WALK,), "labels.tif"), (("evaluate", "image.tif", "truth.tif", "--objects", "1", "--output", "s.md"), "s.md")],
)
def test_nothing_is_lost_where_nobody_reads_the_output(folder, capsys, monkeypatch, arguments, written):
    """`sam-stacks segment ... --propagate | head -1` said "Broken pipe", and the labels were not there."""
    reader, writer = os.pipe()
    os.close(reader)
    with monkeypatch.context() as patch, os.fdopen(writer, "w") as pipe:
        patch.setattr(sys, "stdout", pipe)
        assert run(*arguments) == 141
    assert capsys.readouterr().err == ""
    assert (folder / written).exists()
