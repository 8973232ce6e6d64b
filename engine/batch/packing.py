"""Files as plain bytes: uncompressed, gzip, or zstd (needs the extra `endplate[zstd]` before Python 3.14)."""

from __future__ import annotations

import gzip
import importlib
import importlib.util
import io
import sys
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, cast

_CHUNK = 64 * 1024
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
PACKED = (".gz", ".zst")
GROWTH = 10                                # how much larger the content of a packed file is taken to be


class BrokenPackingError(OSError):
    """A packed file is damaged or cut short."""


def open_plain(path: str) -> BinaryIO:
    """The content of a file. Reading raises OSError, EOFError or zlib.error where it breaks off."""
    return unpacked(cast(io.BufferedReader, Path(path).open("rb", buffering=_CHUNK)))


def unpacked(stream: io.BufferedReader) -> BinaryIO:
    """The content of what a stream holds, which the caller closes."""
    head = stream.peek(4)[:4]
    if head[:2] == _GZIP:
        packed = gzip.GzipFile(fileobj=stream)
        packed.myfileobj = cast(io.FileIO, stream)     # is closed with it
        return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, packed), _CHUNK))
    if head == _ZSTD:
        return io.BufferedReader(_Zstd(stream), _CHUNK)
    return stream


def is_packed(path: str) -> bool:
    """Whether a file has to be read from its beginning."""
    with Path(path).open("rb") as stream:
        return says_packed(stream.read(4))


def says_packed(head: bytes) -> bool:
    """Whether a file that begins so is packed."""
    return head[:2] == _GZIP or head[:4] == _ZSTD


def needs_zstd(paths: Iterable[str]) -> bool:
    """Whether there are files that nothing here can unpack."""
    return _module() is None and any(path.endswith(".zst") for path in paths)


BROKEN = (OSError, EOFError, zlib.error)


def _module() -> str | None:
    if sys.version_info >= (3, 14):
        return "compression.zstd"
    return "zstandard" if importlib.util.find_spec("zstandard") else None


def _decompressor() -> Any:
    module = _module()
    if module is None:
        raise BrokenPackingError("needs `endplate[zstd]`")
    loaded = importlib.import_module(module)
    if module == "zstandard":
        return loaded.ZstdDecompressor().decompressobj()
    return loaded.ZstdDecompressor()


class _Zstd(io.RawIOBase):
    """All frames of a zstd file, one after another; a cut one raises, which the library's own reader does not."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._frame = _decompressor()
        self._begun = False
        self._plain = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer))
        while not self._plain:
            packed = self._stream.read(_CHUNK)
            if not packed:
                if self._begun:
                    raise EOFError
                return 0
            self._plain = self._unpacked(packed)
        count = min(len(view), len(self._plain))
        view[:count] = self._plain[:count]
        self._plain = self._plain[count:]
        return count

    def _unpacked(self, packed: bytes) -> bytes:
        plain = b""
        try:
            while packed:
                self._begun = True
                plain += self._frame.decompress(packed)
                if not self._frame.eof:
                    break
                packed = self._frame.unused_data
                self._frame, self._begun = _decompressor(), False
        except Exception as error:  # each library has an error of its own
            raise BrokenPackingError("is damaged") from error
        return plain

    def close(self) -> None:
        self._stream.close()
        super().close()
