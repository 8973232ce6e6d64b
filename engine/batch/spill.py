"""What does not fit in memory: rows in a file, by compartment, written once and read by compartment.

A spill file has segments, each a msgpack list of rows of one compartment. They are written in rounds; a round ends with
a table of (start, length) by compartment, the file with the starts of the tables and their number, all as 64-bit
integers. So what a compartment has in a file is found in a few short reads. A file is written under another name and
gets its own when it is whole: a file that is there is complete.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from io import FileIO
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec

PATIENT, SHARED, WANTED, PARKED, IDENTIFIERS, TWICE, GONE, WAITING, MET, PICKED = KINDS = (
    "patient", "shared", "wanted", "parked", "identifiers", "twice", "gone", "waiting", "met", "picked",
)  # fmt: skip
_MOST = 24 * 2**20                         # bytes that are held before they are written
_encode = msgspec.msgpack.Encoder().encode


class Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A resource, as its bytes, or only its version where it means nothing but may supersede another one (`raw` empty).

    `file` and `seq` give its place in the input (and the order of rows), `suffix` the rest of the place in words.
    """

    patient: str                           # of which patient; "" = shared by the patients of a partition
    file: int
    seq: int
    suffix: str
    raw: bytes
    key: str = ""                          # "Type/id"
    version: str = ""
    updated: str = ""
    rare: bool = True                      # may concern a rule

    @property
    def order(self) -> tuple[int, int, str]:
        return self.file, self.seq, self.suffix


class Want(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A partition of patients has a reference to a resource."""

    key: str
    partition: int


class Named(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An identifier (`system|value`) and the patient whose it is."""

    identifier: str
    patient: str


class Stretch(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Lines of one patient that wait, from byte `start` of the content of a file up to `end`; the first is `line`."""

    patient: str
    file: int
    start: int
    end: int
    line: int


class Patient(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A patient of whom something waits. `given`: the Patient resource does."""

    patient: str
    given: bool = False


AnyRow = Row | Want | Named | Stretch | Patient
_T = TypeVar("_T", Row, Want, Named, Stretch, Patient)
_SLOTS = {kind: number for number, kind in enumerate(KINDS)}


class Spill:
    """The writing side. Use as a context manager: left without an error, the file is there, if there is any row.

    A compartment is a kind and a number below `width`.
    """

    def __init__(self, path: Path, width: int) -> None:
        self._path = path
        self._unfinished = unfinished(path)
        self._width = width
        self._held: dict[int, list[AnyRow]] = {}
        self._size = 0
        self._tables: list[int] = []
        self._stream: BinaryIO | None = None

    def __enter__(self) -> Spill:
        return self

    def put(self, kind: str, number: int, row: AnyRow) -> None:
        """One row."""
        slot = _SLOTS[kind] * self._width + number
        held = self._held.get(slot)
        if held is None:
            held = self._held[slot] = []
        held.append(row)
        self._size += len(row.raw) + 100 if isinstance(row, Row) else 100
        if self._size > _MOST:
            self._flush()

    def put_all(self, kind: str, number: int, many: Sequence[AnyRow]) -> None:
        """Many small rows."""
        self._held.setdefault(_SLOTS[kind] * self._width + number, []).extend(many)
        self._size += 100 * len(many)
        if self._size > _MOST:
            self._flush()

    def _flush(self) -> None:
        if self._stream is None:
            self._stream = self._unfinished.open("wb")
        table = array("Q", bytes(16 * self._width * len(KINDS)))
        for slot, rows in sorted(self._held.items()):
            data = _encode(rows)
            table[2 * slot], table[2 * slot + 1] = self._stream.tell(), len(data)
            self._stream.write(data)
        self._tables.append(self._stream.tell())
        self._stream.write(table.tobytes())
        self._held.clear()
        self._size = 0

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if kind is None and self._held:
                self._flush()
            if kind is None and self._stream:
                self._stream.write(array("Q", [*self._tables, len(self._tables)]).tobytes())
                sync(self._stream.fileno(), self._stream.flush)
        finally:
            if self._stream:
                self._stream.close()
        if kind is None and self._stream:
            self._unfinished.replace(self._path)


def unfinished(path: Path) -> Path:
    """The name of a file that is being written: no other process, not even one of a killed run, writes to it."""
    return path.with_name(f"{path.name}.{os.getpid()}.tmp")


def sync(descriptor: int, flush: object) -> None:
    """What was written is on the disk before the file gets its name."""
    if callable(flush):
        flush()
    os.fsync(descriptor)


def rows(paths: Iterable[Path], width: int, kind: str, number: int, of: type[_T]) -> Iterator[_T]:
    """All rows of a compartment, in the order of the files. Only its own segments are read."""
    decode = msgspec.msgpack.Decoder(list[of]).decode  # type: ignore[valid-type]
    slot = _SLOTS[kind] * width + number
    for path in paths:
        with path.open("rb", buffering=0) as stream:
            for table in _tables(stream):
                start, length = _numbers(stream, table + 16 * slot, 2)
                if length:
                    stream.seek(start)
                    yield from decode(stream.read(length))


def _tables(stream: FileIO) -> Iterable[int]:
    end = stream.seek(-8, os.SEEK_END)
    (count,) = _numbers(stream, end, 1)
    return _numbers(stream, end - 8 * count, count)


def _numbers(stream: FileIO, start: int, count: int) -> Sequence[int]:
    stream.seek(start)
    return array("Q", stream.read(8 * count))
