"""Files that are written: refused before the long work, and under their name only when they are complete."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def check_output(path: Path, endings: tuple[str, ...], *, what: str, overwrite: bool = False) -> None:
    """Refuse a path that could not be written to: ask before the long work.

    Parameters
    ----------
    path : Path
        Where something will be written.
    endings : tuple of str
        What the name may end with, in small letters; the path may have capitals.
    what : str
        How this is written, for the error message: a sentence.
    overwrite : bool
        Whether what is there may be replaced.

    Raises
    ------
    OSError
        If something is there that may not be overwritten or is a folder, or the folder of `path` is missing or cannot
        be written to.
    ValueError
        If the name ends otherwise.
    """
    if path.suffix.lower() not in endings:
        *others, last = endings
        msg = f"{path} must end with {', '.join(others)}{' or ' * bool(others)}{last}: {what}"
        raise ValueError(msg)
    folder = path.absolute().parent
    if not folder.is_dir():
        msg = f"folder {folder} does not exist; create it first"
        raise FileNotFoundError(msg)
    if not os.access(folder, os.W_OK | os.X_OK):
        msg = f"folder {folder} may not be written to; choose another one for {path.name}"
        raise PermissionError(msg)
    if path.exists() and not overwrite:
        msg = f"{path} exists; choose another name, or replace it with --overwrite (in Python overwrite=True)"
        raise FileExistsError(msg)
    if path.is_dir() and path.suffix.lower() != ".zarr":
        msg = f"{path} is a folder, which a file cannot replace; choose another name"
        raise FileExistsError(msg)


@contextmanager
def appears_when_complete(path: Path) -> Iterator[Path]:
    """Hand out a temporary path beside `path` and move it there at the end; after an error leave nothing behind."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    retired = temporary.with_suffix(".old")
    try:
        yield temporary
        if path.is_dir():  # a folder cannot be replaced in one step
            path.rename(retired)
        temporary.replace(path)
    finally:
        if retired.exists() and not path.exists():
            retired.rename(path)
        for leftover in (temporary, retired):
            if leftover.is_dir():
                shutil.rmtree(leftover)
            else:
                leftover.unlink(missing_ok=True)
