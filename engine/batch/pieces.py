"""The pieces of a source: its documents, or the lines between two places of a file."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from engine.batch.packing import BROKEN, is_packed, open_plain
from engine.batch.plan import Piece
from engine.batch.sources import Source
from engine.batch.spill import Stretch
from engine.fhir.decode import LARGEST, Document, read_documents
from engine.fhir.problems import problem
from engine.model.problem import Problem

_BLOCK = 64 * 1024                         # bytes of lines that are looked at together: they stay in the cache
_CHUNK = 1024 * 1024
BOM = b"\xef\xbb\xbf"


class Block(msgspec.Struct, frozen=True, gc=False):
    """Whole lines with their ends, from byte `start` of the content of a file; the first is line `number`."""

    start: int
    number: int
    lines: list[bytes]

    def line(self, index: int) -> Block:
        """One of its lines; where that begins is not said."""
        return Block(-1, self.number + index, self.lines[index : index + 1])


def documents_of(source: Source) -> Iterator[tuple[int, Document] | Problem]:
    """The documents of a file with their numbers."""
    try:
        stream = open_plain(source.path)
    except BROKEN as error:
        yield _unreadable(source.name, error)
        return
    with stream:
        yield from documents_in(stream, source.name)


def documents_in(stream: BinaryIO, name: str) -> Iterator[tuple[int, Document] | Problem]:
    """The same of a file that is open."""
    for number, found in enumerate(read_documents(stream, name), 1):
        yield found if isinstance(found, Problem) else (number, found)


class Numbers:
    """How many lines stand before a piece of a file: known to whoever read what stands before it, else counted."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, int]] = {}       # file -> (how far, lines up to there)

    def blocks_of(self, source: Source, piece: Piece) -> Iterator[Block | Problem]:
        """The lines of a piece, some at a time; what cannot be read is a problem in its place."""
        last = None
        for found in blocks_of(source, piece, self._before(source.path, piece.start)):
            if isinstance(found, Block):
                last = found
            yield found
        if last is not None and 0 <= piece.end < source.size:
            self._known[source.path] = last.start + sum(map(len, last.lines)), last.number - 1 + len(last.lines)

    def _before(self, path: str, start: int) -> int:
        begun, lines = self._known.pop(path, (0, 0))
        if begun > start:
            begun, lines = 0, 0
        with suppress(OSError):                    # what is wrong with the file is said where it is read
            lines += _count(path, begun, start) if begun < start else 0
        return lines


def _count(path: str, start: int, end: int) -> int:
    count, block = 0, bytearray(_BLOCK)            # one block that stays in the cache of the processor
    with Path(path).open("rb", buffering=0) as stream:
        stream.seek(start)
        while start < end and (size := stream.readinto(memoryview(block)[: end - start])):
            start += size
            found = 0
            while found := block.find(b"\n", found, size) + 1:     # for lines as long as ours faster than to count
                count += 1
    return count


def blocks_of(source: Source, piece: Piece, before: int = 0) -> Iterator[Block | Problem]:
    """The lines of a piece, some at a time; what cannot be read is a problem in its place. `before`: lines that stand
    before the piece."""
    try:
        stream = open_plain(source.path)
    except BROKEN as error:
        yield _unreadable(source.name, error)
        return
    with stream:
        yield from blocks_in(stream, source.name, piece, before)


def blocks_in(stream: BinaryIO, name: str, piece: Piece, before: int = 0) -> Iterator[Block | Problem]:
    """The same of a file that is open, at its beginning."""
    if piece.start:
        stream.seek(piece.start)
    number, start, position = before + 1, piece.start, piece.start
    begun, length = list[bytes](), 0           # the beginning of a line of which more is to come
    size = min(_BLOCK, LARGEST)
    while True:
        try:
            data = cast(io.BufferedReader, stream).read1(size if piece.end < 0 else min(size, piece.end - position))
        except BROKEN:
            message = "broke off: the file is cut short or damaged; what came before was read"
            yield problem("not-readable", name, message)
            return
        position += len(data)
        lines = io.BytesIO(data).readlines()
        last = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        if begun and (lines or not data):          # the line that was begun ends
            begun += lines[:1]
            length += len(begun[-1]) if lines else 0
            lines[:1] = [b"".join(begun)]
            if length > LARGEST:
                message = f"is larger than {LARGEST // 2**20} MiB and was skipped: split it"
                yield problem("too-large", f"{name}: line {number}", message)
                number, start = number + 1, start + length
                del lines[0]
            begun, length = [], 0
        if lines:
            yield Block(start, number, lines)
            number += len(lines)
            start = position - len(last)
        if not data:
            return
        if last:
            length += len(last)
            if length <= LARGEST:
                begun.append(last)


def lines_of(source: Source, piece: Piece) -> Iterator[tuple[int, bytes] | Problem]:
    """The lines of a piece that are not blank, with their numbers within the piece."""
    for found in blocks_of(source, piece):
        if isinstance(found, Problem):
            yield found
        else:
            yield from numbered(found)


def numbered(block: Block) -> Iterator[tuple[int, bytes]]:
    """The lines of a block that are not blank, with their numbers."""
    for number, line in enumerate(block.lines, block.number):
        if not line.isspace():
            yield number, line.removeprefix(BOM) if number == 1 else line


def stretches_of(source: Source, stretches: Iterable[Stretch]) -> Iterator[tuple[int, bytes]]:
    """The lines of stretches of a file, in its order, with their numbers. They were read before: what breaks raises."""
    packed = is_packed(source.path)
    with open_plain(source.path) as stream:
        position = 0
        for stretch in stretches:
            if not packed:
                stream.seek(stretch.start)
            while packed and position < stretch.start:
                position += len(stream.read(min(_CHUNK, stretch.start - position)))
            data = stream.read(stretch.end - stretch.start)
            position += len(data)
            yield from enumerate(io.BytesIO(data), stretch.line)


def _unreadable(name: str, error: BaseException) -> Problem:
    said = getattr(error, "strerror", None) or "its packing is damaged"
    return problem("not-readable", name, f"cannot be read: {said}")
