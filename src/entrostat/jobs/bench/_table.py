"""The one form of a benchmark's table: CSV, every row with the machine it was measured on."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], facts: Mapping[str, Any] | None = None) -> None:
    """Write rows with the same columns, and facts that hold for all of them.

    Args:
        path: the file; its directory is made.
        rows: at least one.
        facts: columns of the same value in every row, such as `machine()`.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "results" / "time.csv"
        >>> write_table(path, [{"rows": 2, "ms": 1.5}, {"rows": 4, "ms": 3.1}], {"threads": 1})
        >>> path.read_text().split()
        ['rows,ms,threads', '2,1.5,1', '4,3.1,1']
    """
    shared = dict(facts or {})
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], *shared], lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, **shared} for row in rows)
