"""What a TIFF says of itself: whether it is whole, its axes, and the size of its pixels (OME, ImageJ, tags)."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import tifffile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_UM_PER_RESOLUTION_UNIT = {2: 25_400.0, 3: 10_000.0}  # TIFF 6.0, tag 296: inch and centimetre


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
    """Return a letter for each axis: those that the file leaves unnamed (Q, I) get their most likely names."""
    axes = series.axes
    for name in "ZT":
        unnamed = max(axes.rfind("Q"), axes.rfind("I"))
        if unnamed >= 0 and name not in axes:
            axes = axes[:unnamed] + name + axes[unnamed + 1 :]
    return axes if axes.endswith("S") else axes.replace("S", "C")


def spacing_of(tiff: tifffile.TiffFile) -> tuple[dict[str, float], str]:
    """Find the distance between pixel centres along axes, and its unit as the file spells it; "pixel" without one."""
    if tiff.ome_metadata:
        return _ome_spacing(tiff.ome_metadata)
    imagej = tiff.imagej_metadata or {}
    tags = tiff.pages.first.tags
    resolution_unit = tags.valueof("ResolutionUnit", default=1)
    resolutions = {"Y": tags.valueof("YResolution"), "X": tags.valueof("XResolution")}
    if resolution_unit == 1 and "unit" not in imagej:
        return {}, "pixel"  # an aspect ratio, no size
    unit = imagej.get("unit", "µm")
    scale = 1.0 if "unit" in imagej else _UM_PER_RESOLUTION_UNIT[resolution_unit]
    spacing = {axis: scale * value[1] / value[0] for axis, value in resolutions.items() if value and value[0]}
    if "spacing" in imagej:
        spacing["Z"] = float(imagej["spacing"])
    return spacing, unit


def _ome_spacing(xml: str) -> tuple[dict[str, float], str]:
    pixels = ElementTree.fromstring(xml).find(".//{*}Pixels")
    found = {} if pixels is None else pixels.attrib
    unit = found.get("PhysicalSizeXUnit", "µm")
    spacing = {
        axis: float(found[f"PhysicalSize{axis}"])
        for axis in "ZYX"
        if f"PhysicalSize{axis}" in found and found.get(f"PhysicalSize{axis}Unit", "µm") == unit
    }
    return (spacing, unit) if spacing else ({}, "pixel")


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
