"""What one part of a batch gave: a file of frames, the counts last. It gets its name when it is whole."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from engine.batch.compare import Differs
from engine.batch.drift import Unknown
from engine.batch.spill import sync, unfinished
from engine.batch.tables import TableRow
from engine.model.finding import Evaluation
from engine.model.problem import Problem

MOST_SILENT = 200                          # patients without findings that a part names
_LENGTH = struct.Struct(">I")
_TAIL = struct.Struct(">Q")


class _Screened(msgspec.Struct, frozen=True):
    """A patient. The evaluation, without facts, stays packed: at most of them nobody looks again."""

    patient: str
    packed: bytes

    @property
    def evaluation(self) -> Evaluation:
        """As it was."""
        return unpack(self.packed)


class Silent(_Screened, frozen=True, tag="silent"):
    """A patient without findings."""


class Found(_Screened, frozen=True, tag="found"):
    """A patient with findings, or findings held back: the highest severity ("": all is held back), a row for each
    finding, and the resources to write for them."""

    worst: str = ""
    rows: tuple[TableRow, ...] = ()
    issues: tuple[bytes, ...] = ()


class Odd(msgspec.Struct, frozen=True, tag="odd"):
    """A problem, with its place taken apart."""

    problem: Problem
    file: str
    line: int = 0                          # 0 = the whole file
    patient: str = ""


class Counts(msgspec.Struct, tag="counts"):
    """What is counted in a part; `add` sums parts."""

    patients: int = 0
    relevant: int = 0
    with_findings: int = 0
    disagreements: int = 0
    failed: int = 0                        # patients that could not be evaluated
    documents: int = 0                     # JSON texts that were read
    kept: int = 0                          # single resources that mean something to the rules
    bytes: int = 0
    given: int = 0                         # Patient resources among the single ones
    wants: int = 0
    parked: int = 0
    waiting: int = 0                       # stretches of lines that wait (engine/batch/waiting.py)
    picked: int = 0                        # patients whose waiting lines are needed
    findings: dict[str, int] = {}      # "issue severity"
    held_back: dict[str, int] = {}     # issue
    problems: dict[str, int] = {}      # code
    fired: dict[str, int] = {}         # issue -> records in which it stands
    compared: dict[str, int] = {}      # "issue what" (engine/batch/compare.py) -> records
    differing: int = 0                     # records in which the two versions differ
    not_compared: int = 0                  # records that could not be evaluated by one of them

    def add(self, other: Counts) -> None:
        """Adds what another part counted."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, dict):
                for key, count in getattr(other, name).items():
                    value[key] = value.get(key, 0) + count
            else:
                setattr(self, name, value + getattr(other, name))


pack = msgspec.msgpack.Encoder().encode
unpack = msgspec.msgpack.Decoder(Evaluation).decode
Frame = Found | Silent | Odd | Differs | Unknown | Counts
encode_frame = msgspec.msgpack.Encoder().encode
decode_frame = msgspec.msgpack.Decoder(Frame).decode


class ResultWriter:
    """Use as a context manager: left without an error, the file is there, with its counts at the end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unfinished = unfinished(path)
        self.counts = Counts()
        self._silent = 0

    def __enter__(self) -> ResultWriter:
        self._stream = self._unfinished.open("wb")
        return self

    @property
    def enough_silent(self) -> bool:
        """Whether further patients without findings are not kept."""
        return self._silent >= MOST_SILENT

    def put(self, frame: Frame) -> None:
        """One frame; of the patients without findings only the first few are kept."""
        if isinstance(frame, Silent):
            self._silent += 1
            if self._silent > MOST_SILENT:
                return
        elif isinstance(frame, Odd):
            tally(self.counts.problems, frame.problem.code)
        self._keep(frame)

    def _keep(self, frame: Frame) -> None:
        data = encode_frame(frame)
        self._stream.write(_LENGTH.pack(len(data)) + data)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if kind is None:
                start = self._stream.tell()
                self.put(self.counts)
                self._stream.write(_TAIL.pack(start))
                sync(self._stream.fileno(), self._stream.flush)
        finally:
            self._stream.close()
        if kind is None:
            self._unfinished.replace(self._path)


def frames(path: Path) -> Iterator[Frame]:
    """All frames of a result, one by one; the counts are the last one."""
    with path.open("rb") as stream:
        while True:
            frame = _next(stream)
            yield frame
            if isinstance(frame, Counts):
                return


def counts_of(path: Path) -> Counts:
    """The counts at the end of a result."""
    with path.open("rb") as stream:
        stream.seek(-_TAIL.size, os.SEEK_END)
        stream.seek(*_TAIL.unpack(stream.read()))
        frame = _next(stream)
    if not isinstance(frame, Counts):
        raise TypeError
    return frame


def tally(counts: dict[str, int], key: str) -> None:
    """One more of a kind."""
    counts[key] = counts.get(key, 0) + 1


def _next(stream: BinaryIO) -> Frame:
    frame: Frame = decode_frame(stream.read(*_LENGTH.unpack(stream.read(_LENGTH.size))))
    return frame
