"""The pieces of a source: its documents, or the lines between two places of a file."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
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


def blocks_of(source: Source, piece: Piece) -> Iterator[Block | Problem]:
    """The lines of a piece, some at a time; what cannot be read is a problem in its place."""
    try:
        stream = open_plain(source.path)
    except BROKEN as error:
        yield _unreadable(source.name, error)
        return
    with stream:
        yield from blocks_in(stream, source.name, piece)


def blocks_in(stream: BinaryIO, name: str, piece: Piece) -> Iterator[Block | Problem]:
    """The same of a file that is open, at its beginning."""
    if piece.start:
        stream.seek(piece.start)
    number, start, position = piece.line + 1, piece.start, piece.start
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
    """The lines of a piece that are not blank, with their numbers; what cannot be read is a problem in its place."""
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
