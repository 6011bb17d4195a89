"""Put the tables of benchmark reports into the documentation, row by row, so that no figure is copied by hand.

    python tools/refresh_tables.py --reports planes.md propagation.md \
        --documents docs/nano.md docs/explanation/propagation.md

A table belongs to the one with the same heads of columns, the second such table to the second; a row to the one with
the same first cell. What a report has and no document shows is left out, and is told.
"""

from __future__ import annotations

import argparse
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Key = tuple[str, int, str]  # heads of the columns, which of the tables with these, first cell


def main() -> None:
    """Replace the rows of all documents, and print how many are new in each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", type=Path, nargs="+", required=True)
    parser.add_argument("--documents", type=Path, nargs="+", required=True)
    arguments = parser.parse_args()

    measured = {key: row for path in arguments.reports for key, row in keyed(path.read_text("utf-8")) if key}
    shown: set[Key] = set()
    for path in arguments.documents:
        before = list(keyed(path.read_text("utf-8")))
        shown |= {key for key, _ in before if key}
        after = [measured.get(key, line) if key else line for key, line in before]
        path.write_text("\n".join(after), "utf-8")
        changed = sum(new != old for (_, old), new in zip(before, after, strict=True))
        print(f"{path}: {changed} rows have changed")
    for heads, _, row in measured.keys() - shown:
        print(f"no document shows the row {row!r} of the table {heads}")


def keyed(text: str) -> Iterator[tuple[Key | None, str]]:
    """Yield every line of a text, those that are rows of a table with what tells them apart."""
    tables: Counter[str] = Counter()
    for in_table, block in groupby(text.split("\n"), key=lambda line: line.startswith("|")):
        lines = list(block)
        heads = lines[0]
        for line in lines:
            key = (heads, tables[heads], line.split("|")[1].strip()) if in_table and line is not heads else None
            yield key, line
        tables[heads] += in_table


if __name__ == "__main__":
    main()
