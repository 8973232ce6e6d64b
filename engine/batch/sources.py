"""Files of a batch: named ones, and all JSON and NDJSON below a folder, in a stable order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from engine.errors import InputError

SUFFIXES = (".json", ".ndjson", ".jsonl", ".json.gz", ".ndjson.gz", ".jsonl.gz")


def files_in(sources: Iterable[Path]) -> Iterator[Path]:
    """The files to read. Raises InputError for a path that does not exist or a folder without any."""
    for source in sources:
        if source.is_dir():
            found = sorted(path for path in source.rglob("*") if path.is_file() and path.name.endswith(SUFFIXES))
            if not found:
                raise InputError(f"`{source}` holds no JSON or NDJSON file")
            yield from found
        elif source.exists():
            yield source
        else:
            raise InputError(f"`{source}` does not exist")
