"""Populations for the tests of batches: the example patients, multiplied, as Bundles and as a bulk export."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
from called import called

from engine.batch import results
from engine.batch.plan import partitions, parts
from engine.batch.run import Progress, begin, keep, run
from engine.batch.run import results as result_files
from engine.batch.setup import Setup
from engine.batch.sources import listing
from engine.cli.common import cache_dir, evaluator
from engine.evaluation import Evaluator
from engine.rules.files import bundled

ROOT = Path(__file__).resolve().parents[2]
DAY = date(2026, 4, 20)
Json = dict[str, Any]
OUTPUTS = ("detected-issues.ndjson", "findings.csv", "problems.ndjson", "report.html", "summary.json")


def examples() -> Iterator[Json]:
    """The example patients as Bundles."""
    for path in sorted((ROOT / "fhir_examples/patients").glob("*.json")):
        yield json.loads(path.read_text("utf-8"))


def renamed(bundle: Json, suffix: str) -> Json:
    """The same patient under another id: every id and every reference within the Bundle gets the suffix."""
    text = json.dumps(bundle)
    for entry in bundle["entry"]:
        name = f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
        text = text.replace(f'{name}"', f'{name}{suffix}"')
    copy: Json = json.loads(text)
    for entry in copy["entry"]:
        entry["resource"]["id"] += suffix
    return copy


def population(copies: int) -> Iterator[Json]:
    """Each example patient `copies` times."""
    for number in range(copies):
        for bundle in examples():
            yield renamed(bundle, f"-{number}")


def bulk(bundles: Iterable[Json], only: frozenset[str] = frozenset()) -> dict[str, list[Json]]:
    """The resources of Bundles by type."""
    by_type: dict[str, list[Json]] = {}
    for bundle in bundles:
        for entry in bundle["entry"]:
            kind = entry["resource"]["resourceType"]
            if not only or kind in only:
                by_type.setdefault(kind, []).append(entry["resource"])
    return by_type


def ndjson(resources: Iterable[object]) -> bytes:
    """One line each."""
    return b"".join(msgspec.json.encode(resource) + b"\n" for resource in resources)


def write_bulk(folder: Path, by_type: Mapping[str, list[Json]], files: int = 1) -> Path:
    """One or several files for each type; the resources of a patient are spread over them."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, held in by_type.items():
        for number in range(files):
            (folder / f"{kind}.{number:03}.ndjson").write_bytes(ndjson(held[number::files]))
    return folder


_ready: list[Evaluator] = []


def ready() -> Evaluator:
    """The bundled rules on the plain backend, loaded once."""
    if not _ready:
        _ready.append(evaluator(None, (), "plain"))
    return _ready[0]


def setup_for(
    paths: Iterable[Path],
    *,
    size: int = 0,
    into: int = 0,
    limit: int = 0,
    thorough: bool = False,
    validate: bool = False,
) -> Setup:
    """A setup as the command line makes it, with parts of `size` bytes and `into` partitions."""
    found = listing(paths)
    return Setup(
        sources=found.sources,
        parts=tuple(parts(found.sources, size)),
        partitions=into or partitions(found.sources),
        as_of=DAY,
        at_bundle_time=False,
        limit=limit,
        thorough=thorough,
        validate=validate,
        problems=found.problems,
        cache=str(cache_dir()),
    )


def without_rule(tmp: Path, rule: str) -> Path:
    """A copy of the bundled rules that lacks one, and the vignettes that may speak of it."""
    folder = Path(shutil.copytree(bundled(), tmp / f"without-{rule}"))
    (path,) = folder.glob(f"rules/**/{rule}.yaml")
    path.unlink()
    shutil.rmtree(folder / "vignettes")
    return folder


class Screened:
    """What a batch said, in the order in which it said it."""

    def __init__(self, folder: Path, counts: results.Counts) -> None:
        self.counts = counts
        self.frames = [frame for path in result_files(folder) for frame in results.frames(path)]

    @property
    def findings(self) -> dict[str, list[tuple[str, str]]]:
        """Patient -> (issue, severity) of each finding, for every patient of whom something is said."""
        return {
            frame.evaluation.patient: sorted((f.issue, f.severity) for f in frame.evaluation.findings)
            for frame in self.frames
            if isinstance(frame, results.Found | results.Silent)
        }

    @property
    def odd(self) -> list[tuple[str, str, int]]:
        """(code, name of the file, line) of each problem."""
        return [
            (frame.problem.code, Path(frame.file).name, frame.line)
            for frame in self.frames
            if isinstance(frame, results.Odd)
        ]


def screened(tmp: Path, *paths: Path, **options: int) -> Screened:
    """A whole batch in this process."""
    setup = setup_for(paths, **options)
    folder = tmp / "run"
    begin(folder)
    keep(folder, setup)
    seen: list[Progress] = []
    counts = run(folder, setup, 1, ready(), seen.append)
    assert seen
    assert seen[-1].share == 1.0 or setup.limit
    return Screened(folder, counts)


def endplate(*arguments: object, stdin: bytes = b"", **options: Any) -> subprocess.CompletedProcess[bytes]:
    """The command line, on the plain backend: a process of its own if it gets an input or options, else this one."""
    if not stdin and not options and "-" not in arguments:
        return called(*command(*arguments)[3:])
    return subprocess.run(command(*arguments), input=stdin, capture_output=True, check=False, **options)


def command(*arguments: object) -> list[str]:
    """The words of a call of `endplate screen`."""
    words = [str(argument) for argument in arguments]
    start = [sys.executable, "-c", "from engine.cli import main; main()", "screen"]
    return [*start, *words, "--as-of", DAY.isoformat(), "--backend", "plain"]


def outputs(folder: Path) -> dict[str, bytes]:
    """The files of a finished batch, without what the names of its sources change."""
    return {name: (folder / name).read_bytes() for name in OUTPUTS}


ENVIRONMENT = dict(os.environ)
