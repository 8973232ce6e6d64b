"""What executors do: the stages of `engine.batch`, with rows and frames in memory where a run of one machine has files.

What passes between stages is an item: (tag, partition, msgpack); the tag is a kind of row, or that of a frame. A task
is a function of what it is given alone, so that Spark may run it again.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

import msgspec

from engine.batch.names import Names
from engine.batch.output import Output
from engine.batch.pieces import Block
from engine.batch.reader import Reader
from engine.batch.results import Frame, ResultWriter, encode_frame
from engine.batch.setup import Setup
from engine.batch.spill import MET, WAITING, AnyRow, Named, Patient, Row, Spill, Stretch, Want
from engine.batch.work import Worker
from engine.errors import RunError
from engine.evaluation import Evaluator
from engine.inference.backends import make_backend
from engine.model.problem import Problem
from engine.rules.ruleset import Ruleset
from engine.spark.reading import Held

if TYPE_CHECKING:
    from pyspark import Broadcast

Item = tuple[str, int, bytes]
Keyed = tuple[int, tuple[str, bytes]]      # an item between shuffles: by partition
_T = TypeVar("_T", Row, Want, Named, Stretch, Patient)
_AT_ONCE = 10_000                          # items that a task holds before it hands them on
_encode = msgspec.msgpack.Encoder().encode


class Shipped(msgspec.Struct, frozen=True):
    """What every executor is given once: the setup, the compiled rules, and the code that they are for."""

    setup: Setup
    ruleset: Ruleset
    code: str


class Job:
    """A run, as a task knows it. `key`: of which run a Python worker has read the rules."""

    def __init__(self, key: str, shipped: Broadcast[bytes]) -> None:
        self.key = key
        self._shipped = shipped

    def executor(self) -> Executor:
        """The executor of this Python worker, which reads the rules once. Raises RunError: of another version."""
        held = _executors.get(self.key)
        if held is None:
            _executors.clear()
            held = _executors[self.key] = Executor(received(self._shipped.value))
        return held


_executors: dict[str, Executor] = {}


def ship(setup: Setup, ruleset: Ruleset) -> bytes:
    """The bytes of a broadcast."""
    return _encode(Shipped(setup, ruleset, code()))


def received(shipped: bytes) -> Shipped:
    """What was shipped. Raises RunError: this program is not the one that shipped it, or the rules are not those."""
    if msgspec.msgpack.decode(shipped, type=_Code).code != code():
        raise RunError("an executor has another version of Endplate than the driver: install the same everywhere")
    collecting = gc.isenabled()
    gc.disable()                           # as for the compiled form on disk
    try:
        found = msgspec.msgpack.decode(shipped, type=Shipped)
    finally:
        if collecting:
            gc.enable()
    if found.ruleset.hash != found.setup.content:
        raise RunError("an executor has other rules than the driver")
    return found


def code() -> str:
    """Which text this program has, wherever it is installed."""
    engine = Path(__file__).resolve().parent.parent
    digest = sha256()
    for path in sorted(engine.rglob("*.py")):
        digest.update(f"{path.relative_to(engine).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()


class _Code(msgspec.Struct, frozen=True):
    code: str


class Executor(Worker):
    """A worker whose rows and results stay in memory for the time of a task."""

    def __init__(self, shipped: Shipped) -> None:
        setup, ruleset = shipped.setup, shipped.ruleset
        backend = make_backend(setup.backend, ruleset.program)  # type: ignore[arg-type]
        super().__init__(Path(), setup, Evaluator(ruleset, backend))
        self.index = {source.path: number for number, source in enumerate(setup.sources)}
        self.given: Mapping[str, Sequence[bytes]] = {}
        self.results, self.spilt = _Results(), _Spilt()

    def reader(self) -> Reader:
        """Reads what a task is given."""
        return Reader(self.tools, Output(self.tools, self._results(""), 0), self._spill(""))

    def drained(self) -> Iterator[Item]:
        """What came of it so far. Waiting lines are found again by reading again, not by their places."""
        yield from self.results.drained()
        yield from (item for item in self.spilt.drained() if item[0] != WAITING)

    def _rows(self, stages: str | tuple[str, ...], kind: str, number: int, of: type[_T]) -> Iterator[_T]:
        decode = msgspec.msgpack.Decoder(of).decode
        return (decode(raw) for raw in self.given.get(kind, ()))

    def _results(self, name: str) -> ResultWriter:
        self.results = _Results()
        return self.results

    def _spill(self, name: str) -> Spill:
        self.spilt = _Spilt()
        return self.spilt


class _Results(ResultWriter):
    def __init__(self) -> None:
        super().__init__(Path("memory"))
        self.items: list[Item] = []

    def __enter__(self) -> Self:
        return self

    def _keep(self, frame: Frame) -> None:
        self.items.append((str(frame.__struct_config__.tag), 0, encode_frame(frame)))

    def drained(self) -> list[Item]:
        held, self.items = self.items, []
        return held

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self.put(self.counts)


class _Spilt(Spill):
    def __init__(self) -> None:
        super().__init__(Path("memory"), 0)
        self.rows: list[tuple[str, int, AnyRow]] = []

    def __enter__(self) -> Self:
        return self

    def put(self, kind: str, number: int, row: AnyRow) -> None:
        self.rows.append((kind, number, row))

    def put_all(self, kind: str, number: int, many: Sequence[AnyRow]) -> None:
        self.rows += [(kind, number, row) for row in many]

    def drained(self) -> Iterator[Item]:
        held, self.rows = self.rows, []
        return ((kind, number, _encode(row)) for kind, number, row in held)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        pass


# -- what reads


def scan(job: Job, reading: Held, held: Iterable[object]) -> Iterator[Item]:
    """The first reading: everything but what may wait."""
    executor = job.executor()
    reader = executor.reader()
    with executor.results:
        for file, found in reading(executor.setup.sources, executor.index, held):
            if isinstance(found, Block | Problem):
                reader.blocks(file, (found,))
            else:
                reader.documents(file, (found,))
            if len(executor.spilt.rows) + len(executor.results.items) > _AT_ONCE:
                yield from executor.drained()
        reader.end()
    yield from executor.drained()


def fetch(job: Job, reading: Held, picked: Broadcast[Names], held: Iterable[object]) -> Iterator[Item]:
    """The second reading: of what waited the lines that are needed."""
    executor = job.executor()
    reader = executor.reader()
    spilt = executor.spilt
    with executor.results:
        for file, block in reading(executor.setup.sources, executor.index, held):
            if not isinstance(block, Block) or not reader.may_wait(file, block):
                continue
            for _ in reader.waiting.add(file, block):
                pass                       # what could not wait was seen by the first reading
            waited = [row for _, _, row in spilt.rows if isinstance(row, Stretch) and row.patient in picked.value]
            spilt.rows.clear()
            for stretch in waited:
                for number, line in _lines(block, stretch):
                    reader.router.line(line, file, number, f": line {number}")
            yield from executor.drained()
        reader.count()
    yield from executor.drained()


def _lines(block: Block, stretch: Stretch) -> Iterator[tuple[int, bytes]]:
    left = stretch.end - stretch.start
    for number, line in enumerate(block.lines[stretch.line - block.number :], stretch.line):
        left -= len(line)
        if left < 0:
            return
        yield number, line


# -- what follows a shuffle: a partition, all of whose rows are given


def match(job: Job, number: int, held: Iterable[Keyed]) -> Iterator[Item]:
    """Resources that name their patient by an identifier."""
    executor = _given(job, held)
    if executor.given:
        executor.match(number)
        yield from executor.drained()


def pick(job: Job, given: bool, number: int, held: Iterable[Keyed]) -> Iterator[Item]:
    """Whose waiting lines are needed. `given`: Patient resources stand among the single resources."""
    executor = _given(job, held)
    if MET in executor.given:
        executor.pick(number, given)
        yield from executor.drained()


def join(job: Job, step: int, number: int, held: Iterable[Keyed]) -> Iterator[Item]:
    """What patients share."""
    executor = _given(job, held)
    if executor.given:
        executor.join(step, number)
        yield from executor.drained()


def screen(
    job: Job, given: bool, gone: Broadcast[list[bytes]], number: int, held: Iterable[Keyed]
) -> Iterator[Item]:
    """Evaluates the patients of a partition."""
    executor = _given(job, held)
    if executor.given:
        executor.given = {**executor.given, "gone": gone.value}
        executor.screen(number, 0, given)
        yield from executor.drained()


def _given(job: Job, held: Iterable[Keyed]) -> Executor:
    executor = job.executor()
    given: dict[str, list[bytes]] = {}
    for _, (kind, raw) in held:
        given.setdefault(kind, []).append(raw)
    executor.given = given
    executor.spilt = _Spilt()              # not every stage has rows to give: none of another task are left
    return executor
