"""A server that never stops talking fails the check that waits for its end, and holds up none."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from compare.check.bench import Bench, Subject
from compare.check.chat_members import _is_announced, _must_know
from compare.check.failure import Failed
from compare.check.room import lines_until_heard, must_be_sent_away
from compare.check.talk import talk
from compare.check.timeline import Timeline
from compare.check.wire import Wire

PATIENCE_S = 0.1
WAITS: dict[str, tuple[bytes, Callable[[Wire], object]]] = {
    "all there is": (b"x", Wire.receive_rest),
    "the end": (b"x", lambda wire: wire.must_receive_rest(b"", "the end")),
    "the end of a line": (b"x", Wire.line),
    "what somebody says": (b"* hello\n", lambda wire: lines_until_heard(wire, "ann", "hello")),
    "who came": (b"* hello\n", lambda wire: _must_know("ann", wire, [], {"bob"})),
    "being sent away": (b"a bad name\n", lambda wire: must_be_sent_away(wire, "the end")),
    "what all say": (
        b"* hello\n",
        lambda wire: talk(
            Bench(Subject("chat"), 7, PATIENCE_S), {"ann": wire, "bob": wire}, {"ann": ["hello"]}
        ),
    ),
}


@contextlib.contextmanager
def talking(text: bytes) -> Iterator[Wire]:
    """A connection on which that text comes again and again."""
    over = threading.Event()
    ours, theirs = socket.socketpair()

    def talk_on() -> None:
        with contextlib.suppress(OSError):
            while not over.wait(PATIENCE_S / 20):
                theirs.send(text, socket.MSG_NOSIGNAL)

    thread = threading.Thread(target=talk_on)
    thread.start()
    with ours, theirs:
        yield Wire("client", ours, Timeline(), PATIENCE_S)
        over.set()
        thread.join()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("what", WAITS)
def test_wait_for_it_comes_to_an_end(what: str) -> None:
    text, wait = WAITS[what]
    with talking(text) as wire, pytest.raises(Failed):
        wait(wire)


@pytest.mark.timeout(20)
def test_answer_to_a_name_that_is_in_use_is_not_waited_for_without_end() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, talking(b"* another name\n") as newcomer:
        assert not _is_announced(newcomer, Wire("other", ours, Timeline(), PATIENCE_S))
