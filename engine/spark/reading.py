"""How the content of files comes to executors: small and packed files whole, large ones line by line, cut by Spark."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

from engine.batch.packing import BROKEN, unpacked
from engine.batch.pieces import Block, blocks_in, documents_in
from engine.batch.plan import SNIFFED, Piece, is_ndjson
from engine.batch.sources import Source
from engine.fhir.decode import LARGEST, Document
from engine.fhir.problems import problem
from engine.model.problem import Problem

if TYPE_CHECKING:
    from pyspark import Broadcast

Found = Block | Problem | tuple[int, Document]
Held = Callable[[Sequence[Source], Mapping[str, int], Iterable[Any]], Iterator[tuple[int, Found]]]
Before = dict[tuple[str, int], int]        # (URL of a file, first byte of a stretch) -> lines before it
_BLOCK = 64 * 1024


def whole(sources: Sequence[Source], index: Mapping[str, int], held: Iterable[tuple[str, bytes]]) -> Iterator[
    tuple[int, Found]
]:
    """(path, content) of files; decided as where files are read from a disk whether they are lines."""
    for path, content in held:
        file = index[path]
        for found in _content(sources[file], content):
            yield file, found


def lines(before: Broadcast[Before]) -> Held:
    """(line, URL of its file, first byte of its stretch), in order within a stretch."""
    return partial(_stretches, before)


def _stretches(
    before: Broadcast[Before], sources: Sequence[Source], index: Mapping[str, int], held: Iterable[Any]
) -> Iterator[tuple[int, Found]]:
    for (url, start), rows in groupby(held, key=lambda row: (row[1], row[2])):
        file = index[unquote(url)]
        for found in _blocks((bytes(row[0]) for row in rows), sources[file].name, before.value[url, start]):
            yield file, found


def _blocks(held: Iterable[bytes], name: str, before: int) -> Iterator[Found]:
    some: list[bytes] = []
    size, number = 0, before
    for line in held:
        number += 1
        if len(line) > LARGEST or size > _BLOCK:
            if some:
                yield Block(0, number - len(some), some)
            some, size = [], 0
        if len(line) > LARGEST:
            message = f"is larger than {LARGEST // 2**20} MiB and was skipped: split it"
            yield problem("too-large", f"{name}: line {number}", message)
            continue
        some.append(line + b"\n")
        size += len(line)
    if some:
        yield Block(0, number - len(some) + 1, some)


def _content(source: Source, content: bytes) -> Iterator[Found]:
    try:
        is_lines = len(content) > SNIFFED and not source.deleted and is_ndjson(_opened(content))
    except BROKEN:                         # what is wrong with it is said where it is read
        is_lines = False
    try:
        stream = _opened(content)
    except BROKEN:
        yield problem("not-readable", source.name, "cannot be read: its packing is damaged")
        return
    yield from blocks_in(stream, source.name, Piece(0, lines=True)) if is_lines else documents_in(stream, source.name)


def _opened(content: bytes) -> Any:
    return unpacked(io.BufferedReader(cast(io.RawIOBase, io.BytesIO(content))))
