"""What does not fit in memory: rows in a file, by compartment, written once and read by compartment.

A spill file has segments (a msgpack list of rows of one compartment) and at its end an index of them. It is written
under another name and gets its own when it is whole, so a file that is there is complete.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

_TAIL = struct.Struct(">QI")
_MOST = 24 * 2**20                         # bytes that are held before they are written
_Index = dict[str, list[tuple[int, int]]]
_encode = msgspec.msgpack.Encoder().encode


class Row(msgspec.Struct, frozen=True, array_like=True):
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

    @property
    def order(self) -> tuple[int, int, str]:
        return self.file, self.seq, self.suffix


class Want(msgspec.Struct, frozen=True, array_like=True):
    """A partition of patients has a reference to a resource."""

    key: str
    partition: int


class Named(msgspec.Struct, frozen=True, array_like=True):
    """An identifier (`system|value`) and the patient whose it is."""

    identifier: str
    patient: str


_T = TypeVar("_T", Row, Want, Named)


class Spill:
    """The writing side. Use as a context manager: left without an error, the file is there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unfinished = unfinished(path)
        self._held: dict[str, list[Row | Want | Named]] = {}
        self._size = 0
        self._index: _Index = {}

    def __enter__(self) -> Spill:
        self._stream = self._unfinished.open("wb")
        return self

    def put(self, compartment: str, row: Row | Want | Named) -> None:
        """One row."""
        held = self._held.get(compartment)
        if held is None:
            held = self._held[compartment] = []
        held.append(row)
        self._size += len(row.raw) + 100 if isinstance(row, Row) else 100
        if self._size > _MOST:
            self._flush()

    def _flush(self) -> None:
        for compartment, rows in sorted(self._held.items()):
            data = _encode(rows)
            self._index.setdefault(compartment, []).append((self._stream.tell(), len(data)))
            self._stream.write(data)
        self._held.clear()
        self._size = 0

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if kind is None:
                self._flush()
                index = _encode(self._index)
                self._stream.write(index + _TAIL.pack(self._stream.tell(), len(index)))
                sync(self._stream.fileno(), self._stream.flush)
        finally:
            self._stream.close()
        if kind is None:
            self._unfinished.replace(self._path)


def unfinished(path: Path) -> Path:
    """The name of a file that is being written: no other process, not even one of a killed run, writes to it."""
    return path.with_name(f"{path.name}.{os.getpid()}.tmp")


def sync(descriptor: int, flush: object) -> None:
    """What was written is on the disk before the file gets its name."""
    if callable(flush):
        flush()
    os.fsync(descriptor)


class Spilled:
    """The reading side: all spill files of a stage, their indices held once."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._indices = [(path, _index(path)) for path in paths]

    def rows(self, compartment: str, kind: type[_T]) -> Iterator[_T]:
        """All rows of a compartment, in the order of the files."""
        decoder = msgspec.msgpack.Decoder(list[kind])  # type: ignore[valid-type]
        for path, index in self._indices:
            if compartment in index:
                with path.open("rb") as stream:
                    for start, length in index[compartment]:
                        stream.seek(start)
                        yield from decoder.decode(stream.read(length))


def _index(path: Path) -> _Index:
    with path.open("rb") as stream:
        stream.seek(-_TAIL.size, os.SEEK_END)
        start, length = _TAIL.unpack(stream.read())
        stream.seek(start)
        return msgspec.msgpack.decode(stream.read(length), type=_Index)
