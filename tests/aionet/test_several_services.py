"""Several services in one server, and services made of others: none is at the cost of another."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from handler_notes import records
from loop_clients import ANY, Client
from loop_runs import Run

from aionet import CLOSE, Echo, LengthPrefixed, Lines, Listen, Service, Stream, Timeouts, serve
from aionet.limits import CloseReason
from aionet.testing import MemoryServer

FRAMES = LengthPrefixed(1)


async def trickle(client: Client) -> None:
    while True:
        await client.send(b"x")
        await asyncio.sleep(0.05)


def test_handlers_beside_a_service_keep_their_deadlines(run: Run[Any]) -> None:
    async def handler(stream: Stream) -> None:
        await stream.receive_line()

    async def main() -> None:
        places = Listen(ANY, handler), Listen(ANY, Echo())
        async with serve(*places, timeouts=Timeouts(message=0.3)) as server:
            async with Client(server) as client:
                with pytest.raises((ConnectionResetError, BrokenPipeError)):
                    await trickle(client)
            assert server.stats.closed[CloseReason.SLOW_MESSAGE] == 1

    run(main())


class Ticks(Service):
    def __init__(self, every: float, *, fails: bool = False) -> None:
        self.tick_every = every
        self.fails = fails
        self.times: list[float] = []
        self.goodbyes = 0

    def receive_data(self, peer: Any, data: bytes) -> Any:
        return data

    def tick(self, now: float) -> Any:
        self.times.append(now)
        if self.fails:
            raise ValueError("of the program")
        return ()

    def say_goodbye(self) -> Any:
        self.goodbyes += 1
        if self.fails:
            raise ValueError("of the program")
        return ()


def test_each_service_ticks_and_says_goodbye_by_itself(run: Run[Any], caplog: Any) -> None:
    fails, quick, slow = Ticks(0.05, fails=True), Ticks(0.1), Ticks(60.0)

    async def main() -> None:
        async with serve(*(Listen(ANY, each) for each in (fails, quick, slow))):
            while len(quick.times) < 5:
                await asyncio.sleep(0.01)

    run(main())
    assert len(fails.times) >= 8
    assert slow.times == []
    assert [each.goodbyes for each in (fails, quick, slow)] == [1, 1, 1]
    assert len(records(caplog)) >= 2


@pytest.mark.parametrize(
    ("every", "said"), [(0, "tick_every is 0"), ("1", "tick_every is '1'"), (-1, "above 0 seconds")]
)
def test_time_between_ticks_is_a_number_of_seconds(every: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        serve(Ticks(every), ANY)


def test_tick_that_would_never_come_is_refused() -> None:
    class Forgets(Service):
        def tick(self, now: float) -> Any:
            return ()

    with pytest.raises(ValueError, match=r"Forgets.tick\(\) is never called"):
        serve(Forgets(), ANY)


def test_method_that_would_have_to_be_awaited_is_refused() -> None:
    with pytest.raises(TypeError, match=r"receive_data\(\) is async; a service does not wait"):

        class Waits(Service):
            async def receive_data(self, peer: Any, data: bytes) -> Any: ...  # type: ignore[override]


# Messages.


def test_many_small_messages_leave_others_their_turn() -> None:
    class Counts(Service):
        heard = 0

        def receive_data(self, peer: Any, data: bytes) -> None:
            self.heard += 1

    service = Counts()
    turns: list[int] = []
    with MemoryServer(service, framing=FRAMES) as server:
        peer = server.connect()
        arrive = peer._transport.arrive
        arrive(bytes(60_000))  # as many empty messages
        turns.append(service.heard)
        server.advance(1.0)
    assert turns[0] < 1000
    assert service.heard == 60_000


@pytest.mark.parametrize("before", [b"", b"hi\n"])
def test_others_hear_what_is_said_with_a_close(before: bytes) -> None:
    class Leaves(Service):
        def __init__(self) -> None:
            self.peers: list[Any] = []
            self.heard: list[bytes] = []

        def connect(self, peer: Any) -> None:
            self.peers.append(peer)

        def receive_data(self, peer: Any, data: bytes) -> Any:
            self.heard.append(data)
            if data == b"quit":
                others = [each for each in self.peers if each is not peer]
                return [(peer, CLOSE), (others, b"* somebody left\n")]
            return None

    service = Leaves()
    with MemoryServer(service, framing=Lines()) as server:
        ann, bob = server.connect(), server.connect()
        ann.send(before + b"quit\nmore\n")
        assert bob.received == b"* somebody left\n"
        assert b"more" not in service.heard


def test_who_was_closed_by_another_way_is_not_heard_any_more() -> None:
    class Kicks(Service):
        def __init__(self) -> None:
            self.heard: list[bytes] = []

        def receive_data(self, peer: Any, data: bytes) -> None:
            self.heard.append(data)
            server.deliver([(peer, CLOSE)])

    service = Kicks()
    with MemoryServer(service, framing=Lines()) as server:
        peer = server.connect()
        server._loop.call_soon(peer._transport.arrive, b"one\ntwo\nthree\n")
        server.advance(0.1)
        assert service.heard == [b"one"]


# What is no answer.


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("text", "'text' is no delivery"),
        (5, "5 is no delivery"),
        (iter([b"hello"]), "b'hello' is no delivery"),
        (iter([5]), "5 is no delivery"),
        ([("nobody", b"x")], "delivered to 'nobody'; it must be a peer, or a list of peers"),
        ([({1}, b"x")], "delivered to {1}; it must be a peer"),
    ],
)
def test_answer_that_is_none_is_told_in_its_own_words(answer: Any, said: str, caplog: Any) -> None:
    class Wrong(Service):
        def receive_data(self, peer: Any, data: bytes) -> Any:
            return answer

    with MemoryServer(Wrong()) as server:
        peer = server.connect()
        peer.send(b"x")
        assert peer.closed is CloseReason.ERROR
    (record,) = records(caplog)
    assert record.exc_info is not None
    assert said in str(record.exc_info[1])
