"""What several commands share: the ruleset, the input, dates, notices."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Literal

from engine.errors import InputError
from engine.evaluation import Evaluator
from engine.fhir.decode import Document, read_documents
from engine.fhir.record import Scope, read_records
from engine.inference.backends import make_backend
from engine.model.problem import Problem
from engine.model.record import Record
from engine.outputs.markdown import plain
from engine.rules.load import load_ruleset
from engine.rules.ruleset import Ruleset

BackendName = Literal["plain", "durable", "both"]
SHOWN_PROBLEMS = 20
# C1 controls, separators of lines, invisible and bidirectional marks; JSON strings hold them unescaped
_OBEYED = re.compile("[\x80-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")


def cache_dir() -> Path:
    """Where compiled rulesets are kept: ENDPLATE_CACHE, else the user's cache folder."""
    named = os.environ.get("ENDPLATE_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(named) if named else Path(home) / "endplate"


def ruleset(folder: Path | None, valuesets: Iterable[Path] = ()) -> Ruleset:
    """The ruleset of a folder, or the one that comes with the package."""
    return load_ruleset(folder, extra_valuesets=tuple(valuesets), cache_dir=cache_dir())


def evaluator(folder: Path | None, valuesets: Iterable[Path], backend: BackendName) -> Evaluator:
    """A ruleset made ready, with the backend that was asked for."""
    loaded = ruleset(folder, valuesets)
    return Evaluator(loaded, make_backend(backend, loaded.program))


def scope(as_of: str, *, complete: bool) -> Scope:
    """The date of evaluation: a date, `bundle`, or today (taken here, at the edge)."""
    today = datetime.now().astimezone().date()
    if as_of == "bundle":
        return Scope(as_of=today, at_bundle_time=True, complete=True if complete else None)
    return Scope(as_of=day(as_of) if as_of else today, complete=True if complete else None)


def day(text: str) -> date:
    """A calendar date as ISO 8601 writes it."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"`{text}` is no date: write YYYY-MM-DD, or `bundle`") from None


def documents(files: Iterable[Path]) -> Iterator[Document | Problem]:
    """Everything in the files; `-` is stdin."""
    for file in files:
        if str(file) == "-":
            yield from read_documents(sys.stdin.buffer, "stdin")
        elif not _is_file(file):
            raise InputError(f"`{file}` is no file; give a Bundle, NDJSON or single resources, or `-` for stdin")
        else:
            yield from read_documents(file)


def records(files: list[Path], evaluator: Evaluator, scope: Scope) -> Iterator[Record]:
    """One record per patient and Bundle; what belongs to nobody is told on stderr. Raises InputError if none."""
    problems: list[Problem] = []
    count = 0
    for record in read_records(documents(files), evaluator.ruleset.terminology, scope, problems):
        count += 1
        yield record
    if not count:
        first = f"{problems[0].where}: {problems[0].message}" if problems else "it holds no patient's data"
        names = ", ".join(f"`{file}`" for file in files)
        raise InputError(f"nothing to evaluate in {names}: {first}")
    for problem in problems[:SHOWN_PROBLEMS]:
        notice(f"{problem.where}: {problem.message} [{problem.code}]")
    if len(problems) > SHOWN_PROBLEMS:
        notice(f"and {len(problems) - SHOWN_PROBLEMS} more entries that belong to no patient or could not be read")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have
        return False


def notice(text: str) -> None:
    """A line on stderr."""
    sys.stderr.write(f"note: {plain(text)}\n")


def write(text: str | bytes) -> None:
    """A line on stdout. In JSON (bytes) every character that a terminal obeys or hides is escaped."""
    if isinstance(text, str):
        text = text.encode()
    elif not text.isascii():
        text = _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text.decode()).encode()
    sys.stdout.buffer.write(text + b"\n")
    sys.stdout.buffer.flush()
