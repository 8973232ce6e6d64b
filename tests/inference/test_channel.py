"""Messages over a socket: whole, in order, and never a deadlock."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from engine.inference.channel import Channel

Ends = tuple[Channel, Channel]


@pytest.fixture
def ends() -> Iterator[Ends]:
    one, other = (Channel(end) for end in socket.socketpair())
    yield one, other
    one.close()
    other.close()


def test_messages_come_whole_and_in_their_order(ends: Ends) -> None:
    one, other = ends
    messages = [b"", b"a", b"b" * 1000, b"", b"c" * 50_000]
    assert all(one.send_bytes(message, 5) for message in messages)
    assert [other.recv_bytes(5) for _ in messages] == messages
    assert other.recv_bytes(0) is None


def test_two_who_both_send_more_than_the_pipe_holds_do_not_wait_for_each_other(ends: Ends) -> None:
    large, came = b"x" * 4_000_000, []

    def talking(end: Channel) -> None:
        came.append(end.recv_bytes(30) if end.send_bytes(large, 30) else None)

    threads = [threading.Thread(target=talking, args=[end]) for end in ends]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert came == [large, large]


def test_it_waits_no_longer_than_it_may(ends: Ends) -> None:
    one, other = ends
    assert other.recv_bytes(0.05) is None
    assert not one.send_bytes(b"x" * 4_000_000, 0.05)      # nobody takes it


def test_the_end_of_the_other_one_is_told(ends: Ends) -> None:
    one, other = ends
    assert one.send_bytes(b"last", 5)
    one.close()
    assert other.recv_bytes(5) == b"last"
    with pytest.raises(EOFError):
        other.recv_bytes(5)
