"""The commands `sam-stacks models` and `sam-stacks models fetch`: which models there are, and how they get here."""

from pathlib import Path

from cyclopts import App
from rich.console import Console
from rich.progress import DownloadColumn, Progress
from rich.table import Column, Table

from napari_sam.cli_tables import print_table

models = App(name="models", help="List the models; `models fetch NAME` downloads one.")
_STDERR = Console(stderr=True)


@models.default
def list_models() -> None:
    """List the models: what they are, under which licence, how large, and where they lie.

    Models that you trained or chose in napari follow, each as the path that --model takes.
    """
    from napari_sam.checkpoints import REGISTRY, weights_path
    from napari_sam.own_models import own_models

    table = Table("name", "MB", "licence", "what it is", Column("where", overflow="fold"))
    for row in REGISTRY.values():
        path = weights_path(row.name)
        where = str(path) if path.exists() else f"not here yet: sam-stacks models fetch {row.name}"
        table.add_row(row.name, f"{row.size / 1e6:.0f}", row.licence, row.what, where)
    print_table(table)
    if own := own_models():
        print("Your own, to be given with --model:")
        for path in own:
            print(f"  {path}")  # in one piece, which a table that is fitted to a terminal would fold


@models.command
def fetch(name: str) -> None:
    """Download the weights of a model, unless they are here.

    Parameters
    ----------
    name
        As `sam-stacks models` lists it.
    """
    print(_fetch(name))


def fetch_weights(model: str) -> None:
    """Download the weights of a named model, unless they are here."""
    from napari_sam.checkpoints import REGISTRY, weights_path

    if model in REGISTRY and not weights_path(model).exists():
        _fetch(model)


def _fetch(name: str) -> Path:
    from napari_sam.checkpoints import download, weights_path

    columns = (*Progress.get_default_columns(), DownloadColumn())
    with Progress(*columns, console=_STDERR, transient=True, disable=not _STDERR.is_terminal) as progress:
        task = progress.add_task(f"fetching {name}", total=None, visible=False)
        for done, total in download(name):
            progress.update(task, completed=done, total=total, visible=True)
    return weights_path(name)
