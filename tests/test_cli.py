"""The command line with a tiny model: what it writes, and that an error is one sentence and exit code 2."""

import json
import sys

import numpy as np
import pytest
import tifffile
from tests.test_image_files import ome_zarr

from napari_sam import Segmenter, cli
from napari_sam.image_files import read_image
from napari_sam.own_models import remember_model
from napari_sam.sample import make_nuclei_stack


@pytest.fixture(autouse=True)
def tiny_model(tiny_sam, monkeypatch):
    monkeypatch.setattr("napari_sam.segmenter.load_sam", lambda name, *, device=None: tiny_sam)
    monkeypatch.setattr("napari_sam.checkpoints.download", lambda name: iter([(1, 2), (2, 2)]))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with an image, its truth and prompts."""
    monkeypatch.chdir(tmp_path)
    sample = make_nuclei_stack((6, 64, 64), seed=1)
    options = {"imagej": True, "resolution": (4, 4), "metadata": {"axes": "ZYX", "spacing": 1.0, "unit": "um"}}
    tifffile.imwrite("image.tif", sample.image, **options)
    tifffile.imwrite("truth.tif", sample.labels)
    prompts = [{"plane": [3], "points": [[30, 30]]}, {"plane": [2], "box": [[5, 5], [20, 25]], "object_id": 4}]
    (tmp_path / "prompts.json").write_text(json.dumps(prompts))
    (tmp_path / "points.csv").write_text("index,axis-0,axis-1,axis-2\n0,3,30,30\n")
    return tmp_path


def run(*arguments):
    """Run a command line and return its exit code."""
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    return end.value.code


SEGMENT = ("segment", "image.tif", "--prompts", "prompts.json", "--output", "labels.tif")
WALK = (*SEGMENT, "--propagate")


def test_help_names_every_command(capsys):
    assert run("--help") == 0
    text = capsys.readouterr().out
    assert all(command in text for command in ("demo", "embed", "segment", "models", "evaluate", "train", "pretrain"))


def test_segment_writes_labels_with_the_spacing_of_the_image(folder):
    assert run(*SEGMENT) == 0
    labels = read_image(folder / "labels.tif")
    assert labels.spatial_shape == (6, 64, 64)
    assert labels.spacing == pytest.approx({"Z": 1.0, "Y": 0.25, "X": 0.25})
    assert set(np.unique(labels.array[...])) <= {0, 1, 4}


def test_segment_takes_napari_points_and_writes_zarr(folder):
    assert run("segment", "image.tif", "--prompts", "points.csv", "--output", "labels.zarr") == 0
    assert read_image(folder / "labels.zarr").spatial_shape == (6, 64, 64)


def test_other_planes_of_a_volume_are_segmented_in_place(folder):
    prompts = [{"plane": [30], "points": [[3, 30]]}]  # y = 30, z = 3, x = 30
    (folder / "prompts.json").write_text(json.dumps(prompts))
    for file in ("prompts.json", "points.csv"):
        assert run(*SEGMENT[:3], file, *SEGMENT[4:], "--orientation", "xz", "--overwrite") == 0
        labels = read_image(folder / "labels.tif")
        assert labels.spatial_shape == (6, 64, 64)
        assert np.unique(np.nonzero(labels.array[...])[1]).tolist() == [30]


def test_objects_are_carried_along_the_axis_that_is_left(folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    options = ("--orientation", "yz", "--propagate", "--start", "20", "--stop", "40", "--cache", "cache")
    assert run(*SEGMENT[:3], "points.csv", *SEGMENT[4:], *options) == 0
    found = np.unique(np.nonzero(tifffile.imread("labels.tif"))[2])
    assert (30 in found, found.min() >= 20, found.max() < 40) == (True, True, True)
    assert run("embed", "image.tif", "--cache", "cache", "--orientation", "yz") == 0
    assert "64 planes are in cache" in capsys.readouterr().out
    assert run("cache", "verify", "cache", "--image", "image.tif", "--orientation", "yz") == 0
    assert run("cache", "info", "cache") == 0
    assert "image.tif, yz planes" in capsys.readouterr().out
    assert run("evaluate", "image.tif", "truth.tif", "--objects", "2", "--volumes", "0", "--orientation", "yz") == 0


def test_a_level_is_segmented_with_prompts_and_labels_of_the_full_resolution(folder, monkeypatch):
    """What is painted at full resolution comes back there, though the model saw half of the rows and columns."""
    pixels = tifffile.imread("image.tif")
    ome_zarr("image.zarr", pixels, pixels[:, ::2, ::2], version="0.5", axes="zyx", scale=[1, 0.25, 0.25])
    mask = np.zeros((64, 64), np.uint8)
    mask[10:30, 21:40] = 1
    tifffile.imwrite("painted.tif", mask)
    (folder / "prompts.json").write_text(json.dumps([{"plane": [3], "mask": "painted.tif", "object_id": 7}]))
    options = ("--level", "1", "--propagate", "--start", "3", "--stop", "4", "--cache", "cache")
    assert run("segment", "image.zarr", *SEGMENT[2:], *options) == 0
    labels = read_image(folder / "labels.tif")
    assert labels.spacing == pytest.approx({"Z": 1.0, "Y": 0.25, "X": 0.25})
    expected = np.zeros((6, 64, 64), int)
    expected[3, 10:30, 20:40] = 7  # in steps of two
    np.testing.assert_array_equal(labels.array[...], expected)


def test_propagate_says_why_each_object_ended(folder, capsys):
    assert run(*SEGMENT, "--propagate", "--start", "1", "--stop", "5") == 0
    assert "ended by" in capsys.readouterr().out
    labels = tifffile.imread("labels.tif")
    assert not labels[[0, 5]].any()


def test_what_another_tool_found_is_carried_on(folder):
    """Its ids and its outlines stay as they are on the planes that it has seen."""
    truth = tifffile.imread("truth.tif")
    seeds = np.zeros_like(truth)
    seeds[[1, 4]] = truth[[1, 4]]
    tifffile.imwrite("seeds.tif", seeds)
    tifffile.imwrite("plane.tif", truth[3])
    for seeds, options, planes in (("seeds.tif", (), [1, 4]), ("plane.tif", ("--plane", "3"), [3])):
        assert run(*SEGMENT[:3], seeds, *SEGMENT[4:], *options, "--propagate", "--overwrite") == 0
        labels = tifffile.imread("labels.tif")
        np.testing.assert_array_equal(labels[planes], truth[planes])
        assert set(np.unique(labels)) <= {0, *np.unique(truth[planes])}


def test_which_components_are_kept_and_whether_neighbours_walk_along_can_be_chosen(folder, monkeypatch):
    asked = []
    propagate = Segmenter.propagate
    monkeypatch.setattr(Segmenter, "propagate", lambda *a, **how: asked.append(how) or propagate(*a, **how))
    assert run(*SEGMENT, "--propagate", "--components", "largest") == 0
    assert run(*SEGMENT, "--propagate", "--neighbours", "--overwrite") == 0
    assert [(how["components"], how["neighbours"]) for how in asked] == [("largest", False), ("supported", True)]


def test_propagate_writes_tracks_too(folder, capsys):
    assert run(*SEGMENT, "--propagate", "--tracks", "tracks.csv") == 0
    assert "Wrote tracks.csv" in capsys.readouterr().out
    assert (folder / "tracks.csv").read_text().startswith("track_id,t,y,x,object_id,parent")


def test_some_of_many_channels_are_chosen(folder, capsys):
    pixels = tifffile.imread("image.tif")
    tifffile.imwrite("many.tif", np.stack([pixels] * 5, axis=1), metadata={"axes": "ZCYX"})
    assert run("embed", "many.tif", "--cache", "cache") == 2
    assert "one to three of the image's 5 channels" in capsys.readouterr().err
    assert run("embed", "many.tif", "--cache", "cache", "--channel", "4", "--channel", "1") == 0
    assert run("segment", "many.tif", *SEGMENT[2:], "--cache", "cache", "--channel", "4", "--channel", "1") == 0
    assert run("cache", "verify", "cache", "--image", "many.tif", "--channel", "4", "--channel", "1") == 0
    assert "6 good" in capsys.readouterr().out


def test_a_folder_of_planes_is_segmented_like_one_file(folder):
    planes = folder / "planes"
    planes.mkdir()
    for z, pixels in enumerate(tifffile.imread("image.tif")):
        tifffile.imwrite(planes / f"z{z}.tif", pixels)
    assert run(*SEGMENT) == 0
    assert run("segment", "planes", *SEGMENT[2:5], "again.tif") == 0
    np.testing.assert_array_equal(tifffile.imread("again.tif"), tifffile.imread("labels.tif"))


def test_a_second_embed_has_nothing_to_do(folder, capsys):
    assert run("embed", "image.tif", "--cache", "cache") == 0
    assert "6 of them are new" in capsys.readouterr().out
    assert run("embed", "image.tif", "--cache", "cache") == 0
    assert "0 of them are new" in capsys.readouterr().out


def test_evaluate_prints_a_table_and_writes_it(folder, capsys):
    assert run("evaluate", "image.tif", "truth.tif", "--objects", "2", "--volumes", "1", "--output", "scores.json") == 0
    assert "1 click" in capsys.readouterr().out
    assert "image" in json.loads((folder / "scores.json").read_text())


def test_demo_writes_labels_and_an_overlay(tmp_path, monkeypatch, capsys):
    small = make_nuclei_stack((8, 64, 64), seed=1)
    monkeypatch.setattr("napari_sam.sample.make_nuclei_stack", lambda: small)
    assert run("demo", "--output", str(tmp_path / "demo"), "--objects", "2") == 0
    assert "Mean IoU" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "demo").iterdir()} == {"labels.tif", "overlay.png"}


def test_models_are_listed(capsys):
    assert run("models") == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ("nano", "vit_b", "vit_l", "vit_h", "Apache-2.0"))


def test_models_of_the_user_are_listed_as_model_takes_them(tmp_path, monkeypatch, capsys):
    """Two files of one name in two folders were listed as one name, by which neither could be loaded."""
    monkeypatch.setenv("NAPARI_SAM_CACHE", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "60")
    for folder in ("monday", "tuesday"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "cells.safetensors"
        path.touch()
        remember_model(path)
    assert run("models") == 0
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "Your own, to be given with --model:",
        f"  {tmp_path / 'tuesday' / 'cells.safetensors'}",
        f"  {tmp_path / 'monday' / 'cells.safetensors'}",
    ]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("segment", "nothing.tif", *SEGMENT[2:]), "nothing.tif does not exist"),
        (("segment", "points.csv", *SEGMENT[2:]), "points.csv is no image"),
        ((*SEGMENT[:3], "empty.csv", *SEGMENT[4:]), "empty.csv holds no prompts"),
        ((*SEGMENT[:3], "flat.csv", *SEGMENT[4:]), "plane ()"),
        ((*SEGMENT[:3], "narrow.csv", *SEGMENT[4:]), "expected the columns axis-0, axis-1"),
        ((*SEGMENT[:5], "truth.tif"), "truth.tif exists"),
        ((*SEGMENT[:5], "image.tif", "--overwrite"), "would replace image.tif"),
        ((*SEGMENT[:3], "truth.tif", "--output", "truth.tif", "--overwrite"), "would replace truth.tif"),
        ((*SEGMENT[:5], "cache.zarr", "--cache", "cache.zarr"), "would replace cache.zarr"),
        ((*WALK[:3], "points.csv", *WALK[4:], "--tracks", "points.csv", "--overwrite"), "would replace points.csv"),
        ((*SEGMENT[:3], "huge.json", *SEGMENT[4:]), "a TIFF holds ids up to 4294967295, got 4294967296"),
        ((*SEGMENT[:3], "image.tif", *SEGMENT[4:]), "--prompts is the image image.tif itself"),
        ((*SEGMENT[:3], "nothing.json", *SEGMENT[4:]), "nothing.json: No such file"),
        ((*SEGMENT[:5], "labels.png"), "must end with .tif"),
        ((*SEGMENT[:3], "plane.tif", *SEGMENT[4:]), "those of one plane together with its index"),
        ((*SEGMENT[:3], "labels.txt", *SEGMENT[4:]), "labels.txt does not exist"),
        ((*SEGMENT, "--plane", "3"), "--plane goes with a label image"),
        ((*SEGMENT, "--channel", "1"), "no channel axis"),
        ((*SEGMENT, "--channel", "0", "--channel", "0"), "each channel may be given once, got 0, 0"),
        ((*SEGMENT, "--tracks", "tracks.csv"), "--tracks needs --propagate"),
        ((*SEGMENT, "--cache", "truth.tif"), "truth.tif is a file, and a cache is a folder"),
        ((*SEGMENT, "--cache", "."), "give the cache a folder of its own: cache"),
        ((*SEGMENT, "--start", "2"), "--start needs --propagate"),
        ((*SEGMENT, "--stop", "4"), "--stop needs --propagate"),
        ((*SEGMENT, "--components", "all"), "--components needs --propagate"),
        ((*SEGMENT, "--neighbours"), "--neighbours needs --propagate"),
        ((*SEGMENT, "--propagate", "--tracks", "t.csv", "--orientation", "xz"), "--tracks needs --propagate"),
        (("segment", "plane.tif", "--prompts", "flat.csv", *SEGMENT[4:], "--propagate"), "a single plane has none"),
        ((*SEGMENT, "--level", "1"), "image.tif has no pyramid"),
        (("segment", "plane.tif", *SEGMENT[2:], "--orientation", "xz"), "need an image (z, y, x)"),
        ((*SEGMENT, "--propagate", "--tracks", "truth.tif"), "must end with .csv"),
        (("segment", "zt.tif", *WALK[2:], "--tracks", "t.csv"), "--tracks needs time as the first axis, got ZTYX"),
        (("segment", "zt.tif", *SEGMENT[2:], "--orientation", "xz"), "zt.tif has the axes ZTYX"),
        (("segment", "cs.tif", *SEGMENT[2:]), "cs.tif has the axes CYXS, colours in each channel"),
        (("evaluate", "image.tif", "float.tif"), "must hold integer labels"),
        (("evaluate", "image.tif", "plane.tif"), "must have the spatial shape"),
        (("evaluate", "image.tif", "image.tif"), "the labels are the image image.tif itself"),
        (("evaluate", "image.tif", "truth.tif", "--output", "folder.md", "--overwrite"), "folder.md is a folder"),
        (("demo", "--output", "image.tif"), "image.tif is a file; demo writes two files into a folder"),
        (("evaluate", "image.tif", "truth.tif", "--objects", "0", "--volumes", "0"), "ask for one or more"),
    ],
)
def test_a_users_error_is_one_sentence_and_exit_code_2(folder, capsys, arguments, complaint):
    (folder / "empty.csv").write_text("index,axis-0,axis-1\n")
    (folder / "flat.csv").write_text("index,axis-0,axis-1\n0,30,30\n")
    (folder / "huge.json").write_text(json.dumps([{"plane": [3], "points": [[30, 30]], "object_id": 2**32}]))
    (folder / "narrow.csv").write_text("index,axis-0\n0,30\n")
    tifffile.imwrite("float.tif", np.zeros((6, 64, 64), np.float32))
    tifffile.imwrite("plane.tif", np.ones((64, 64), np.uint8))
    tifffile.imwrite("zt.tif", np.zeros((5, 6, 64, 64), np.uint8), metadata={"axes": "ZTYX"})
    tifffile.imwrite("cs.tif", np.zeros((2, 64, 64, 3), np.uint8), photometric="rgb", metadata={"axes": "CYXS"})
    (folder / "folder.md").mkdir()
    assert run(*arguments) == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert len(said.splitlines()) == 1
    assert not (folder / "labels.tif").exists()


def test_points_of_a_table_lie_where_their_columns_say_whatever_the_order_of_the_axes(folder):
    """The objects of time 2 and depth 4 were looked for at time 4 and depth 2."""
    pixels = tifffile.imread("image.tif")
    tifffile.imwrite("zt.tif", np.stack([pixels] * 5), photometric="minisblack", metadata={"axes": "ZTYX"})
    (folder / "table.csv").write_text("t,z,y,x\n2,4,30,30\n")
    assert run("segment", "zt.tif", "--prompts", "table.csv", *SEGMENT[4:]) == 0
    labels = read_image(folder / "labels.tif")
    assert labels.axes == "ZTYX"
    assert set(zip(*np.nonzero(labels.array[...])[:2], strict=True)) == {(4, 2)}


def test_tables_are_not_cut_in_a_pipe(folder, capsys, monkeypatch):
    """`sam-stacks models | grep` gave a path that ended in an ellipsis."""
    monkeypatch.delenv("COLUMNS", raising=False)
    where = folder / "a folder with a long name" / "another one, which makes a path that no terminal has room for"
    monkeypatch.setenv("NAPARI_SAM_CACHE", str(where))
    where.mkdir(parents=True)
    (where / "sam_vit_b_01ec64.pth").touch()
    assert run("models") == 0
    assert str(where / "sam_vit_b_01ec64.pth") in capsys.readouterr().out


def test_help_does_not_speak_of_switches_that_are_off(capsys):
    assert run("segment", "--help") == 0
    text = capsys.readouterr().out
    assert "[default: nano]" in text
    assert "False" not in text
    assert "()" not in text


def test_a_wrong_option_is_exit_code_2(folder):
    assert run("segment", "image.tif", "--nonsense") == 2


@pytest.mark.parametrize("option", ["--objects", "--volumes", "--seed"])
def test_a_negative_count_is_refused_by_its_name(folder, capsys, option):
    assert run("evaluate", "image.tif", "truth.tif", option, "-1") == 2
    assert f'Invalid value "-1" for {option}' in capsys.readouterr().err


def test_without_napari_the_viewer_says_what_to_install(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "napari", None)
    assert run("demo", "--napari") == 2
    assert "pip install 'napari-sam-stacks[all]'" in capsys.readouterr().err
