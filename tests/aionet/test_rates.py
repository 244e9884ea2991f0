"""How many may come in a second, and who may come at all."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from handler_notes import records
from loop_clients import ANY, Client
from loop_runs import Run

from aionet import Echo, Hooks, Limits, serve
from aionet.limits import CloseReason
from aionet.testing import MemoryServer


def test_one_source_may_come_so_often() -> None:
    with MemoryServer(Echo(), limits=Limits(peer_rate=3)) as server:
        for _ in range(2):
            came = [server.connect(("192.0.2.1", port)).was_reset for port in range(5)]
            assert came == [False, False, False, True, True]
            assert not server.connect(("192.0.2.2", 1)).was_reset
            server.advance(2)
        assert server.stats.closed[CloseReason.REJECTED] == 4


def test_all_together_may_come_so_often_or_are_rejected() -> None:
    limits = Limits(rate=4, on_full="reject")
    with MemoryServer(Echo(), limits=limits) as server:
        came = [server.connect((f"192.0.2.{host}", 1)).was_reset for host in range(6)]
        assert came == [False] * 4 + [True] * 2
        server.advance(10)
        assert [server.connect().was_reset for _ in range(6)] == came


def test_all_together_may_come_so_often_or_wait(run: Run[Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with serve(Echo(), ANY, limits=Limits(rate=10)) as server:
            began = loop.time()
            for _ in range(20):  # ten at once, and then ten a second
                async with Client(server) as client:
                    assert await client.exchange(b"x") == b"x"
            assert loop.time() - began > 0.5
            assert server.stats.closed[CloseReason.REJECTED] == 0

    run(main())


def test_program_says_who_is_let_in(caplog: Any) -> None:
    rejected: list[Any] = []

    def accept(peer: Any) -> bool:
        if peer.address[0] == "192.0.2.3":
            raise KeyError("of the program")
        return bool(peer.address[0] == "192.0.2.1")

    hooks = Hooks(on_accept=accept, on_reject=lambda peer: rejected.append(peer.address[0]))
    with MemoryServer(Echo(), hooks=hooks) as server:
        came = [server.connect((f"192.0.2.{last}", 1)).was_reset for last in (1, 2, 3)]
        assert came == [False, True, True]
        assert rejected == ["192.0.2.2", "192.0.2.3"]
        assert server.stats.closed[CloseReason.REJECTED] == 2
    assert [record.getMessage() for record in records(caplog)] == [
        "on_accept failed; who came is reset"
    ]


@pytest.mark.parametrize("answer", [None, 1, "yes"])
def test_filter_says_yes_or_no(answer: Any, caplog: Any) -> None:
    with MemoryServer(Echo(), hooks=Hooks(on_accept=lambda peer: answer)) as server:
        assert server.connect().was_reset
    (record,) = records(caplog)
    assert f"on_accept gave {answer!r}; it must be True or False" in str(record.exc_info[1])


def test_crowd_is_served_at_the_rate_and_nobody_waits_for_ever() -> None:
    with MemoryServer(Echo(), limits=Limits(rate=10)) as server:
        crowd = [server.connect() for _ in range(50)]
        for peer in crowd:
            peer.send(b"x")
        served = [sum(peer.received == b"x" for peer in crowd)]
        for _ in range(5):
            server.advance(1)
            served.append(sum(peer.received == b"x" for peer in crowd))
        assert served[0] == 10
        assert all(8 <= after - before <= 12 for before, after in pairwise(served[:-1]))
        assert served[-1] >= 48


@pytest.mark.parametrize("name", ["rate", "peer_rate"])
def test_no_newcomers_at_all_cannot_be_meant(name: str) -> None:
    with pytest.raises(ValueError, match=f"Limits.{name} is 0"):
        Limits(**{name: 0})  # type: ignore[arg-type]
