"""The rows of a dataset, as plain dictionaries by split."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, cast

from entrostat.errors import sentence
from entrostat.jobs.settings import DataJob

Rows = list[dict[str, Any]]
SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")


class UnreachableError(ValueError):
    """The data is on the hub, and the hub cannot be reached: nothing is known to be wrong with it."""


def read(data: DataJob) -> dict[str, Rows]:
    """Return every split of a file, of a directory or of a hub's dataset; a file is all `train`.

    Raises:
        ValueError: there is no such data, or it is none; `UnreachableError` if only the hub is.
        OSError: it cannot be read.
        ImportError: what reads it is not installed.
    """
    path = Path(data.source).expanduser()
    looks_like_path = data.source.startswith((".", "/", "~")) or data.source.count("/") > 1
    if path.suffix in SUFFIXES or path.is_file():
        return {"train": _file(path)}
    if looks_like_path and not path.is_dir():
        raise ValueError(sentence("source", "be a file, a directory or a hub id", data.source, "It is not there."))
    return _loaded(data, str(path) if path.is_dir() else data.source)


def _file(path: Path) -> Rows:
    readers = {".jsonl": _json_lines, ".json": _json, ".csv": _csv, ".parquet": _parquet}
    if path.suffix not in readers:
        raise ValueError(sentence("source", "end in " + ", ".join(SUFFIXES), str(path)))
    if not path.is_file():
        raise ValueError(sentence("source", "be a file that is there", str(path)))
    try:
        rows = readers[path.suffix](path)
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}: {error}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path}: every row must be an object with the columns as its keys.")
    return rows


def _json_lines(path: Path) -> Any:
    rows: list[Any] = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                rows += [json.loads(line)] if line.strip() else []
            except ValueError as error:
                raise ValueError(f"line {number} is no JSON: {error}") from None
    return rows


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _csv(path: Path) -> Any:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def _parquet(path: Path) -> Any:
    import pyarrow.parquet as parquet  # pyright: ignore[reportMissingTypeStubs]

    return parquet.read_table(path).to_pylist()


def _loaded(data: DataJob, where: str) -> dict[str, Rows]:
    """Return the splits `datasets` finds in a directory or on the hub."""
    from datasets import DatasetDict, load_dataset, load_from_disk

    try:
        if any((Path(where) / name).is_file() for name in ("dataset_dict.json", "dataset_info.json")):
            found: Any = load_from_disk(where)
        else:
            found = load_dataset(where, data.subset or None, revision=data.revision or None)
    except Exception as error:  # the hub, its client and the readers each have their own
        first = (str(error).strip().splitlines() or [""])[0]
        kind = UnreachableError if isinstance(error, ConnectionError) else ValueError
        raise kind(
            sentence("source", "be a dataset that can be read", data.source, f"{type(error).__name__}: {first}")
        ) from None
    splits: dict[str, Any] = dict(cast("Any", found)) if isinstance(found, DatasetDict) else {"train": found}
    return {name: rows.to_list() for name, rows in splits.items()}
