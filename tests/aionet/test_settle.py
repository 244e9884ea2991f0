"""What is to be done to a connection, in which order, and when there is none any more."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

import pytest
from loop_clients import ANY, Client, let_the_loop_see_everything
from loop_runs import Run

from aionet.limits import CloseReason
from aionet.protocol import CLOSE, Answer, Deliveries, Echo
from aionet.server import Server, serve
from aionet.testing import MemoryServer

LONG = 8_000_000  # more than two sockets hold


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Any:
    yield
    assert [each for each in caplog.get_records("call") if each.levelno >= logging.WARNING] == []


def test_the_last_of_a_long_answer_comes_before_the_end() -> None:
    class Long(Echo):
        def __init__(self) -> None:
            self.asked: list[Any] = []

        def receive_data(self, peer: Any, data: bytes) -> Answer:
            self.asked.append(peer)
            if data == b"go":
                return [(peer, bytes(100_000)), (peer, b"last"), (peer, CLOSE)]
            return [(self.asked[0], b"from another ")]

    with MemoryServer(Long()) as server:
        slow, other = server.connect(), server.connect()
        slow.stop_reading()
        slow.send(b"go")
        del slow._transport._buffer[:50_000]  # there is room again, and nobody was told yet
        other.send(b"poke")
        slow.start_reading()
        assert slow.received == bytes(50_000) + b"from another last"
        slow.finish()
        assert slow.closed is CloseReason.DONE


def test_who_is_closed_when_its_connection_has_just_gone_is_let_go(run: Run[Any]) -> None:
    async def main() -> None:
        async with serve(Echo(), ANY) as server, Client(server) as client:
            assert await client.exchange(b"hello") == b"hello"
            hub = server._connections.hub
            (peer,) = hub.open
            peer._transport.abort()  # which tells us in the next turn of the loop
            hub.close(peer)
            while hub.open:
                await asyncio.sleep(0)
            await let_the_loop_see_everything()
        assert sum(server.stats.closed.values()) == server.stats.accepted

    run(main())


@pytest.mark.parametrize("end", ["close", "half-close, then close", "fail"])
def test_who_is_done_when_the_last_byte_of_a_long_answer_goes_ends_once(
    run: Run[Any], end: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Long(Echo):
        def receive_data(self, peer: Any, data: bytes) -> Answer:
            return None if end.startswith("half") else self.answer(peer)

        def receive_eof(self, peer: Any) -> Answer:
            return self.answer(peer) if end.startswith("half") else None

        def answer(self, peer: Any) -> Deliveries:
            yield peer, bytes(LONG)
            if end == "fail":
                raise LookupError("as told")
            yield peer, CLOSE

    async def main() -> None:
        async with serve(Long(), ANY) as server:
            await ask(server)
            while server._connections.hub.open:
                await asyncio.sleep(0.01)
            await let_the_loop_see_everything()
        assert sum(server.stats.closed.values()) == server.stats.accepted == 1

    async def ask(server: Server) -> None:
        async with Client(server) as client:
            client._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            await client.send(b"go")
            if end.startswith("half"):
                client.finish()
            received = 0
            try:
                while data := await client.receive(1 << 20):
                    received += len(data)
            except ConnectionResetError:
                assert end == "fail"
            else:
                assert received == LONG

    run(main())
    if end == "fail":
        (line,) = caplog.records
        assert line.message.startswith("the service failed; the connection from")
        caplog.clear()
