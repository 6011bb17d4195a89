"""Prompts on disk: our JSON, and what napari saves."""

import json

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from napari_sam import Prompt
from napari_sam.prompt_files import _from_runs, _to_runs, read_prompts, save_prompts

PLANE = (40, 50)
MASK = np.zeros(PLANE, bool)
MASK[3:9, 4:20] = True
RECTANGLE = [(10, 12), (10, 30), (25, 30), (25, 12)]


def write_csv(path, header, *rows):
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]))
    return path


def shape_rows(index, kind, vertices, *rest, z=3):
    return [(index, kind, i, z, row, column, *rest) for i, (row, column) in enumerate(vertices)]


SHAPES = "index,shape-type,vertex-index,axis-0,axis-1,axis-2"


def test_saved_prompts_come_back(tmp_path):
    prompts = (
        Prompt((3,), [[1, 2], [3.5, 4]], point_labels=[1, 0], box=[[0, 1], [5, 6]], object_id=2),
        Prompt((4,), mask=MASK, object_id=9),
    )
    save_prompts(tmp_path / "p.json", prompts)
    assert read_prompts(tmp_path / "p.json") == prompts
    with pytest.raises(FileExistsError, match="exists"):
        save_prompts(tmp_path / "p.json", prompts)
    with pytest.raises(ValueError, match=r"must end with \.json"):
        save_prompts(tmp_path / "p", prompts)  # which could not be read again


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=4))
def test_run_lengths_are_the_mask(rows):
    mask = np.array(rows)
    runs = _to_runs(mask)
    np.testing.assert_array_equal(_from_runs(runs["shape"], runs["runs"]), mask)


def test_a_mask_may_be_a_tiff_beside_the_json(tmp_path):
    tifffile.imwrite(tmp_path / "mask.tif", MASK.astype(np.uint8))
    (tmp_path / "p.json").write_text(json.dumps([{"plane": [3], "mask": "mask.tif"}]))
    assert read_prompts(tmp_path / "p.json") == (Prompt((3,), mask=MASK),)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "p.json: this is no JSON: "),
        ("{}", "expected a list of prompts"),
        ("[]", "holds no prompts"),
        ('[{"plane": [1], "point": [[1, 2]]}]', "prompt 1 has the unknown fields point"),
        ('[{"plane": [1]}]', "prompt 1: prompt is empty"),
        ('[{"plane": 1, "points": [[1, 2]]}]', "prompt 1: plane must be a tuple"),
        ('[{"mask": {"shape": [2, 2], "runs": [3]}}]', "prompt 1: the runs of a mask must fill"),
        ("[" * 100_000, "p.json: this is no JSON: "),
    ],
)
def test_a_wrong_json_is_refused_with_the_place(tmp_path, text, complaint):
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(ValueError, match=complaint):
        read_prompts(tmp_path / "p.json")


def test_a_file_of_another_encoding_is_refused_with_advice(tmp_path):
    """As a spreadsheet saves it: Unicode of 16 bits, or the code page of the machine."""
    for encoding in ("utf-16", "latin-1"):
        (tmp_path / "p.csv").write_text("z,y,x,name\n4,30,40,µ\n", encoding=encoding)
        with pytest.raises(ValueError, match=r"p\.csv: this is no text in UTF-8 .* save it as UTF-8"):
            read_prompts(tmp_path / "p.csv")


def test_each_point_is_an_object_of_its_own_where_nothing_else_is_said(tmp_path):
    path = write_csv(tmp_path / "p.csv", "index,axis-0,axis-1,axis-2", (0, 3, 10.5, 20), (1, 4, 5, 6))
    assert read_prompts(path) == (Prompt((3,), [[10.5, 20]]), Prompt((4,), [[5, 6]], object_id=2))


def test_a_table_may_name_the_axes(tmp_path):
    rows = [("spot 1", 12, 30.5, 3, 0.7, 5), ("spot 2", 1, 2, 4, 0.9, 6)]
    prompts = read_prompts(write_csv(tmp_path / "p.csv", "NAME,X,Y,Z,quality,object", *rows))
    assert prompts == (Prompt((3,), [[30.5, 12]], object_id=5), Prompt((4,), [[2, 1]], object_id=6))


@pytest.mark.parametrize(("axes", "plane"), [("TZYX", (1, 3)), ("ZTYX", (3, 1)), ("QYX", (1, 3))])
def test_named_columns_are_put_into_the_order_of_the_image(tmp_path, axes, plane):
    """In an OME-TIFF with z before t, the time of a table was taken for its z."""
    path = write_csv(tmp_path / "p.csv", "t,z,y,x", (1, 3, 10, 20))
    assert read_prompts(path, axes=axes) == (Prompt(plane, [[10, 20]]),)


def test_rows_that_a_spreadsheet_leaves_empty_say_nothing(tmp_path):
    path = write_csv(tmp_path / "p.csv", "z,y,x,", (3, 10, 20, ""), ("", "", "", ""), (4, 5, 6, ""), ("",), (3, 7, ""))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    with pytest.raises(ValueError, match="line 6: coordinates must be finite"):
        read_prompts(path)
    path.write_bytes(path.read_bytes().rpartition(b"\r\n")[0])
    assert read_prompts(path) == (Prompt((3,), [[10, 20]]), Prompt((4,), [[5, 6]], object_id=2))


def test_labelled_points_are_one_object(tmp_path):
    header = "index,axis-0,axis-1,label"
    path = write_csv(tmp_path / "p.csv", header, (0, 1, 2, "positive"), (1, 3, 4, 0), (2, 5, 6, "True"))
    assert read_prompts(path) == (Prompt((), [[1, 2], [5, 6], [3, 4]], point_labels=[1, 1, 0]),)


def test_rows_of_one_object_on_one_plane_become_one_prompt(tmp_path):
    header = "index,axis-0,axis-1,axis-2,object"
    path = write_csv(tmp_path / "p.csv", header, (0, 3, 1, 2, 5), (1, 3, 3, 4, 5), (2, 8, 3, 4, 5), (3, 3, 7, 8, 6))
    first, later, other = read_prompts(path)
    assert first == Prompt((3,), [[1, 2], [3, 4]], object_id=5)
    assert later == Prompt((8,), [[3, 4]], object_id=5)
    assert other == Prompt((3,), [[7, 8]], object_id=6)


def test_a_point_between_two_planes_belongs_to_the_nearer(tmp_path):
    path = write_csv(tmp_path / "p.csv", "index,axis-0,axis-1,axis-2", (0, 2.6, 10, 20))
    assert read_prompts(path)[0].plane == (3,)


def test_a_rectangle_is_a_box(tmp_path):
    path = write_csv(tmp_path / "s.csv", SHAPES, *shape_rows(0, "rectangle", RECTANGLE))
    assert read_prompts(path, plane_shape=PLANE) == (Prompt((3,), box=[[10, 12], [25, 30]]),)


@pytest.mark.parametrize("kind", ["ellipse", "polygon"])
def test_an_ellipse_or_polygon_is_a_box_and_a_mask(tmp_path, kind):
    path = write_csv(tmp_path / "s.csv", SHAPES, *shape_rows(0, kind, RECTANGLE))
    (prompt,) = read_prompts(path, plane_shape=PLANE)
    assert prompt.mask is not None
    assert prompt.mask.full()[17, 20]
    assert prompt.mask.full()[10, 12] == (kind == "polygon")
    assert prompt.box is not None


def test_a_path_of_an_object_joins_its_box_as_clicks(tmp_path):
    header = f"{SHAPES},object,label"
    rows = [
        *shape_rows(0, "rectangle", RECTANGLE, 4, 1),
        *shape_rows(1, "path", [(15, 15), (15, 25)], 4, 1),
        *shape_rows(2, "line", [(30, 40), (35, 40)], 4, 0),
    ]
    (prompt,) = read_prompts(write_csv(tmp_path / "s.csv", header, *rows), plane_shape=PLANE)
    assert prompt.object_id == 4
    assert prompt.box == ((10, 12), (25, 30))
    assert {(15, 15), (15, 25), (30, 40)} <= set(prompt.points)
    assert [point[0] < 20 for point in prompt.points] == [label == 1 for label in prompt.point_labels]


def test_each_shape_is_an_object_of_its_own_where_nothing_else_is_said(tmp_path):
    rows = [*shape_rows(0, "rectangle", RECTANGLE), *shape_rows(1, "rectangle", RECTANGLE, z=5)]
    prompts = read_prompts(write_csv(tmp_path / "s.csv", SHAPES, *rows), plane_shape=PLANE)
    assert [(prompt.object_id, prompt.plane) for prompt in prompts] == [(1, (3,)), (2, (5,))]


@pytest.mark.parametrize(
    ("header", "row", "complaint"),
    [
        ("index,axis-0", (0, 1), "expected the columns axis-0, axis-1"),
        ("index,axis-0,axis-2", (0, 1, 2), "expected the columns axis-0, axis-1"),
        ("row,column", (0, 1), "expected the columns axis-0, axis-1"),
        ("z,y", (0, 1), "or t, z, y, x, got z, y"),
        ("index,axis-0,axis-1", (0, 1, "nan"), "line 2: coordinates must be finite"),
        ("index,axis-0,axis-1", (0, 1), "line 2: coordinates must be finite"),
        ("index,axis-0,axis-1", (0, 1, "here"), "line 2: coordinates must be finite numbers such as 12.5, got 'here'"),
        ("z;y;x", ("4;30;40",), "got z;y;x; columns are separated by commas"),
        ("index,axis-0,axis-1,label", (0, 1, 2, "maybe"), "line 2: label must be 1 or 0"),
        ("index,axis-0,axis-1,object", (0, 1, 2, "cell"), "line 2: object must be an integer of at least 1"),
        ("index,axis-0,axis-1,object", (0, 1, 2, 0), "line 2: object must be an integer of at least 1"),
        ("index,shape-type,vertex-index,axis-0,axis-1", (0, "star", 0, 1, 2), "line 2: shape must be rectangle"),
        ("z,y,x", ("3,30,5,40,5",), "line 2: 3 columns, but 5 values; are there decimal commas"),
        ("z,y,x", (3, 30, "1" * 200_000), "line 2: field larger than field limit"),
        ("label,y,x", (7, 1, 2), "the column for the ids of objects is object"),
    ],
)
def test_a_wrong_csv_is_refused_with_the_place(tmp_path, header, row, complaint):
    with pytest.raises(ValueError, match=complaint):
        read_prompts(write_csv(tmp_path / "p.csv", header, row), plane_shape=PLANE)


def test_a_shape_across_planes_is_refused(tmp_path):
    rows = [(0, "line", 0, 3, 1, 2), (0, "line", 1, 4, 1, 2)]
    with pytest.raises(ValueError, match="must lie on one plane"):
        read_prompts(write_csv(tmp_path / "s.csv", SHAPES, *rows), plane_shape=PLANE)


def test_a_csv_without_rows_holds_no_prompts(tmp_path):
    with pytest.raises(ValueError, match="holds no prompts"):
        read_prompts(write_csv(tmp_path / "p.csv", "index,axis-0,axis-1"))


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match="must be a"):
        read_prompts(tmp_path / "p.txt")
