"""How the input is cut into parts that are worked on apart: a function of the files alone, never of the workers.

Small files come together, large uncompressed NDJSON is cut at ends of lines; a packed file is one part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

import msgspec

from engine.batch.packing import BROKEN, GROWTH, PACKED, is_packed, open_plain
from engine.batch.sources import Source
from engine.errors import InputError
from engine.fhir.decode import LARGEST, decode

PART, LARGE_PART = 4 * 2**20, 32 * 2**20  # bytes of a part: small inputs are cut finely, large ones coarsely
FEW_PARTS = 16                            # that an input has before its parts grow
MOST_PARTS = 2_000
PARTITION = 32 * 2**20                     # bytes of input for each partition of the patients
MOST_PARTITIONS = 4096
SNIFFED = 256 * 1024                      # smaller files are read whole: nothing is won by cutting them
_BLOCK = 1024 * 1024


class Piece(msgspec.Struct, frozen=True):
    """A file, or the lines of one from byte `start` up to `end`."""

    source: int                            # index into the listing
    lines: bool = False                    # NDJSON: read line by line
    start: int = 0
    end: int = -1                          # -1 = to the end of the file


Part = tuple[Piece, ...]


def parts(sources: Sequence[Source], size: int = 0) -> Iterator[Part]:
    """The parts of the input in its order, each of about `size` bytes (0 = as fits the input)."""
    total = sum(source.size for source in sources)
    size = size or max(PART, min(total // FEW_PARTS, LARGE_PART), total // MOST_PARTS)
    held: list[Piece] = []
    filled = 0
    for index, source in enumerate(sources):
        for piece, weight in _pieces(index, source, size):
            if held and filled + weight > size:
                yield tuple(held)
                held, filled = [], 0
            held.append(piece)
            filled += weight
    if held:
        yield tuple(held)


def partitions(sources: Sequence[Source], size: int = PARTITION) -> int:
    """Into how many partitions the patients of single resources fall, so that one fits in memory."""
    total = sum(source.size * (GROWTH if source.path.endswith(PACKED) else 1) for source in sources)
    return min(max(-(-total // size), 1), MOST_PARTITIONS)


def _pieces(index: int, source: Source, size: int) -> Iterator[tuple[Piece, int]]:
    try:
        lines = source.size > SNIFFED and not source.deleted and _is_ndjson(source)
        packed = lines and is_packed(source.path)
    except BROKEN:                         # what is wrong with it is said where it is read
        lines = packed = False
    if not lines or packed or source.size <= size:
        yield Piece(index, lines), source.size * (GROWTH if packed else 1)
        return
    start = 0
    with Path(source.path).open("rb") as stream:
        while start < source.size:
            end = _end_of_line(stream, min(start + size, source.size))
            yield Piece(index, True, start, end), end - start
            start = end


def _end_of_line(stream: BufferedReader, position: int) -> int:
    stream.seek(position - 1)
    while block := stream.readline(_BLOCK):
        if block.endswith(b"\n"):
            break
    return stream.tell()


def _is_ndjson(source: Source) -> bool:
    with open_plain(source.path) as stream:
        return is_ndjson(stream)


def is_ndjson(stream: BinaryIO) -> bool:
    """As the reader of documents decides: the first line is a JSON text, or the second one an object."""
    first, second = _filled(stream), _filled(stream)
    if not second:
        return False
    return _decodes(first) or (first.lstrip()[:1] != b"[" and second.lstrip()[:1] == b"{" and _decodes(second))


def _filled(stream: BinaryIO) -> bytes:
    while (line := stream.readline(LARGEST + 1)) and not line.strip():
        pass
    return line


def _decodes(line: bytes) -> bool:
    try:
        decode(line)
    except InputError:
        return False
    return True
