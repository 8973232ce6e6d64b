"""`endplate screen`: many patients, a table here, a report and the findings in a folder."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from engine import __version__
from engine.batch import run as running
from engine.batch.merge import merge
from engine.batch.plan import partitions, parts
from engine.batch.rates import read_run
from engine.batch.results import Counts
from engine.batch.setup import Setup
from engine.batch.shown import Shown
from engine.batch.sources import Listing, Source, listing
from engine.batch.tables import has_parquet
from engine.cli.common import BackendName, cache_dir, evaluator, notice, ruleset, scope
from engine.cli.screen_sections import sections
from engine.errors import InputError, RunError, nearest
from engine.evaluation import Evaluator
from engine.outputs.tables import findings_table
from engine.rules.info import RuleInfo
from engine.rules.ruleset import Ruleset

if TYPE_CHECKING:
    from engine.cli.export import Asked

PLAIN_WIDTH = 150                      # of the table where there is no terminal to ask
MOST_ROWS = 200                        # of the table: larger runs print counts
EVERY_S = 10.0                         # between lines of progress where there is no terminal
STOPPED, INTERRUPTED, NOT_ALL, DRIFTED = 3, 130, 1, 4
FOLDER = ".endplate-run"               # of an unfinished run, in the output folder
EXPORT = ".endplate-export"            # of what a server gave for it


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says beside the sources."""

    as_of: str
    complete: bool
    backend: BackendName
    folder: Path | None
    valuesets: tuple[Path, ...]
    only: tuple[str, ...] = ()
    limit: int = 0
    workers: int = 0                   # 0 = all cores
    resume: bool = False
    thorough: bool = False
    validate: bool = False
    server: Asked | None = None        # a server whose export is a source
    compare: Path | None = None        # the folder of a second version of the rules
    rates: Path | None = None          # summary.json of an earlier run
    fail_on_drift: bool = False


def run(sources: list[Path], out: Path, options: Options) -> None:
    """Screen every patient of the sources; exit codes are those of docs/screening.md."""
    ready = evaluator(options.folder, options.valuesets, options.backend)
    second = ruleset(options.compare, options.valuesets) if options.compare is not None else None
    folder = out / FOLDER
    workers = options.workers or _cores()
    try:
        setup = _setup(sources, out, options, ready, second=second, exported=_exported(out, options, ready))
        with _Display() as display:
            counts = running.run(folder, setup, workers, ready, display.show)
        shown = merge(folder, out, setup, ready.ruleset, counts, second=second)
    except RunError as error:
        sys.stderr.write(f"error: {error}; what is done is kept, and `--resume` goes on from there\n")
        raise typer.Exit(STOPPED) from error
    except KeyboardInterrupt:
        sys.stderr.write("stopped; what is done is kept, and `--resume` goes on from there\n")
        sys.stderr.flush()
        os._exit(INTERRUPTED)          # what is done is on the disk; workers end with their parent
    running.end(folder)
    shutil.rmtree(out / EXPORT, ignore_errors=True)
    if not counts.patients:
        raise nothing_found(str(out), setup, counts)
    conclude(str(out), shown, counts, options, ready)


def conclude(out: str, shown: Shown, counts: Counts, options: Options, ready: Evaluator) -> None:
    """Tells what a finished run found; its exit code."""
    _tell(out, shown, counts, ready)
    if counts.failed or counts.not_compared:
        raise typer.Exit(NOT_ALL)
    if options.fail_on_drift and shown.rates is not None and shown.rates.has_drifted:
        raise typer.Exit(DRIFTED)


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _exported(out: Path, options: Options, ready: Evaluator) -> Listing | None:
    """What the server gives, as files; None if there is no server. An export that was begun goes on with --resume."""
    if options.server is None:
        return None
    from engine.cli.export import is_begun, listing_of, server_of  # noqa: PLC0415 - the web, which few runs need

    server = server_of(options.server, complete=options.complete)
    only = _issues(options.only, ready.ruleset.info)
    if not options.resume:
        running.begin(out / FOLDER)
    elif not is_begun(out / EXPORT):
        raise InputError(f"`{out}` holds no unfinished export: start without --resume")
    return listing_of(server, out / EXPORT, ready.ruleset, only, resume=options.resume)


def _setup(
    paths: list[Path],
    out: Path,
    options: Options,
    ready: Evaluator,
    *,
    second: Ruleset | None,
    exported: Listing | None,
) -> Setup:
    """The setup of a new run, whose folder is made, or of the one that goes on."""
    folder = out / FOLDER
    files = [path for path in paths if str(path) != "-"]
    found = listing(files)
    said = [str(path) for path in paths]
    if exported is not None and options.server is not None:
        found = Listing(tuple(sorted((*found.sources, *exported.sources))), (*found.problems, *exported.problems))
        said.append(options.server.url)
    if options.resume and (exported is None or running.setup_of(folder) is not None):
        return _resumed(folder, found, options, ready, second, stdin=len(files) < len(paths))
    setup = new_setup(found, said, options, ready, second)
    running.begin(folder)
    if len(files) < len(paths):
        setup = msgspec.structs.replace(setup, sources=(_stdin(folder), *setup.sources))
    cut = tuple(parts(setup.sources))
    setup = msgspec.structs.replace(setup, parts=cut, partitions=partitions(setup.sources))
    running.keep(folder, setup)
    return setup


def new_setup(
    found: Listing, said: Iterable[str], options: Options, ready: Evaluator, second: Ruleset | None = None
) -> Setup:
    """The setup of a run that begins, before its input is cut. `said`: the sources as the caller wrote them."""
    only = _issues(options.only, {**(second.info if second else {}), **ready.ruleset.info})
    when = scope(options.as_of, complete=options.complete)
    return Setup(
        sources=found.sources,
        parts=(),
        partitions=1,
        as_of=when.as_of,
        at_bundle_time=when.at_bundle_time,
        complete=options.complete,
        backend=options.backend,
        ruleset=str(options.folder or ""),
        valuesets=tuple(str(one) for one in options.valuesets),
        cache=str(cache_dir()),
        content=ready.ruleset.hash,
        engine=__version__,
        only=only,
        asked=tuple(sorted(set(options.only))),
        paths=tuple(sorted(set(said))),
        limit=options.limit,
        thorough=options.thorough,
        validate=options.validate,
        problems=found.problems,
        compare=str(options.compare or ""),
        compared=second.hash if second is not None else "",
        rates=str(options.rates or ""),
        earlier=read_run(options.rates) if options.rates is not None else None,
    )


def _resumed(
    folder: Path, found: Listing, options: Options, ready: Evaluator, second: Ruleset | None, *, stdin: bool
) -> Setup:
    """The setup of the run that stopped, if it is still about the same."""
    setup = running.setup_of(folder)
    if setup is None:
        raise InputError(f"`{folder.parent}` holds no unfinished run: start without --resume")
    same = {
        "the files": tuple(source for source in setup.sources if source.name != "stdin") == found.sources,
        "the sources": any(source.name == "stdin" for source in setup.sources) == stdin,
        "the rules": setup.content == ready.ruleset.hash,
        "the version of endplate": setup.engine == __version__,
        "--as-of": not options.as_of or options.as_of == ("bundle" if setup.at_bundle_time else str(setup.as_of)),
        "--complete": options.complete == setup.complete,
        "--backend": options.backend == setup.backend,
        "--only": tuple(sorted(set(options.only))) == setup.asked,
        "--limit": options.limit == setup.limit,
        "--thorough": options.thorough == setup.thorough,
        "--validate": options.validate == setup.validate,
        "the rules of --compare": setup.compared == (second.hash if second is not None else ""),
        "--rates": setup.rates == str(options.rates or ""),
    }
    if changed := [name for name, is_same in same.items() if not is_same]:
        raise InputError(f"cannot resume: {' and '.join(changed)} changed since the run began; start without --resume")
    return setup


def _stdin(folder: Path) -> Source:
    """Standard input as a file, so that it can be cut, and read again by a run that goes on."""
    kept = folder / "stdin"
    try:
        with kept.open("wb") as stream:
            shutil.copyfileobj(sys.stdin.buffer, stream)
    except OSError as error:
        raise running.cannot_write(folder, error) from error
    state = kept.stat()
    return Source("stdin", str(kept), state.st_size, state.st_mtime_ns)


def _issues(asked: Iterable[str], info: Mapping[str, RuleInfo]) -> tuple[str, ...]:
    """The issues that names of rulesets and issues mean. Raises InputError for a name that is neither."""
    found: set[str] = set()
    issues = {name: rule.ruleset for name, rule in info.items() if rule.kind == "issue"}
    for name in asked:
        meant = {issue for issue, ruleset in issues.items() if name in (issue, ruleset)}
        if not meant:
            near = nearest(name, [*issues, *issues.values()])
            raise InputError(f"`{name}` is no issue and no ruleset; " + (
                f"did you mean `{near}`?" if near else "see `endplate rules list`"))
        found |= meant
    return tuple(sorted(found))


def nothing_found(out: str, setup: Setup, counts: Counts) -> InputError:
    """Not one patient was in the input."""
    said = ", ".join(f"`{path}`" for path in setup.paths)
    odd = f" ({sum(counts.problems.values())} problems, see {out}/problems.ndjson)" if counts.problems else ""
    return InputError(f"nothing to evaluate in {said}: no patient's data{odd}")


def _tell(out: str, shown: Shown, counts: Counts, ready: Evaluator) -> None:
    """The table of a small run, the counts, and where everything is."""
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    rows = sum(max(len(evaluation.findings), 1) for evaluation in shown.evaluations)
    if rows <= MOST_ROWS and not shown.more and not shown.silent:
        console.print(findings_table(shown.evaluations))
    else:
        for name, count in sorted(counts.findings.items()):
            console.print(f"{count:>8}  {name}")
    for section in sections(shown):
        console.print(section)
    console.print(f"{counts.patients} patients, {counts.with_findings} with findings; backend {ready.backend.name}")
    if counts.problems:
        most_first = sorted(counts.problems.items(), key=lambda item: (-item[1], item[0]))
        console.print(f"data problems: {', '.join(f'{count} {code}' for code, count in most_first)}")
    if not has_parquet():
        console.print("findings.csv only: `endplate[parquet]` writes findings.parquet too")
    console.print(f"report: {out}/report.html", soft_wrap=True)
    for evaluation in shown.evaluations:
        if evaluation.disagreements:
            notice(f"the backends disagree on {evaluation.patient}: {'; '.join(evaluation.disagreements)}")
    if counts.not_compared:
        notice(f"{counts.not_compared} patients could not be compared: `not-evaluated` in {out}/problems.ndjson")
    if counts.failed:
        notice(f"{counts.failed} patients could not be evaluated: `not-evaluated` in {out}/problems.ndjson")


class _Display:
    """How far a run is: a bar on a terminal, else a line every few seconds, on stderr."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._last = self._begun = time.monotonic()
        if sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
                TimeRemainingColumn(), TextColumn("{task.fields[said]}"),
                console=Console(stderr=True), transient=True,
            )  # fmt: skip
            self._task = self._bar.add_task("scan", total=1.0, said="")

    def __enter__(self) -> _Display:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, progress: running.Progress) -> None:
        """A part is done."""
        now = time.monotonic()
        counts = progress.counts
        passed = max(now - self._begun, 0.001)
        said = (
            f"{counts.patients} patients ({counts.patients / passed:.0f}/s), {sum(counts.findings.values())} findings, "
            f"{counts.bytes / 2**20:.0f} MiB read"
        )
        if self._bar is not None:
            self._bar.update(self._task, completed=progress.share, description=progress.stage, said=said)
        elif now - self._last > EVERY_S:
            self._last = now
            left = passed * (1 - progress.share) / progress.share
            sys.stderr.write(f"{progress.stage}: {progress.share:.0%}, {said}, about {left:.0f} s left\n")
