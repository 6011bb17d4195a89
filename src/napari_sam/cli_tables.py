"""Tables on stdout: fitted to a terminal, and as wide as they want to be in a file or a pipe, where nothing is cut."""

import os

from rich.console import Console
from rich.table import Table

_UNBOUNDED = 10_000  # characters; a table takes what it needs


def print_table(table: Table) -> None:
    """Print a table; the environment variable ``COLUMNS`` sets its width, as everywhere."""
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(width=_UNBOUNDED)
    console.print(table)
