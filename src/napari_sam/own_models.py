"""Models that the user trained or chose from a file, so that they can be offered again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.checkpoints import cache_folder
from napari_sam.outputs import appears_when_complete

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MOST = 20  # files; older ones are dropped from the list, not from the disk


def own_models() -> tuple[Path, ...]:
    """List the files that are still there, the latest first."""
    path = _list_path()
    if not path.is_file():
        return ()
    return tuple(Path(line) for line in path.read_text(encoding="utf-8").splitlines() if Path(line).is_file())


def short_names(paths: Sequence[Path]) -> tuple[str, ...]:
    """Name each file by as many of its last folders as it takes to tell it from the others, at first by none.

    Parameters
    ----------
    paths : sequence of Path
        Different ones.
    """
    return tuple(
        next((name for name in _longer_and_longer(path) if _is_of_one(name, paths)), str(path)) for path in paths
    )


def remember_model(path: Path | str) -> None:
    """Put a weight file on top of the list.

    Raises
    ------
    OSError
        If the list cannot be written.
    """
    new = Path(path).expanduser().resolve()
    kept = [new, *(one for one in own_models() if one != new)][:_MOST]
    listed = _list_path()
    listed.parent.mkdir(parents=True, exist_ok=True)
    with appears_when_complete(listed) as temporary:
        temporary.write_text("".join(f"{one}\n" for one in kept), encoding="utf-8")


def _longer_and_longer(path: Path) -> Iterator[str]:
    yield path.stem
    for count in range(1, len(path.parts)):
        yield str(Path(*path.parts[-count:]))


def _is_of_one(name: str, paths: Sequence[Path]) -> bool:
    return sum(name in _longer_and_longer(path) for path in paths) == 1


def _list_path() -> Path:
    return cache_folder() / "own-models.txt"
