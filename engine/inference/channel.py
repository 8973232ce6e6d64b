"""Messages between two processes over a stream socket: four bytes of length, then the message.

Whoever sends takes in what comes meanwhile. So two who both send never wait for each other, however much it is.
"""

from __future__ import annotations

import select
import socket
import struct

_HEAD = struct.Struct("!I")
_AT_ONCE = 1 << 18                        # bytes that are read at once


class Channel:
    """One end. Not for several threads at once. Every call may raise EOFError (the other end is gone) or OSError."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._socket = end
        self._received = bytearray()
        self._readable, self._ready = select.poll(), select.poll()
        self._readable.register(end, select.POLLIN)
        self._ready.register(end, select.POLLIN | select.POLLOUT)

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def send_bytes(self, message: bytes, patience: float | None = None) -> bool:
        """Sends a message; False if the other end took nothing for `patience` seconds (None: it waits forever)."""
        left = memoryview(_HEAD.pack(len(message)) + message)
        while left:
            try:
                left = left[self._socket.send(left) :]
            except BlockingIOError:
                if not self._ready.poll(_milliseconds(patience)):
                    return False
                self._take()
        return True

    def recv_bytes(self, patience: float | None = None) -> bytes | None:
        """The next message; None if nothing came for `patience` seconds (None: it waits forever)."""
        while (message := self._whole()) is None:
            if not self._take() and not self._readable.poll(_milliseconds(patience)):
                return None
        return message

    def _take(self) -> bool:
        """Takes in what has come; whether anything had."""
        try:
            part = self._socket.recv(_AT_ONCE)
        except BlockingIOError:
            return False
        if not part:
            raise EOFError
        self._received += part
        return True

    def _whole(self) -> bytes | None:
        received = self._received
        if len(received) < _HEAD.size:
            return None
        end = _HEAD.size + _HEAD.unpack_from(received)[0]
        if len(received) < end:
            return None
        message = bytes(received[_HEAD.size : end])
        del received[:end]
        return message


def _milliseconds(patience: float | None) -> float | None:
    return None if patience is None else patience * 1000
