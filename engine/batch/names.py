"""Many names in little memory."""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterable


class Names:
    """A set of names, most of them as bits: at most 16 MiB however many there are, so that a name may seem to be one of
    them that is none."""

    def __init__(self, names: Iterable[str]) -> None:
        numbers = array("I", map(_number, names))
        self._mask = (1 << min(max((len(numbers) * 64).bit_length(), 10), 27)) - 1
        self._bits = bytearray((self._mask >> 3) + 1)
        for number in numbers:
            self._bits[(number & self._mask) >> 3] |= 1 << (number & 7)

    def __contains__(self, name: str) -> bool:
        number = _number(name)
        return bool(self._bits[(number & self._mask) >> 3] & (1 << (number & 7)))


def _number(name: str) -> int:
    return zlib.crc32(name.encode("utf-8", "replace"))
