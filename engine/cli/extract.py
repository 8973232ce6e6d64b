"""`endplate extract`: answers to a form in, a transaction of Observations with their Provenance out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from engine import __version__
from engine.cli.common import documents, notice, ruleset, write
from engine.errors import InputError
from engine.fhir.answers import RESPONSE
from engine.fhir.bundle import parts_of
from engine.fhir.elements import Json
from engine.fhir.extraction import extract
from engine.model.problem import Problem

_encode = msgspec.json.Encoder(decimal_format="number").encode


def run(file: Path, *, recorded: str, folder: Path | None, valuesets: Iterable[Path]) -> None:
    """A line for each response from which something was extracted; what could not be used is told on stderr."""
    terminology = ruleset(folder, valuesets).terminology
    recorded = _instant(recorded)
    count = written = 0
    for response, where in _responses(file):
        count += 1
        found = extract(response, terminology, recorded=recorded, agent=f"Endplate {__version__}", where=where)
        for problem in found.problems:
            notice(f"{problem.where}: {problem.message} [{problem.code}]")
        if found.bundle is not None:
            written += 1
            write(_encode(found.bundle))
    if not count:
        raise InputError(f"there is no {RESPONSE} in `{file}`")
    if not written:
        raise InputError(f"nothing could be extracted from `{file}`: the notes say why")


def _note(code: str, message: str) -> None:
    notice(f"{message} [{code}]")


def _instant(text: str) -> str:
    """An instant as FHIR writes it; now, if there is none."""
    if not text:
        return datetime.now(UTC).isoformat(timespec="seconds")
    try:
        said = datetime.fromisoformat(text)
    except ValueError:
        said = None
    if said is None or said.tzinfo is None:
        raise InputError(f"`{text}` is no instant: write one such as 2026-01-31T12:00:00Z")
    return said.isoformat(timespec="seconds")


def _responses(file: Path) -> Iterator[tuple[Json, str]]:
    """Every response in a file: single ones, NDJSON, and those in Bundles."""
    for document in documents([file]):
        if isinstance(document, Problem):
            notice(f"{document.where}: {document.message} [{document.code}]")
            continue
        held = document.content if isinstance(document.content, list) else [document.content]
        for one in held:
            if not isinstance(one, dict):
                continue
            if one.get("resourceType") == RESPONSE:
                yield one, document.where
            elif one.get("resourceType") in ("Bundle", "Parameters"):
                for number, resource, _, deleted in parts_of(one, _note):
                    if resource.get("resourceType") == RESPONSE and not deleted:
                        yield resource, f"{document.where}: entry {number}"
