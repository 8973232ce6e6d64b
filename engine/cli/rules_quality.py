"""`endplate rules`: the slow check, coverage, the rule book, and what a new version changes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec
import typer

from engine.cli.common import cache_dir, documents, notice, ruleset, scope, write
from engine.errors import InputError
from engine.evaluation import Evaluator
from engine.fhir.record import Scope, read_records
from engine.inference.backends import make_backend
from engine.model.problem import Problem
from engine.model.record import Record
from engine.quality.examples import Example, examples
from engine.quality.files import read_files
from engine.rules.files import bundled
from engine.rules.load import load_ruleset
from engine.rules.ruleset import Ruleset
from engine.vignettes import cases_in


def check(folder: Path | None, output: Literal["text", "json"]) -> None:
    """Everything that `rules check` refuses, then proofs, mutation and leftovers; exit code 1 if there is a fault."""
    from engine.outputs.quality_text import verdict_lines  # noqa: PLC0415
    from engine.quality.thorough import check_thoroughly  # noqa: PLC0415

    where = folder or bundled()
    loaded = load_ruleset(folder, cache_dir=cache_dir(), with_vignettes=True)
    files = read_files(where, loaded)
    verdict = check_thoroughly(where, loaded, _examples(where, loaded), files)
    write(msgspec.json.encode(verdict) if output == "json" else "\n".join(verdict_lines(verdict)))
    if verdict.faults:
        raise typer.Exit(1)


def check_files(folder: Path | None) -> None:
    """The files about the ruleset; RulesetError lists every fault."""
    read_files(folder or bundled(), ruleset(folder))


def cover(folder: Path | None, output: Literal["text", "json"]) -> None:
    """Which cases and values the vignettes reach."""
    from engine.outputs.quality_text import coverage_lines  # noqa: PLC0415
    from engine.quality.coverage import coverage  # noqa: PLC0415

    loaded = ruleset(folder)
    found = coverage(loaded, _examples(folder or bundled(), loaded))
    write(msgspec.json.encode(found) if output == "json" else "\n".join(coverage_lines(found)))


def diff(
    old: Path, new: Path, sources: list[Path], *, as_of: str, complete: bool, output: Literal["text", "json"]
) -> None:
    """Two rulesets on the same patients. Always exit code 0: a difference is no error."""
    from engine.batch.sources import listing  # noqa: PLC0415
    from engine.outputs.quality_text import content_lines, patient_lines  # noqa: PLC0415
    from engine.quality.diff import Versions  # noqa: PLC0415

    both = ruleset(_folder(old)), ruleset(_folder(new))
    versions = Versions(*both)
    content = versions.content()
    files = [Path(source.path) for source in listing(sources).sources]
    write(msgspec.json.encode(content) if output == "json" else "\n".join(content_lines(content)))
    read = [_read(loaded, files, scope(as_of, complete=complete)) for loaded in both]
    evaluators = [Evaluator(loaded, make_backend("plain", loaded.program)) for loaded in both]
    count = differing = 0
    for key in dict.fromkeys([*read[0], *read[1]]):
        if key not in read[0] or key not in read[1]:
            notice(f"{key}: only one of the rulesets reads a record of it")
            continue
        count += 1
        old_one, new_one = (e.evaluate(r[key], "none") for e, r in zip(evaluators, read, strict=True))
        patient = versions.patient(old_one, new_one, key)
        if patient.changes:
            differing += 1
            write(msgspec.json.encode(patient) if output == "json" else "\n".join(patient_lines(patient)))
    if output == "text":
        write(f"{count} patients, {differing} with other findings")


def docs(folder: Path | None, out: Path, trace: Path, *, check: bool) -> None:
    """Write the rule book and the traceability table, or with `check` say whether they are up to date."""
    from engine.outputs.rule_book import rule_book  # noqa: PLC0415
    from engine.outputs.traceability import traceability_page  # noqa: PLC0415

    where, loaded = folder or bundled(), ruleset(folder)
    files = read_files(where, loaded)
    pages = {out / name: text for name, text in rule_book(loaded, where, files).items()}
    if files.statements:
        pages[trace] = traceability_page(files, loaded, _relative(out, trace))
    if check:
        stale = [path for path, text in pages.items() if not path.is_file() or path.read_text("utf-8") != text]
        stale += [path for path in sorted(out.glob("*.md")) if path not in pages]
        if stale:
            names = ", ".join(f"`{path.as_posix()}`" for path in stale)
            raise InputError(f"not up to date: {names}; run `endplate rules docs`")
        write(f"{len(pages)} pages are up to date")
        return
    for path in out.glob("*.md"):      # pages of rules that are gone
        path.unlink()
    for path, text in pages.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    write(f"{len(pages)} pages written to {out.as_posix()}")


def _examples(folder: Path, loaded: Ruleset) -> list[Example]:
    return list(examples(Evaluator(loaded, make_backend("plain", loaded.program)), cases_in(folder)))


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise InputError(f"`{path}` is no folder of a ruleset")
    return path


def _read(loaded: Ruleset, files: Iterable[Path], when: Scope) -> dict[str, Record]:
    """Every record by patient and place; a patient with several records has several places."""
    problems: list[Problem] = []
    found: dict[str, Record] = {}
    for file in files:
        for number, record in enumerate(read_records(documents([file]), loaded.terminology, when, problems), start=1):
            found[f"{record.person.reference} in {file.as_posix()}, record {number}"] = record
    if not found:
        raise InputError("no patient's data in what `--on` names")
    return found


def _relative(out: Path, trace: Path) -> str:
    """The way from the traceability page to the rule book."""
    start = trace.resolve().parent
    target = out.resolve()
    ups: list[str] = []
    while start != target and start not in target.parents and start != start.parent:
        ups.append("..")
        start = start.parent
    return "/".join([*ups, *target.relative_to(start).parts])
