"""A batch from its beginning or from where it stopped: stages in order, parts of a stage on all cores.

The folder of the run holds its setup and one file for each part that is finished; a file gets its name when it is whole
and on the disk. So what is there is done, whatever stopped the run, and the result is a function of the input alone.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path

import msgspec

from engine.batch.results import Counts, counts_of
from engine.batch.setup import Setup
from engine.batch.spill import unfinished
from engine.batch.work import Worker
from engine.errors import InputError, RunError
from engine.evaluation import Evaluator

SETUP = "setup.msgpack"
STAGES = ("scan", "match", "pick", "fetch", "join", "screen")
MOST_STEPS = 4                            # an order, its Medication, its ingredients
COLLECT = (20_000, 10, 10)                 # objects that are made before garbage is looked for
_AHEAD = 3                                 # parts given out for each worker
Task = tuple[str, int, int, bool]          # (stage, number, limit, given)


class Progress(msgspec.Struct, frozen=True):
    """How far a run is. `share` of the work, 0 to 1; `counts` so far."""

    stage: str
    share: float
    counts: Counts


Watch = Callable[[Progress], None]


def begin(folder: Path) -> None:
    """Makes the folder of a new run; an unfinished one that is there is dropped. Raises RunError: not writable."""
    try:
        for left in (folder, _finished(folder)):
            shutil.rmtree(left, ignore_errors=True)
        folder.mkdir(parents=True)
    except OSError as error:
        raise cannot_write(folder, error) from error


def keep(folder: Path, setup: Setup) -> None:
    """From here on the run can be resumed. Raises RunError: disk full."""
    try:
        incomplete = unfinished(folder / SETUP)
        incomplete.write_bytes(msgspec.msgpack.encode(setup))
        incomplete.replace(folder / SETUP)
    except OSError as error:
        raise cannot_write(folder, error) from error


def setup_of(folder: Path) -> Setup | None:
    """The setup of an unfinished run; None if there is none."""
    try:
        return msgspec.msgpack.decode((folder / SETUP).read_bytes(), type=Setup)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError:
        raise InputError(f"the unfinished run in `{folder}` is of another version: start without --resume") from None


def end(folder: Path) -> None:
    """Drops the folder of a finished run; it can no longer be resumed, even if this is stopped half way."""
    with suppress(OSError):
        folder = folder.rename(_finished(folder))
    (folder / SETUP).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _finished(folder: Path) -> Path:
    """The name under which the folder of a finished run goes: at once, however long its removal takes."""
    return folder.with_name(f"{folder.name}-finished")


def run(folder: Path, setup: Setup, workers: int, evaluator: Evaluator, watch: Watch) -> Counts:
    """Everything that is not done yet; the counts of all. Raises RunError if it has to stop."""
    for left in folder.glob("*.tmp"):
        left.unlink(missing_ok=True)
    threshold = gc.get_threshold()
    with _Pool(folder, setup, workers, evaluator) as pool:
        _settle()
        try:
            counts = _Run(folder, setup, pool, watch).run()
        finally:
            gc.set_threshold(*threshold)
            gc.unfreeze()
    for read in folder.glob("*.spill"):        # every result is there: nobody reads these again
        read.unlink()
    return counts


def results(folder: Path) -> list[Path]:
    """The results of all stages, in the order of the output."""
    return [path for stage in STAGES for path in sorted(folder.glob(f"{stage}-*.result"))]


def cannot_write(folder: Path, error: OSError) -> RunError:
    """What an error of the disk means."""
    return RunError(f"`{folder}` cannot be written: {error.strerror or 'the disk failed'}")


class _Run:
    def __init__(self, folder: Path, setup: Setup, pool: _Pool, watch: Watch) -> None:
        self._folder = folder
        self._setup = setup
        self._pool = pool
        self._watch = watch
        self._total = Counts()
        self._given = False

    def run(self) -> Counts:
        parts = range(len(self._setup.parts))
        self._stage("scan", [f"scan-{number:06}" for number in parts], (0.0, 0.6))
        if self._full:
            return self._total
        self._given = bool(self._total.given)
        if self._total.parked:
            self._stage("match", self._numbered("match"), (0.6, 0.62))
        if self._total.waiting:
            self._stage("pick", self._numbered("pick"), (0.62, 0.65))
            if self._total.picked:
                self._stage("fetch", [f"fetch-{number:06}" for number in parts], (0.65, 0.7))
        step, wants = 1, self._total.wants
        while wants and step <= MOST_STEPS:
            before = self._total.wants
            self._stage(f"join-{step}", self._numbered(f"join-{step}"), (0.7, 0.75))
            wants = self._total.wants - before
            step += 1
        self._stage("screen", self._numbered("screen"), (0.75, 1.0))
        return self._total

    @property
    def _full(self) -> bool:
        return bool(self._setup.limit) and self._total.patients >= self._setup.limit

    def _numbered(self, stage: str) -> list[str]:
        return [f"{stage}-{number:04}" for number in range(self._setup.partitions)]

    def _stage(self, stage: str, names: Sequence[str], share: tuple[float, float]) -> None:
        """All parts of a stage. With a limit they go one by one, each told how many patients are still wanted."""
        low, high = share
        done = 0
        limit = self._setup.limit
        open_parts: list[Task] = []
        for number, name in enumerate(names):
            path = self._folder / f"{name}.result"
            if not path.exists():
                if not limit:
                    open_parts.append((stage, number, 0, self._given))
                    continue
                self._pool.work((stage, number, limit - self._total.patients, self._given))
            done += 1
            self._told(stage, low + (high - low) * done / len(names), counts_of(path))
            if self._full:
                return
        for counts in self._pool.each(open_parts):
            done += 1
            self._told(stage, low + (high - low) * done / len(names), counts)

    def _told(self, stage: str, share: float, counts: Counts) -> None:
        self._total.add(counts)
        self._watch(Progress(stage.partition("-")[0], share, self._total))


class _Pool:
    """Workers in processes of their own; one worker works here."""

    def __init__(self, folder: Path, setup: Setup, workers: int, evaluator: Evaluator) -> None:
        self._folder = folder
        self._here = Worker(folder, setup, evaluator)
        self._workers = min(workers, max(len(setup.parts), setup.partitions))
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._pool is not None:
            children = multiprocessing.active_children() if kind is not None else []
            self._pool.shutdown(wait=kind is None, cancel_futures=True)
            for child in children:
                child.terminate()
            for child in children:
                child.join()

    def work(self, task: Task) -> Counts:
        """One task, here."""
        try:
            return _perform(self._here, task)
        except OSError as error:
            raise cannot_write(self._folder, error) from error

    def each(self, tasks: Sequence[Task]) -> Iterator[Counts]:
        """All tasks, in the order in which they are done."""
        if self._workers == 1 or len(tasks) == 1:
            yield from map(self.work, tasks)
            return
        waiting: set[Future[Counts]] = set()
        try:
            for task in tasks:
                waiting.add(self._started().submit(_worker_task, task))
                if len(waiting) >= self._workers * _AHEAD:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        except BrokenProcessPool as error:
            raise RunError("a worker was killed (is there enough memory for --workers?)") from error
        except OSError as error:
            raise cannot_write(self._folder, error) from error

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._workers, multiprocessing.get_context("spawn"), _start_worker, (str(self._folder), os.getpid())
            )
        return self._pool


_worker: Worker | None = None


def _start_worker(folder: str, parent: int) -> None:
    """Loads the ruleset once. Ctrl-C is for the parent, which ends its workers."""
    global _worker  # noqa: PLW0603 - what a process is given once for all its tasks
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    setup = setup_of(Path(folder))
    if setup is None or os.getppid() != parent:
        raise RunError("the run is gone")
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _worker = Worker(Path(folder), setup)
    _settle()


def _settle() -> None:
    """The search for garbage leaves the rules out, which stay, and is seldom: a patient leaves none, or little."""
    gc.freeze()
    gc.set_threshold(*COLLECT)


def _end_with(parent: int) -> None:
    """A worker whose parent was killed ends too."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _worker_task(task: Task) -> Counts:
    assert _worker is not None  # noqa: S101 - the pool starts a worker before it gives it anything
    return _perform(_worker, task)


def _perform(worker: Worker, task: Task) -> Counts:
    stage, number, limit, given = task
    if stage == "scan":
        return worker.scan(number, limit)
    if stage == "screen":
        return worker.screen(number, limit, given)
    if stage == "match":
        return worker.match(number)
    if stage == "pick":
        return worker.pick(number, given)
    if stage == "fetch":
        return worker.fetch(number)
    return worker.join(int(stage.removeprefix("join-")), number)
