"""A file of any size from a server to the disk, whole or not at all, going on where it broke off if the server can.

It is kept as it came over the line, packed or not, under a name of its own until it is whole. Where it may go on is
what stands in the file beside it: a strong ETag or a date of change, from a server that offers ranges (RFC 9110, 14.2).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx2
import msgspec

from engine.client.http import Http, origin
from engine.errors import RemoteError

PACKED = ".gz"
_GZIP = b"\x1f\x8b"


class StatusError(RemoteError):
    """A file was answered with another status than success."""

    def __init__(self, where: str, status: int) -> None:
        super().__init__(f"`{where}` answers {status} instead of a file")
        self.status = status


class _Mark(msgspec.Struct, frozen=True):
    """By what a part is known to belong to the same file."""

    validator: str
    packed: bool


def saved(path: Path) -> Path | None:
    """The whole file that was saved as `path`, packed or not; None if there is none."""
    return next((one for one in (path, _packed(path)) if one.exists()), None)


def save(
    http: Http,
    url: str,
    path: Path,
    *,
    accept: str,
    token: bool,
    until: float,
    got: Callable[[int], None] = lambda _: None,
) -> Path:
    """Saves a file as `path`, or with `.gz` as it came. `until`: of time.monotonic(); `got` is told of bytes.

    Raises StatusError, RemoteError, OSError (the disk).
    """
    headers = {"Accept": accept, "Accept-Encoding": "gzip"}

    def once() -> bool:
        return _part(http, url, path, headers=headers, token=token, until=until, got=got)

    packed = http.patiently(once, origin(url))
    part, final = _unfinished(path), _packed(path) if packed else path
    with part.open("rb") as stream:
        if stream.read(2) == _GZIP:
            final = _packed(path)
        os.fsync(stream.fileno())
    part.replace(final)
    _beside(path).unlink(missing_ok=True)
    return final


def _part(
    http: Http,
    url: str,
    path: Path,
    *,
    headers: Mapping[str, str],
    token: bool,
    until: float,
    got: Callable[[int], None],
) -> bool:
    """One attempt, which goes on where the last one ended; whether the file is packed."""
    part, mark = _unfinished(path), _mark(path)
    begun = part.stat().st_size if mark is not None and part.exists() else 0
    if mark is not None and begun:
        headers = {**headers, "Range": f"bytes={begun}-", "If-Range": mark.validator}
    with http.opened("GET", url, headers=headers, token=token) as response:
        if response.status_code == 416 and begun:
            if response.headers.get("content-range") == f"bytes */{begun}" and mark is not None:
                return mark.packed         # nothing is left of it
            _beside(path).unlink(missing_ok=True)
            raise httpx2.ReadError("the part does not fit the file")
        if response.status_code not in (200, 206) or (response.status_code == 206 and not begun):
            raise StatusError(origin(url), response.status_code)
        going_on = response.status_code == 206
        total = -1
        if going_on:
            total = _total(response.headers.get("content-range", ""), begun)
            if total < begun or mark is None or mark.packed != _is_packed(response):
                _beside(path).unlink(missing_ok=True)
                raise httpx2.ReadError("the server goes on elsewhere")
        else:
            begun, mark = 0, _marked(response)
            _beside(path).unlink(missing_ok=True)
        with part.open("ab" if going_on else "wb") as stream:
            if mark is not None and not going_on:
                _beside(path).write_bytes(msgspec.json.encode(mark))
            for block in response.iter_raw():
                if time.monotonic() > until:
                    raise RemoteError(f"`{origin(url)}` sends its files too slowly")
                stream.write(block)
                got(len(block))
            written = stream.tell()
        if 0 <= total != written:
            raise httpx2.ReadError("the file ended early")
        return _is_packed(response)


def _marked(response: httpx2.Response) -> _Mark | None:
    if response.headers.get("accept-ranges", "").strip().lower() != "bytes":
        return None
    etag, packed = response.headers.get("etag", ""), _is_packed(response)
    dated = "" if etag or packed else response.headers.get("last-modified", "")  # packed anew, it may differ
    validator = etag if etag[:1] == '"' else dated
    return _Mark(validator, packed) if validator else None


def _is_packed(response: httpx2.Response) -> bool:
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", ""):
        raise RemoteError(f"`{origin(str(response.url))}` packs its files as nobody asked for (`{encoding[:20]}`)")
    return encoding in ("gzip", "x-gzip")


def _total(content_range: str, begun: int) -> int:
    """The size of the file, if the answer goes on from byte `begun`; else -1."""
    place, _, total = content_range.removeprefix("bytes ").partition("/")
    return int(total) if place.startswith(f"{begun}-") and total.isascii() and total.isdecimal() else -1


def _mark(path: Path) -> _Mark | None:
    try:
        return msgspec.json.decode(_beside(path).read_bytes(), type=_Mark)
    except (OSError, msgspec.DecodeError):
        return None


def _packed(path: Path) -> Path:
    return path.with_name(path.name + PACKED)


def _unfinished(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".mark")
