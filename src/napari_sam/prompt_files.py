"""Prompts on disk: our JSON, the CSV files that napari saves for Points and Shapes layers, and tables of points.

The JSON is a list of objects with the fields of `Prompt`. Its masks are run lengths,
``{"shape": [h, w], "runs": [background, object, background, ...]}`` in row-major order, or the name of a TIFF.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from napari_sam.drawings import clicks, prompt, shape
from napari_sam.orientation import Orientation, axis_order
from napari_sam.outputs import appears_when_complete, check_output
from napari_sam.prompts import Prompt

if TYPE_CHECKING:
    from napari_sam.drawings import Drawing, ShapeType
    from napari_sam.stack import Plane

Mask = npt.NDArray[np.bool_]
Row = dict[str, str]

_POLARITY = {"1": True, "positive": True, "true": True, "0": False, "negative": False, "false": False}


def read_prompts(
    path: Path | str,
    *,
    plane_shape: tuple[int, int] | None = None,
    orientation: Orientation = "xy",
    axes: str = "TZYX",
) -> tuple[Prompt, ...]:
    """Read prompts from a JSON file or from a CSV, such as that of a napari Points or Shapes layer.

    The coordinates in a CSV are in the columns `axis-0`, `axis-1`, ..., as napari saves them, or in those of `t`, `z`,
    `y` and `x` that the image has. Optional columns say more: `label` (1 or 0, positive or negative, true or false) and
    `object` (an id of at least 1). The rows of one object on one plane become one prompt. Without an `object` column,
    each shape is an object of its own; so is each point, unless there is a `label` column: then all are of object 1.
    What becomes of each kind of shape is said in `drawings.shape`.

    Parameters
    ----------
    path : Path or str
        Ends with .json or .csv.
    plane_shape : tuple of int, optional
        (h, w) of the planes; needed for shapes.
    orientation : {"xy", "xz", "yz"}
        Which planes the prompts are for. The coordinates in a CSV are those of the image, as napari saves them however
        its axes are rolled; those in a JSON file are the plane's own.
    axes : str
        Letters of the image's axes without channels, as `ImageFile.spatial_axes`: the columns `t`, `z`, `y` and `x` are
        put into this order.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it holds no prompts, or something that cannot be understood; the row is named.
    """
    path = Path(path)
    if path.suffix.lower() not in (".json", ".csv"):
        msg = f"{path} must be a .json file of prompts or a .csv file of points or shapes"
        raise ValueError(msg)
    try:
        is_json = path.suffix.lower() == ".json"
        prompts = tuple(_read_json(path) if is_json else _read_csv(path, plane_shape, orientation, axes))
    except ValueError as error:
        msg = f"{path}: {error}"
        raise ValueError(msg) from error
    if not prompts:
        msg = f"{path} holds no prompts; expected at least one click, box or mask"
        raise ValueError(msg)
    return prompts


def save_prompts(path: Path | str, prompts: Sequence[Prompt], *, overwrite: bool = False) -> None:
    """Write prompts as JSON, masks included; `read_prompts` gives the same prompts back.

    Raises
    ------
    OSError
        If something is there that may not be overwritten, or the folder is missing.
    ValueError
        If the name does not end with .json.
    """
    path = Path(path)
    check_output(path, (".json",), what="prompts are written as JSON", overwrite=overwrite)
    with appears_when_complete(path) as temporary:
        temporary.write_text(json.dumps([_to_json(each) for each in prompts], indent=1), encoding="utf-8")


# --- JSON


def _to_json(given: Prompt) -> dict[str, Any]:
    said: dict[str, Any] = {"object_id": given.object_id, "plane": given.plane}
    if given.points:
        said |= {"points": given.points, "point_labels": given.point_labels}
    if given.box is not None:
        said["box"] = given.box
    if given.mask is not None:
        said["mask"] = _to_runs(given.mask.full())
    return said


def _read_json(path: Path) -> Iterator[Prompt]:
    try:
        listed = json.loads(_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        msg = f"this is no JSON: {error}"
        raise ValueError(msg) from error
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        msg = 'expected a list of prompts such as [{"plane": [12], "points": [[40, 62]]}]'
        raise ValueError(msg)
    known = {f.name for f in fields(Prompt)}
    for number, entry in enumerate(listed, start=1):
        if unknown := sorted(entry.keys() - known):
            msg = f"prompt {number} has the unknown fields {', '.join(unknown)}; expected {', '.join(sorted(known))}"
            raise ValueError(msg)
        try:
            mask = _read_mask(entry.pop("mask", None), path.parent)
            yield Prompt(**entry, mask=mask)
        except (TypeError, ValueError) as error:
            msg = f"prompt {number}: {error}"
            raise ValueError(msg) from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"this is no text in UTF-8 ({error}); save it as UTF-8"
        raise ValueError(msg) from error


def _read_mask(mask: object, folder: Path) -> Mask | None:
    if mask is None:
        return None
    if isinstance(mask, str):
        import tifffile

        return np.asarray(tifffile.imread(folder / mask)) > 0
    if isinstance(mask, Mapping) and {"shape", "runs"} == mask.keys():
        return _from_runs(mask["shape"], mask["runs"])
    msg = 'mask must be {"shape": [h, w], "runs": [...]} or the name of a TIFF file'
    raise ValueError(msg)


def _to_runs(mask: Mask) -> dict[str, list[int]]:
    """Run lengths in row-major order, background first (a 0 if the first pixel is of the object)."""
    flat = np.concatenate([[False], mask.ravel()])
    starts = np.flatnonzero(flat[1:] != flat[:-1])
    return {"shape": list(mask.shape), "runs": np.diff(starts, prepend=0, append=mask.size).tolist()}


def _from_runs(size: Sequence[int], runs: Sequence[int]) -> Mask:
    if sum(runs) != math.prod(size):
        msg = f"the runs of a mask must fill its shape {tuple(size)}, got {sum(runs)} pixels"
        raise ValueError(msg)
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size)


# --- CSV of napari


def _read_csv(
    path: Path, plane_shape: tuple[int, int] | None, orientation: Orientation, image_axes: str
) -> Iterator[Prompt]:
    columns, rows = _read_table(_text(path))
    if not rows:
        return
    axes = _axis_columns(columns, image_axes.lower())
    axes = [axes[i] for i in axis_order(orientation, len(axes))]
    is_shapes = "shape-type" in columns
    own_object = "object" not in columns and (is_shapes or "label" not in columns)
    grouped: dict[tuple[int, Plane], list[Drawing]] = defaultdict(list)
    for number, (line, drawn) in enumerate(_drawn(rows, is_shapes=is_shapes), start=1):
        try:
            plane, drawing = _read_drawing(drawn, axes, plane_shape)
            object_id = number if own_object else _object_id(drawn[0].get("object") or "1")
        except (TypeError, ValueError) as error:
            msg = f"line {line}: {error}"
            raise ValueError(msg) from error
        grouped[object_id, plane].append(drawing)
    for (object_id, plane), drawings in grouped.items():
        yield prompt(drawings, plane, object_id=object_id)


def _read_table(text: str) -> tuple[list[str], list[tuple[int, Row]]]:
    """Return the columns, and the rows with their lines, without those that a spreadsheet leaves empty."""
    reader = csv.DictReader(io.StringIO(text, newline=""), restval="")
    rows: list[tuple[int, Row]] = []
    try:
        columns = reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
        for row in reader:
            beyond = row.pop(None, [])  # the key of what has no column
            if any(beyond):
                msg = (
                    f"line {reader.line_num}: {len(columns)} columns, but {len(columns) + len(beyond)} values; are "
                    "there decimal commas? write 12.5"
                )
                raise ValueError(msg)
            if any(row.values()):
                rows.append((reader.line_num, row))
    except csv.Error as error:
        msg = f"line {reader.line_num + 1}: {error}"  # which has not been counted yet
        raise ValueError(msg) from error
    return columns, rows


def _axis_columns(columns: Sequence[str], image_axes: str) -> list[str]:
    """Choose the columns of the coordinates: those that napari writes, or those with the names of the axes."""
    axes = [f"axis-{i}" for i in range(sum(name.startswith("axis-") for name in columns))]
    named = [name for name in "tzyx" if name in columns]
    if set(named) <= set(image_axes):
        named.sort(key=image_axes.index)
    axes = axes or named
    if len(axes) < 2 or not set(axes) <= set(columns) or (axes == named and not {"y", "x"} <= set(named)):
        msg = f"expected the columns axis-0, axis-1, ... (row and column last), or t, z, y, x, got {', '.join(columns)}"
        raise ValueError(msg + "; columns are separated by commas" * (len(columns) == 1))
    return axes


def _drawn(rows: Sequence[tuple[int, Row]], *, is_shapes: bool) -> Iterator[tuple[int, list[Row]]]:
    """Give the rows of each point or shape, with the number of the first line; the header is line 1."""
    together: dict[str, list[tuple[int, Row]]] = defaultdict(list)
    for line, row in rows:
        together[row.get("index", "") if is_shapes else str(line)].append((line, row))
    for numbered in together.values():
        yield numbered[0][0], [row for _, row in numbered]


def _read_drawing(
    drawn: Sequence[Row], axes: Sequence[str], plane_shape: tuple[int, int] | None
) -> tuple[Plane, Drawing]:
    coordinates = np.array([[_number(row[axis] or "") for axis in axes] for row in drawn])
    planes = {tuple(int(i) for i in np.round(row)) for row in coordinates[:, :-2]}
    if len(planes) > 1:
        msg = "a shape must lie on one plane, with all axes but the last two constant; draw it with those displayed"
        raise ValueError(msg)
    vertices, on_object = coordinates[:, -2:], _is_positive(drawn[0].get("label") or "1")
    kind = drawn[0].get("shape-type")
    if kind is None:
        return planes.pop(), clicks(vertices, on_object=on_object)
    if plane_shape is None:
        msg = "shapes become boxes and masks of a plane, whose plane_shape (h, w) must be given"
        raise ValueError(msg)
    return planes.pop(), shape(cast("ShapeType", kind), vertices, plane_shape, on_object=on_object)


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        msg = f"coordinates must be finite numbers such as 12.5, got {text!r}"
        raise ValueError(msg)
    return number


def _object_id(text: str) -> int:
    try:
        number = int(text.strip().removesuffix(".0"))
    except ValueError:
        number = 0
    if number < 1:
        msg = f"object must be an integer of at least 1 (0 is the background), got {text!r}"
        raise ValueError(msg)
    return number


def _is_positive(label: str) -> bool:
    polarity = _POLARITY.get(label.strip().lower().removesuffix(".0"))
    if polarity is None:
        msg = (
            f"label must be 1 or 0, positive or negative, true or false, got {label!r}; the column for the ids of "
            "objects is object"
        )
        raise ValueError(msg)
    return polarity
