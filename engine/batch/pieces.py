"""The pieces of a source: its documents, or the lines between two places of a file."""

from __future__ import annotations

from collections.abc import Iterator

from engine.batch.packing import BROKEN, open_plain
from engine.batch.plan import Piece
from engine.batch.sources import Source
from engine.fhir.decode import LARGEST, Document, read_documents
from engine.fhir.problems import problem
from engine.model.problem import Problem

_BOM = b"\xef\xbb\xbf"



def documents_of(source: Source) -> Iterator[tuple[int, Document] | Problem]:
    """The documents of a file with their numbers."""
    try:
        stream = open_plain(source.path)
    except BROKEN as error:
        yield _unreadable(source.name, error)
        return
    with stream:
        for number, found in enumerate(read_documents(stream, source.name), 1):
            yield found if isinstance(found, Problem) else (number, found)


def lines_of(source: Source, piece: Piece) -> Iterator[tuple[int, bytes] | Problem]:
    """The lines of a piece with their numbers; what cannot be read is a problem in its place."""
    number, left = piece.line, piece.end - piece.start
    try:
        stream = open_plain(source.path)
    except BROKEN as error:
        yield _unreadable(source.name, error)
        return
    with stream:
        if piece.start:
            stream.seek(piece.start)
        while left > 0 or piece.end < 0:
            try:
                line = stream.readline(LARGEST + 1)
                length = len(line)
                whole = length <= LARGEST or line.endswith(b"\n")
                while not whole and (rest := stream.readline(LARGEST)):
                    length += len(rest)
                    whole = rest.endswith(b"\n")
            except BROKEN:
                message = "broke off: the file is cut short or damaged; what came before was read"
                yield problem("not-readable", source.name, message)
                return
            if not line:
                return
            left -= length
            number += 1
            if len(line) > LARGEST:
                message = f"is larger than {LARGEST // 2**20} MiB and was skipped: split it"
                yield problem("too-large", f"{source.name}: line {number}", message)
            elif line.strip():
                yield number, line.removeprefix(_BOM) if number == 1 else line


def _unreadable(name: str, error: BaseException) -> Problem:
    said = getattr(error, "strerror", None) or "its packing is damaged"
    return problem("not-readable", name, f"cannot be read: {said}")
