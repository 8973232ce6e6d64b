"""A batch on Spark: the stages of `engine.batch` as steps of one job, joined by shuffles instead of files.

    scan ─┬─ match ─┬─ pick ── fetch ─┬─ join, join ... ── screen
          └─────────┴─────────────────┘
          all of them give frames, which go to the output

Everything between two stages is kept on the disks of the executors, so that nothing is computed twice; what is lost
with an executor is computed again from the input.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from engine.batch.names import Names
from engine.batch.packing import BROKEN, PACKED, says_packed
from engine.batch.plan import is_ndjson
from engine.batch.results import Counts, Odd, encode_frame, tally
from engine.batch.run import MOST_STEPS
from engine.batch.setup import Setup
from engine.batch.sources import Source
from engine.batch.spill import GONE, IDENTIFIERS, MET, PARKED, PATIENT, PICKED, SHARED, TWICE, WANTED, Patient
from engine.errors import InputError
from engine.rules.ruleset import Ruleset
from engine.spark import tasks
from engine.spark.files import SparkFiles
from engine.spark.reading import Before, lines, whole

if TYPE_CHECKING:
    from pyspark import RDD
    from pyspark.sql import DataFrame, SparkSession

WHOLE = 32 * 2**20                         # bytes of a plain file that an executor reads as one
LARGEST_PACKED = 512 * 2**20               # of a packed one, which cannot be cut
STRETCH = 128 * 2**20                      # bytes that a task reads: of a large file, or of files read whole
_PARTS_OF_A_TASK = 16
_COPIES = 3                                # of a whole file that Java holds while it is read
_READERS = 16                              # beginnings of files that are looked at side by side
_FRAMES = ("found", "silent", "odd", "unknown")
_GLOB = re.compile(r"([\\{}\[\]*?])")
Say = Callable[[str], None]


class Outcome(msgspec.Struct, frozen=True):
    """What a run counted, and its frames (RDD[Item]), which executors keep until they are released."""

    counts: Counts
    frames: Any
    kept: tuple[Any, ...]

    def release(self) -> None:
        """Nothing more is read from the frames."""
        for one in self.kept:
            one.unpersist()


def run(spark: SparkSession, files: SparkFiles, setup: Setup, ruleset: Ruleset, say: Say) -> Outcome:
    """Everything up to the frames. Raises InputError: files that Spark cannot read here."""
    return _Run(spark, files, setup, ruleset, say).run()


class _Run:
    def __init__(self, spark: SparkSession, files: SparkFiles, setup: Setup, ruleset: Ruleset, say: Say) -> None:
        self._spark = spark
        self._context = spark.sparkContext
        self._files = files
        self._setup = setup
        self._say = say
        self._job = tasks.Job(uuid.uuid4().hex, self._context.broadcast(tasks.ship(setup, ruleset)))
        self._stages: list[RDD[tasks.Item]] = []
        self.counts = Counts()

    def run(self) -> Outcome:
        """All stages."""
        given, count = self._setup.sources, self.counts
        count.bytes = sum(source.size for source in given)
        readings = list(self._readings())
        scanned = self._stage("scan", [
            data.mapPartitions(partial(tasks.scan, self._job, reading)) for reading, data in readings
        ])  # fmt: skip
        begun = [scanned]
        if count.parked:
            begun.append(self._shuffled("match", tasks.match, _of(scanned, PARKED, IDENTIFIERS)))
        gone = self._context.broadcast(_of(scanned, GONE).map(_data).collect())
        there = bool(count.given)
        fetched: list[RDD[tasks.Item]] = []
        if count.waiting:
            picking = partial(_switched, tasks.pick, there)
            picked = self._shuffled("pick", picking, _of(self._together(begun), PATIENT, MET))
            if count.picked:
                names = self._context.broadcast(Names(_names(_of(picked, PICKED))))
                fetched = [self._stage("fetch", [
                    data.mapPartitions(partial(tasks.fetch, self._job, reading, names)) for reading, data in readings
                ])]  # fmt: skip
        rows = [*begun, *fetched]
        held, step, wants = _of(self._together(rows), WANTED, SHARED), 1, count.wants
        while wants and step <= MOST_STEPS:
            before = count.wants
            joined = self._shuffled(f"join {step}", partial(_switched, tasks.join, step), held)
            rows.append(joined)
            held = self._context.union([_of(scanned, SHARED), _of(joined, WANTED)])
            wants, step = count.wants - before, step + 1
        held = _of(self._together(rows), PATIENT, MET, TWICE)
        self._shuffled("screen", partial(_screened, there, gone), held)
        frames = _of(self._together([*self._told(), *self._stages]), *_FRAMES)
        return Outcome(count, frames, tuple(self._stages))

    # ------------------------------------------------------------ stages

    def _stage(self, name: str, parts: Sequence[RDD[tasks.Item]]) -> RDD[tasks.Item]:
        """Runs a stage, keeps what it gives, and counts."""
        from pyspark import StorageLevel  # noqa: PLC0415 - an extra

        made = self._context.union(list(parts)) if parts else self._context.emptyRDD()
        made.persist(StorageLevel.DISK_ONLY)
        for counts in _of(made, "counts").map(_data).mapPartitions(_added).collect():
            self.counts.add(msgspec.msgpack.decode(counts, type=Counts))
        self._stages.append(made)
        counted = self.counts
        self._say(f"{name}: {counted.patients} patients, {sum(counted.findings.values())} findings so far")
        return made

    def _together(self, some: Sequence[RDD[tasks.Item]]) -> RDD[tasks.Item]:
        """All items of stages, in not many more tasks than run side by side: each costs its start."""
        union = self._context.union(list(some))
        held = union.getNumPartitions()
        return union.coalesce(min(held, max(self._context.defaultParallelism, held // _PARTS_OF_A_TASK)))

    def _shuffled(
        self, name: str, task: Callable[..., Iterator[tasks.Item]], held: RDD[tasks.Item]
    ) -> RDD[tasks.Item]:
        """A stage over partitions of its rows."""
        apart = held.map(_keyed).partitionBy(self._setup.partitions, int)
        return self._stage(name, [apart.mapPartitionsWithIndex(partial(task, self._job))])

    # ------------------------------------------------------------ what is read

    def _told(self) -> Iterator[RDD[tasks.Item]]:
        """What the listing found odd."""
        told = [Odd(found, found.where) for found in self._setup.problems]
        for one in told:
            tally(self.counts.problems, one.problem.code)
        if told:
            yield self._context.parallelize([("odd", 0, encode_frame(one)) for one in told], 1).map(_as_it_is)

    def _readings(self) -> Iterator[tuple[Any, RDD[Any]]]:
        """(how they are read, data) of the files that are read whole and of those that are read by line."""
        small, large = self._sorted()
        self._check(small)
        if small:
            paths = ",".join(_escaped(source.path) for source in small)
            pieces = max(self._context.defaultParallelism, sum(source.size for source in small) // STRETCH)
            yield whole, self._context.binaryFiles(paths, min(pieces, len(small)))
        if large:
            total = sum(source.size for source in large)
            self._spark.conf.set("spark.sql.files.maxPartitionBytes", str(STRETCH))
            parts = str(max(total // STRETCH, 1))              # not what a cluster has at the moment
            self._spark.conf.set("spark.sql.files.minPartitionNum", parts)
            text = self._lines(large)
            yield lines(self._context.broadcast(_before(text))), text.rdd

    def _lines(self, large: Iterable[Source]) -> DataFrame:
        reader = self._spark.read.option("lineSep", "\n").option("recursiveFileLookup", "true")
        return reader.text([_escaped(source.path) for source in large]).selectExpr(
            "cast(value as binary) value", "_metadata.file_path url", "_metadata.file_block_start start"
        )

    def _sorted(self) -> tuple[list[Source], list[Source]]:
        """Files to be read whole, and plain NDJSON that is large."""
        small: list[Source] = []
        asked: list[Source] = []
        for source in self._setup.sources:
            is_small = source.size <= WHOLE or source.deleted or source.path.endswith(PACKED)
            (small if is_small else asked).append(source)
        with ThreadPoolExecutor(_READERS) as pool:
            cut = list(pool.map(self._can_be_cut, asked))
        return (
            sorted([*small, *(source for source, can in zip(asked, cut, strict=True) if not can)]),
            [source for source, can in zip(asked, cut, strict=True) if can],
        )

    def _can_be_cut(self, source: Source) -> bool:
        with self._files.open(source.path) as stream:
            if says_packed(stream.peek(4)[:4]):
                return False
            try:
                return is_ndjson(stream)
            except BROKEN:
                return False

    def _check(self, small: Iterable[Source]) -> None:
        """Raises InputError for files that Spark cannot read whole."""
        largest = max(small, key=lambda source: source.size, default=None)
        for source in small:
            if "," in source.path:
                raise InputError(f"`{source.name}`: Spark cannot read a file with a comma in its path whole: rename it")
        if largest is None or largest.size <= WHOLE:
            return
        if largest.size > LARGEST_PACKED:
            raise InputError(
                f"`{largest.name}` cannot be cut and has more than {LARGEST_PACKED // 2**20} MiB: split or unpack it"
            )
        needed = _COPIES * largest.size * self._at_once()
        if needed > self._memory():
            name = "spark.driver.memory" if self._is_local() else "spark.executor.memory"
            raise InputError(
                f"`{largest.name}` cannot be cut; to read it as one takes {needed // 2**20} MiB of Java's memory: "
                f"split it, or give `--spark-conf {name}={needed // 2**30 + 2}g`"
            )

    def _is_local(self) -> bool:
        return str(self._context.master).startswith("local")

    def _at_once(self) -> int:
        """Tasks that share the memory of one executor."""
        if self._is_local():
            return self._context.defaultParallelism
        settings: Any = self._context.getConf()
        return max(int(settings.get("spark.executor.cores", "1")) // int(settings.get("spark.task.cpus", "1")), 1)

    def _memory(self) -> int:
        java: Any = self._context._jvm
        if self._is_local():
            return int(java.java.lang.Runtime.getRuntime().maxMemory())
        return int(java.org.apache.spark.network.util.JavaUtils.byteStringAsBytes(
            self._context.getConf().get("spark.executor.memory", "1g")))  # fmt: skip


def _before(text: DataFrame) -> Before:
    """How many lines stand before each stretch, of files that are cut."""
    found: Before = {}
    seen: dict[str, int] = {}
    for url, start, count in sorted(tuple(row) for row in text.groupBy("url", "start").count().collect()):
        found[url, start] = seen.get(url, 0)
        seen[url] = found[url, start] + count
    return found


def _escaped(path: str) -> str:
    """A path that Hadoop would take for a pattern, as one that it does not."""
    return _GLOB.sub(r"\\\1", path)


def _of(items: RDD[tasks.Item], *tags: str) -> RDD[tasks.Item]:
    return items.filter(partial(_is_of, frozenset(tags)))


def _is_of(tags: frozenset[str], item: tasks.Item) -> bool:
    return item[0] in tags


def _as_it_is(item: tasks.Item) -> tasks.Item:
    return item                            # in the form in which stages keep items


def _data(item: tasks.Item) -> bytes:
    return item[2]


def _keyed(item: tasks.Item) -> tasks.Keyed:
    return item[1], (item[0], item[2])


def _added(counts: Iterable[bytes]) -> Iterator[bytes]:
    total = Counts()
    for one in counts:
        total.add(msgspec.msgpack.decode(one, type=Counts))
    yield msgspec.msgpack.encode(total)


def _names(picked: RDD[tasks.Item]) -> Iterator[str]:
    for raw in picked.map(_data).coalesce(64).toLocalIterator():
        yield msgspec.msgpack.decode(raw, type=Patient).patient


def _switched(task: Callable[..., Any], option: object, job: tasks.Job, number: int, held: Iterable[Any]) -> Any:
    return task(job, option, number, held)


def _screened(given: bool, gone: Any, job: tasks.Job, number: int, held: Iterable[Any]) -> Any:
    return tasks.screen(job, given, gone, number, held)
