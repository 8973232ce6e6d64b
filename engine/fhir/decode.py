"""Bytes to JSON documents: one JSON text or one a line (NDJSON), gzip or not, with or without a byte order mark.

A bad line costs that line. Nothing larger than `LARGEST` is ever held in memory; numbers stay exact decimals. Of a
key that stands twice the last one counts. What strict JSON refuses but can be understood (NaN, control characters in
strings, halves of surrogate pairs) is read; NaN becomes a decimal NaN, which no reading of a number accepts.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from engine.errors import InputError
from engine.fhir.elements import HALF
from engine.fhir.problems import problem
from engine.model.problem import Problem

LARGEST = 64 * 1024 * 1024
_CHUNK = 1024 * 1024
_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_WIDE = (b"\xff\xfe", b"\xfe\xff")
_DEEPEST_REPAIR = 100
_decoder = msgspec.json.Decoder(float_hook=Decimal)


class Document(msgspec.Struct, frozen=True):
    """One decoded JSON text. `where` names it: a file, and the line in NDJSON (`orders.ndjson: line 7`)."""

    content: object
    where: str


def decode(data: bytes) -> object:
    """One JSON text with exact decimals. Raises InputError if it is none, with the reason."""
    data = data.removeprefix(_BOM)
    try:
        return _decoder.decode(data)
    except RecursionError:
        raise InputError("is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError, ArithmeticError, ValueError) as error:
        if data[:2] in _WIDE:
            raise InputError("is encoded as UTF-16: save it as UTF-8") from None
        return _decode_leniently(data, str(error))


def read_documents(source: Path | bytes | BinaryIO, name: str = "") -> Iterator[Document | Problem]:
    """The documents of a file, of bytes or of a stream, one by one; what is none is a Problem in its place.

    `name` stands in places and messages; by default it is the name of the file, or `input`.
    """
    if isinstance(source, bytes):
        yield from _documents(io.BytesIO(source), name or "input")
    elif isinstance(source, Path):
        name = name or str(source)
        try:
            with source.open("rb") as stream:
                yield from _documents(stream, name)
        except OSError as error:
            yield problem("not-readable", name, f"cannot be read: {error.strerror or 'the disk or network failed'}")
    else:
        yield from _documents(source, name or "input")


def as_documents(resources: Iterable[object], name: str = "input") -> Iterator[Document]:
    """Documents of what is decoded already."""
    for number, resource in enumerate(resources, 1):
        yield Document(resource, f"{name}: {number}")


def _documents(stream: BinaryIO, name: str) -> Iterator[Document | Problem]:
    plain = io.BufferedReader(_Plain(stream), _CHUNK)
    try:
        packed = plain.peek(2)[:2] == _GZIP
        yield from _texts(_Lines(gzip.GzipFile(fileobj=plain) if packed else plain), name)
    except (OSError, EOFError, zlib.error):
        yield problem("not-readable", name, "broke off: the file is cut short or damaged; what came before was read")


def _texts(lines: _Lines, name: str) -> Iterator[Document | Problem]:
    """A first line that is a whole JSON text, or a second one that is an object, makes NDJSON; else it is one text."""
    first = lines.next_filled()
    if first is None:
        return
    if first == _TOO_LONG:
        yield _too_large(lines.where(name))
        yield from _ndjson(lines, name)
        return
    begun = lines.where(name)
    second = lines.next_filled()
    if second is None:
        yield _document(first, name)
        return
    document = _document(first, begun)
    if isinstance(document, Document) or (first.lstrip()[:1] != b"[" and _is_object(second)):
        yield document
        yield from _ndjson(lines, name, second)
        return
    rest = None if second == _TOO_LONG else lines.rest(LARGEST - len(first) - len(second))
    yield _too_large(name) if rest is None else _document(first + second + rest, name)


def _is_object(line: bytes) -> bool:
    try:
        return line.lstrip()[:1] == b"{" and isinstance(decode(line), dict)
    except InputError:
        return False


def _ndjson(lines: _Lines, name: str, first: bytes | None = None) -> Iterator[Document | Problem]:
    line = first if first is not None else lines.next()
    while line is not None:
        if line == _TOO_LONG:
            yield _too_large(lines.where(name))
        elif line.strip():
            yield _document(line, lines.where(name))
        line = lines.next()


def _document(data: bytes, where: str) -> Document | Problem:
    try:
        return Document(decode(data), where)
    except InputError as error:
        return problem("not-json", where, str(error))


def _too_large(where: str) -> Problem:
    return problem("too-large", where, f"is larger than {LARGEST // 2**20} MiB and was skipped: split it")


_TOO_LONG = b"\0too long"


class _Lines:
    """Lines of a stream, none longer than LARGEST: a longer one is skipped and comes back as `_TOO_LONG`."""

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._stream = stream
        self._number = 0

    def where(self, name: str) -> str:
        return f"{name}: line {self._number}"

    def next(self) -> bytes | None:
        """The next line with its end; None at the end of the stream."""
        line = self._stream.readline(LARGEST + 1)
        if not line:
            return None
        self._number += 1
        if len(line) > LARGEST and not line.endswith(b"\n"):
            while part := self._stream.readline(_CHUNK):
                if part.endswith(b"\n"):
                    break
            return _TOO_LONG
        return line.removeprefix(_BOM) if self._number == 1 else line

    def next_filled(self) -> bytes | None:
        """The next line that is not blank."""
        line = self.next()
        while line is not None and not line.strip():
            line = self.next()
        return line

    def rest(self, most: int) -> bytes | None:
        """Everything that is left; None if that is more than `most` bytes."""
        parts: list[bytes] = []
        while part := self._stream.read(_CHUNK):
            parts.append(part)
            most -= len(part)
            if most < 0:
                return None
        return b"".join(parts)


class _Plain(io.RawIOBase):
    """Any readable binary stream as a raw one (standard input, a network body)."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer))
        data = self._stream.read(len(view))
        view[: len(data)] = data
        return len(data)


def _decode_leniently(data: bytes, reason: str) -> object:
    """What strict JSON refuses and the standard library understands."""
    try:
        document = json.loads(
            data.decode("utf-8"), parse_float=_number, parse_constant=lambda _: Decimal("NaN"), strict=False
        )
        return _without_halves(document, 0)
    except RecursionError:
        raise InputError("is nested too deeply") from None
    except UnicodeDecodeError:
        raise InputError("is not encoded as UTF-8") from None
    except ValueError:
        kind = "looks like XML, not JSON" if data.lstrip()[:1] == b"<" else f"is no JSON ({_place(reason)})"
        raise InputError(kind) from None


def _number(digits: str) -> Decimal:
    try:
        return Decimal(digits)
    except ArithmeticError:
        return Decimal("NaN")


def _place(reason: str) -> str:
    """The position out of a decoder's message, which may otherwise quote the data."""
    found = re.search(r"byte (\d+)", reason)
    return f"at byte {found.group(1)}" if found else "it ends too early or holds a number out of range"


def _without_halves(value: object, depth: int) -> object:
    """The same document with halves of surrogate pairs, which no output could encode, replaced."""
    if isinstance(value, str):
        return HALF.sub("�", value)
    if depth > _DEEPEST_REPAIR:
        return None
    if isinstance(value, list):
        return [_without_halves(one, depth + 1) for one in value]
    if isinstance(value, dict):
        return {HALF.sub("�", key): _without_halves(one, depth + 1) for key, one in value.items()}
    return value
