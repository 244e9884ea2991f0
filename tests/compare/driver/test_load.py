"""The loop that drives, in this process: events of one batch, and what is told of a wrong reply."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from compare.driver.load import Load, describe_difference

Pairs = Callable[[], tuple[socket.socket, socket.socket]]


def test_connection_closed_by_another_ones_event_is_passed_over(load: Load, pairs: Pairs) -> None:
    """One handler may end another connection whose event is in the same batch."""
    seen = []
    socks = []

    def end_the_other(mine: int) -> None:
        seen.append(mine)
        other = socks[1 - mine]
        del load.handlers[other.fileno()]
        other.close()

    for index in range(2):
        ours, theirs = pairs()
        socks.append(ours)
        theirs.send(b"x")
        load.watch(ours.fileno(), lambda index=index: end_the_other(index))  # type: ignore[misc]
    load.run(1.0, lambda now: None, done=lambda: bool(seen))
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("expected", "actual", "words"),
    [
        (b"abc", b"abd", "sent 3 bytes, got 3; at byte 2 expected b'c', got b'd'"),
        (b"abc", b"ab", "sent 3 bytes, got 2; at byte 2 expected b'c', got b''"),
        (b"abc", b"abcd", "sent 3 bytes, got 4; at byte 3 expected b'', got b'd'"),
        (b"", b"x", "sent 0 bytes, got 1; at byte 0 expected b'', got b'x'"),
    ],
)
def test_difference_is_told_where_it_begins(expected: bytes, actual: bytes, words: str) -> None:
    assert describe_difference(expected, actual) == words
