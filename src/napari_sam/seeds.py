"""Prompts from what other tools have found: label images and tables of points."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.crops import crop_objects
from napari_sam.label_files import read_labels
from napari_sam.labels import read_plane
from napari_sam.orientation import axis_order, turn
from napari_sam.prompts import Prompt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike

    from napari_sam.orientation import Orientation
    from napari_sam.stack import Plane


def prompts_from_labels(
    labels: Any,
    planes: Iterable[Plane],
    *,
    object_ids: Iterable[int] | None = None,
    orientation: Orientation = "xy",
) -> tuple[Prompt, ...]:
    """Turn a segmentation of some planes, such as a 2D tool makes, into prompts that are taken as they are.

    Parameters
    ----------
    labels : array-like of int
        Of the image's spatial shape, such as the data of a Labels layer; 0 is background. Only ``planes`` are read.
    planes : iterable of tuple of int
        The planes whose objects are to be carried on; ``()`` for a 2D image.
    object_ids : iterable of int, optional
        Which objects. None: all.
    orientation : {"xy", "xz", "yz"}
        Which planes of the labels ``(..., z, y, x)``, as `Segmenter` takes it.

    Returns
    -------
    tuple of Prompt
        One mask for each object and plane, plane by plane and with the ids of the labels.

    Raises
    ------
    ValueError
        If there is no such object on these planes.
    """
    wanted = None if object_ids is None else frozenset(object_ids)
    labels = turn(labels, axis_order(orientation, len(labels.shape)))
    prompts = [
        Prompt(plane, mask=mask, object_id=object_id)
        for plane in planes
        for object_id, mask in crop_objects(read_plane(labels, plane))
        if object_id > 0 and (wanted is None or object_id in wanted)
    ]
    if not prompts:
        what = "any object" if wanted is None else f"any of the objects {sorted(wanted)}"
        msg = f"expected labels with {what} on the given planes, got none; choose planes that were segmented"
        raise ValueError(msg)
    return tuple(prompts)


def prompts_from_label_file(
    path: Path | str, shape: Sequence[int], *, plane: Plane | None = None, orientation: Orientation = "xy"
) -> tuple[Prompt, ...]:
    """Read a label image that another tool has written, of all planes of an image or of one.

    Parameters
    ----------
    path : Path or str
        As for `read_image`; 0 is background.
    shape : sequence of int
        The spatial shape of the image, ``(..., z, y, x)``.
    plane : tuple of int, optional
        Of labels with the shape of the image: the only plane that is taken. Of labels with the shape of a plane: where
        it lies. None: every plane that holds an object.
    orientation : {"xy", "xz", "yz"}
        Which planes, as `Segmenter` takes it.

    Returns
    -------
    tuple of Prompt
        As of `prompts_from_labels`.

    Raises
    ------
    OSError, ValueError
        If the file cannot be read, is of no such shape, not of integers, or holds no object.
    """
    order = axis_order(orientation, len(shape))
    *stack, height, width = (shape[axis] for axis in order)
    if plane is not None and not _is_index(plane, stack):
        msg = f"plane must be an index of the planes {tuple(stack)}, counted from 0, got {plane}"
        raise ValueError(msg)
    labels = _read_labels(path, tuple(shape), None if plane is None else (height, width))
    try:
        if labels.ndim < len(shape):
            return tuple(replace(each, plane=plane or ()) for each in prompts_from_labels(labels, [()]))
        if orientation != "xy":
            labels = np.asarray(labels[...])  # not read anew for each plane
        planes = np.ndindex(*stack) if plane is None else [plane]
        return prompts_from_labels(labels, planes, orientation=orientation)
    except ValueError as error:
        msg = f"{path}: {error}"
        raise ValueError(msg) from error


def prompts_from_points(
    points: ArrayLike, *, object_ids: Sequence[int] | None = None, orientation: Orientation = "xy"
) -> tuple[Prompt, ...]:
    """Turn a table of points into clicks.

    Parameters
    ----------
    points : array-like of float
        ``(N, D)``, one point per row in data coordinates of the image, e.g. (z, y, x); the plane is rounded.
    object_ids : sequence of int, optional
        The object of each point, at least 1; points of one object on one plane become one prompt. None: each point is
        an object of its own, counted from 1.
    orientation : {"xy", "xz", "yz"}
        Which planes are clicked on, as `Segmenter` takes it.

    Returns
    -------
    tuple of Prompt
        In the order in which the objects and planes first come.

    Raises
    ------
    ValueError
        If there are no points, or they are not as described.
    """
    table = np.asarray(points, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] == 0 or table.shape[1] < 2 or not np.isfinite(table).all():
        msg = f"points must be finite numbers (N, D), rows such as (z, y, x), got shape {table.shape}"
        raise ValueError(msg)
    table = table[:, axis_order(orientation, table.shape[1])]
    ids = list(range(1, len(table) + 1)) if object_ids is None else [int(i) for i in object_ids]
    if len(ids) != len(table):
        msg = f"object_ids must have one id per point, got {len(ids)} for {len(table)} points"
        raise ValueError(msg)
    clicks: dict[tuple[int, Plane], list[tuple[float, float]]] = {}
    for object_id, row in zip(ids, table, strict=True):
        plane = tuple(int(i) for i in np.round(row[:-2]))
        clicks.setdefault((object_id, plane), []).append((float(row[-2]), float(row[-1])))
    return tuple(Prompt(plane, where, object_id=object_id) for (object_id, plane), where in clicks.items())


def _is_index(plane: Plane, stack: Sequence[int]) -> bool:
    return len(plane) == len(stack) and all(0 <= i < count for i, count in zip(plane, stack, strict=True))


def _read_labels(path: Path | str, shape: tuple[int, ...], plane_shape: tuple[int, int] | None) -> Any:
    """Open labels of an image, or of one plane if the shape of a plane is given."""
    labels = read_labels(path)
    if tuple(labels.shape) not in (shape, plane_shape):
        one = "those of one plane together with its index" if plane_shape is None else f"of one plane, {plane_shape}"
        msg = f"{path} must be labels of the whole image, {shape}, or {one}, got {tuple(labels.shape)}"
        raise ValueError(msg)
    return labels
