"""What one peer, or one failure, must not cost the others, without I/O."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from far_peers import Network

from aionet.core import Peer, Todo
from aionet.limits import CloseReason, Limits, Timeouts
from aionet.protocol import CLOSE, Answer, Service


class Stubborn(Service):
    """Fails once, with what no `except Exception` catches."""

    def __init__(self, error: type[BaseException]) -> None:
        self.fails = True
        self.error = error

    def receive_data(self, peer: Any, data: bytes) -> Answer:
        raise self.error

    def receive_eof(self, peer: Any) -> Answer:
        if self.fails:
            self.fails = False
            raise self.error
        return CLOSE


def test_what_is_no_exception_costs_its_peer_all_the_same() -> None:
    network = Network(Stubborn(asyncio.CancelledError), Limits(), Timeouts(), 2)
    first, second = network.connect(), network.connect()
    network.finish(second)
    first.coming.append(b"hello")
    network.settle()
    assert [first.reason, second.reason] == [CloseReason.ERROR] * 2
    assert not network.hub.open


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_process_goes_on_and_keeps_nobody_elses_end_back(
    error: type[BaseException],
) -> None:
    network = Network(Stubborn(error), Limits(), Timeouts(), 2)
    first, second = network.connect(), network.connect()
    with pytest.raises(error):
        network.finish(first)
    network.finish(second)
    network.pass_time(3.0)
    assert second.ends == 1
    assert not second.place


@pytest.mark.parametrize(
    ("todo", "outbox", "unsent", "now"),
    [
        *((todo, [], 0, True) for todo in (Todo.SHUT_RD, Todo.SHUT_WR, Todo.CLOSE, Todo.RESET)),
        *((todo, [b"last"], 0, False) for todo in (Todo.SHUT_WR, Todo.CLOSE)),
        *((todo, [], 1, False) for todo in (Todo.SHUT_WR, Todo.CLOSE)),
        *((todo, [b"last"], 1, True) for todo in (Todo.SHUT_RD, Todo.RESET)),
    ],
)
def test_to_end_comes_after_the_last_byte_and_to_reset_or_stop_reading_at_once(
    todo: str, outbox: list[bytes], unsent: int, now: bool
) -> None:
    peer = Peer(Network(Service(), Limits(), Timeouts(), 1).hub)
    peer.todo, peer.outbox = todo, outbox
    assert peer.pop_todo(unsent) == (todo if now else None)
    assert peer.todo == (None if now else todo)
