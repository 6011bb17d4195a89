"""The commands `sam-stacks cache info|verify|prune`: what a cache folder holds, whether it is whole, what can go."""

import sys
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App
from rich.console import Console
from rich.filesize import decimal
from rich.progress import track
from rich.table import Column, Table

from napari_sam.cli_options import PLAIN, WHOLE, ImageOptions
from napari_sam.cli_tables import print_table

if TYPE_CHECKING:
    from napari_sam.cache_folder import CachedImage
    from napari_sam.stack import Stack

cache = App(
    name="cache",
    help="Look after the folders in which encoded planes are kept.",
    default_parameter=PLAIN,
)
_STDERR = Console(stderr=True)
_GIGABYTE = 10**9


@cache.command
def info(folder: str) -> None:
    """List the images in a cache: how they were encoded, how many planes, how many bytes.

    Parameters
    ----------
    folder
        A cache, or a folder of caches.
    """
    images = _images(folder)
    _print_images(images)
    print(_sum(images))


@cache.command
def verify(folder: str, *, image: Path | None = None, selection: ImageOptions = WHOLE) -> None:
    """Read every embedding and check that it is whole; exit with code 1 if one is not.

    Parameters
    ----------
    folder
        A cache, or a folder of caches.
    image
        Check only what was encoded from this image, and that its pixels are still the same.
    """
    from napari_sam import cache_folder

    images, stack = _images(folder), None
    if image is not None:
        stack = selection.open_stack(image)
        images = [cached for cached in images if cache_folder.is_of(cached, stack)]
        if not images:
            msg = f"{folder} holds no embeddings of {image}; sam-stacks cache info {folder} tells what it holds"
            raise ValueError(msg)
    spoilt = [cached for cached in images if not _is_whole(cached, stack)]
    print(f"Images checked: {len(images)}; with planes that will be encoded anew: {len(spoilt)}")
    if spoilt:
        sys.exit(1)


@cache.command
def prune(
    folder: str,
    *,
    older_than: float | None = None,
    model: str | None = None,
    incomplete: bool = False,
    max_gb: float | None = None,
    delete: bool = False,
) -> None:
    """Show what could be deleted from a cache, and with --delete delete it; of several conditions, all must be met.

    Only embeddings are deleted, and they can be made again.

    Parameters
    ----------
    folder
        A cache, or a folder of caches.
    older_than
        Images to which nothing was written for this many days.
    model
        Images that this model encoded.
    incomplete
        Images of which planes are missing.
    max_gb
        As many images as it takes to bring everything down to this many gigabytes, the oldest first.
    delete
        Really delete them.
    """
    from napari_sam import cache_folder

    chosen = cache_folder.choose(
        _images(folder),
        now=datetime.now(),
        older_than=None if older_than is None else timedelta(days=_days(older_than)),
        model=model,
        incomplete=incomplete,
        max_size=None if max_gb is None else _bytes(max_gb),
    )
    _print_images(chosen)
    if not delete:
        print(f"{_sum(chosen)}, would go; nothing was deleted: add --delete to do it")
        return
    for cached in chosen:
        cache_folder.prune(cached)
    print(f"Deleted {_sum(chosen)}")


def _days(older_than: float) -> float:
    days = _checked(older_than, "--older-than", "give days since an image was last written, such as 30 or 0.5")
    return min(days, timedelta.max.days)


def _bytes(max_gb: float) -> int:
    size = _checked(max_gb, "--max-gb", "give gigabytes that may stay, such as 50; 0 lets nothing stay")
    return int(min(size, sys.maxsize / _GIGABYTE) * _GIGABYTE)


def _checked(number: float, option: str, advice: str) -> float:
    if not 0 <= number < inf:
        msg = f"{option} must be a number of at least 0, got {number:g}; {advice}"
        raise ValueError(msg)
    return number


def _images(folder: str) -> "list[CachedImage]":
    from napari_sam.cache_folder import cached_images, find_caches
    from napari_sam.cache_store import as_location

    return [cached for location in find_caches(as_location(folder)) for cached in cached_images(location)]


def _is_whole(cached: "CachedImage", stack: "Stack | None") -> bool:
    from napari_sam.cache_folder import verify

    checks = verify(cached, stack)
    quiet = not _STDERR.is_terminal
    entries, tiled = cached.total * cached.tiles, cached.tiles > 1
    found = dict(track(checks, cached.name, entries, console=_STDERR, transient=True, disable=quiet))
    counts = Counter(found.values())
    missing = entries - len(found)
    told = [f"{count} {finding}" for finding, count in counts.items()]
    told += [f"{missing} not encoded yet"] if missing else []
    print(f"{cached.name}: {'tiles: ' * tiled}{', '.join(told) or 'empty'}")
    for place, finding in found.items():
        if finding != "good":
            print(f"  plane {place[:-1]}, tile {place[-1]}: {finding}" if tiled else f"  plane {place}: {finding}")
    return counts["good"] == len(found)


def _print_images(images: "Sequence[CachedImage]") -> None:
    if images:
        image, written = Column("image", overflow="fold"), Column("written", min_width=10)
        table = Table(image, "shape", "model", "contrast", "planes", "size", written)
        for cached in images:
            table.add_row(*_row(cached))
        print_table(table)


def _sum(images: "Sequence[CachedImage]") -> str:
    count = len(images)
    return f"{count} image{'s' * (count != 1)}, {decimal(sum(cached.size for cached in images))}"


def _row(cached: "CachedImage") -> Sequence[str]:
    known = cached.attributes
    written = "" if cached.written is None else f"{cached.written:%Y-%m-%d %H:%M}"
    size = decimal(cached.size) if cached.size else ""
    if not known:
        return cached.name, "", "", "", "none", size, written
    source = known["image"]["source"]
    pairs = zip(known["contrast"]["low"], known["contrast"]["high"], strict=True)
    return (
        f"{source}\n{cached.name}" if source else cached.name,
        f"{' x '.join(map(str, known['image']['shape']))}\n{known['image']['dtype']}",
        f"{known['model']}\n{known['precision']}",
        ", ".join(f"{low:g} to {high:g}" for low, high in pairs),
        f"{cached.done} of {cached.total}",
        size,
        written,
    )
