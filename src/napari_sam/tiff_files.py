"""What a TIFF says of itself: whether it is whole, its axes, and the size of its pixels (OME, ImageJ, tags)."""

from __future__ import annotations

import logging
import math
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import tifffile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

# TIFF 6.0, tag 296: inch and centimetre; millimetre and micrometre are of some writers
_UM_PER_RESOLUTION_UNIT = MappingProxyType({2: 25_400.0, 3: 10_000.0, 4: 1_000.0, 5: 1.0})


def open_tiff(path: Path) -> tifffile.TiffFile:
    """Open a TIFF and find its pages, which are not read; the caller closes it.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If it is no TIFF, or is cut off.
    """
    try:
        tiff = tifffile.TiffFile(path)
    except tifffile.TiffFileError as error:
        msg = f"{path} is not a TIFF file that can be read: {error}"
        raise ValueError(msg) from error
    try:
        with _whole(path):
            tiff.series  # noqa: B018 - finds all pages
    except ValueError:
        tiff.close()
        raise
    return tiff


def axes_of(series: tifffile.TiffPageSeries) -> str:
    """Return a letter for each axis: those that the file leaves unnamed (Q, I) get their most likely names.

    Samples that are not red, green and blue are channels.
    """
    axes = series.axes
    for name in "ZT":
        unnamed = max(axes.rfind("Q"), axes.rfind("I"))
        if unnamed >= 0 and name not in axes:
            axes = axes[:unnamed] + name + axes[unnamed + 1 :]
    is_colour = axes.endswith("S") and series.shape[-1] in (3, 4)
    return axes if is_colour else axes.replace("S", "C")


def spacing_of(tiff: tifffile.TiffFile) -> tuple[dict[str, float], str]:
    """Find the distance between pixel centres along axes, and its unit as the file spells it; "pixel" without one."""
    spacing, unit = _said_spacing(tiff)
    return known_lengths(spacing), unit


def known_lengths(spacing: Mapping[str, Any]) -> dict[str, float]:
    """Leave out what is no length: some programs write 0, NaN or a word where they do not know it."""
    lengths = {axis: float(step) for axis, step in spacing.items() if isinstance(step, int | float)}
    return {axis: step for axis, step in lengths.items() if 0 < step < math.inf}


def _said_spacing(tiff: tifffile.TiffFile) -> tuple[dict[str, Any], str]:
    if tiff.ome_metadata:
        pixels = ElementTree.fromstring(tiff.ome_metadata).find(".//{*}Pixels")
        return _physical_size({} if pixels is None else pixels.attrib)
    for described in tiff.shaped_metadata or ():
        if "PhysicalSizeX" in described or "PhysicalSizeY" in described:
            return _physical_size(described)
    imagej = tiff.imagej_metadata or {}
    tags = tiff.pages.first.tags
    resolution_unit = tags.valueof("ResolutionUnit", default=1)
    resolutions = {"Y": tags.valueof("YResolution"), "X": tags.valueof("XResolution")}
    scale = 1.0 if "unit" in imagej else _UM_PER_RESOLUTION_UNIT.get(resolution_unit)
    if scale is None:
        return {}, "pixel"  # an aspect ratio, no size
    spacing = {axis: scale * value[1] / value[0] for axis, value in resolutions.items() if value and value[0]}
    if "spacing" in imagej:
        spacing["Z"] = imagej["spacing"]
    return spacing, str(imagej.get("unit", "µm"))


def _physical_size(said: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Read what OME calls the size of a pixel."""
    unit = str(said.get("PhysicalSizeXUnit", "µm"))
    spacing = {
        axis: _number(said[f"PhysicalSize{axis}"])
        for axis in "ZYX"
        if f"PhysicalSize{axis}" in said and said.get(f"PhysicalSize{axis}Unit", "µm") == unit
    }
    return (spacing, unit) if spacing else ({}, "pixel")


def _number(text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.nan


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Raise what tifffile only logs: that pages lie behind the end of the file, which would be a shorter stack."""
    logged: list[logging.LogRecord] = []

    def keep_back(record: logging.LogRecord) -> bool:
        """Take the record, so that it is not logged."""
        logged.append(record)
        return False

    log = logging.getLogger("tifffile")
    log.addFilter(keep_back)
    try:
        yield
    finally:
        log.removeFilter(keep_back)
    if any("invalid page offset" in record.getMessage() for record in logged):
        msg = f"{path} is cut off: it ends before its planes do; copy it again, or save what is left of it anew"
        raise ValueError(msg)
    for record in logged:
        log.handle(record)
