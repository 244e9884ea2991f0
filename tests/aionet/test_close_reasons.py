"""Each reason for which a connection ends, on real sockets."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from loop_clients import ANY, RESET
from loop_runs import Run
from patience import PATIENT
from services import Commands
from witnesses import Witness

from aionet.limits import CloseReason, Limits, Timeouts
from aionet.protocol import Deliveries, Echo, Room
from aionet.server import Server, serve


class Client:
    """A connection to a server on the same loop."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._sock, data)

    async def receive(self) -> bytes:
        return await self._loop.sock_recv(self._sock, 1 << 20)

    async def receive_rest(self) -> bytes:
        received = b""
        while data := await self.receive():
            received += data
        return received

    async def receive_reset(self) -> None:
        with pytest.raises(ConnectionResetError):
            await self.receive_rest()

    def finish(self) -> None:
        self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._sock.close()

    def reset(self) -> None:
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._sock.close()


@contextmanager
def new_socket(server: Server, receive_buffer: int | None) -> Iterator[socket.socket]:
    family = socket.AF_UNIX if server.addresses[0].scheme == "unix" else socket.AF_INET
    with socket.socket(family) as sock:
        if receive_buffer is not None:  # only before connecting does it bound the window
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        yield sock


class Clients:
    """Connects clients, and closes those that are left."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._sockets: list[Any] = []

    async def connect(self, *, receive_buffer: int | None = None) -> Client:
        context = new_socket(self._server, receive_buffer)
        sock = context.__enter__()
        self._sockets.append(context)
        (address, *_) = self._server.addresses
        where = address.path if address.scheme == "unix" else (address.host, address.port)
        await asyncio.get_running_loop().sock_connect(sock, where)
        return Client(sock)

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *ignored: object) -> None:
        for context in self._sockets:
            context.__exit__(None, None, None)


class Deaf(Commands):
    """Goes on after its peer has finished."""

    def receive_eof(self, peer: Any) -> Deliveries:
        self.ended.append(peer)
        return ()


Story = Callable[[Clients, Witness], Coroutine[Any, Any, None]]


async def end_of(
    story: Story,
    service: Any = None,
    *,
    at: str = ANY,
    limits: Limits | None = None,
    timeouts: Timeouts = PATIENT,
) -> list[CloseReason]:
    """The reasons of all ends in a story, after the server has drained."""
    witness = Witness()
    service = service or Commands()
    async with serve(service, at, limits=limits, timeouts=timeouts, hooks=witness.hooks) as server:
        with Clients(server) as clients:
            await story(clients, witness)
            await server.drain(0.2)
    stats = server.stats
    assert stats.open == 0
    assert not stats.accepting
    assert set(stats.closed) == set(CloseReason)
    assert stats.accepted == sum(stats.closed.values())
    assert stats.accepted == len(witness.opened) + len(witness.rejected)
    assert sorted(witness.opened) == sorted(address for address, _ in witness.closed)
    for reason in CloseReason:
        rejected = len(witness.rejected) if reason is CloseReason.REJECTED else 0
        assert stats.closed[reason] == witness.reasons.count(reason) + rejected
    return [*witness.reasons, *[CloseReason.REJECTED] * len(witness.rejected)]


# One test for each reason.


def test_eof_is_a_peer_that_has_finished_and_got_everything(run: Run[Any]) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        client = await clients.connect()
        await client.send(b"hello")
        client.finish()
        assert await client.receive_rest() == b"hello"
        await witness.until(lambda: witness.closed)

    assert run(end_of(story, Echo())) == [CloseReason.EOF]


def test_eof_is_a_peer_that_leaves_without_a_word(run: Run[Any]) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        (await clients.connect()).close()
        await witness.until(lambda: witness.closed)

    assert run(end_of(story, Echo())) == [CloseReason.EOF]


def test_done_is_an_end_that_the_service_asked_for(run: Run[Any]) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        client = await clients.connect()
        await client.send(b"quit")
        assert await client.receive_rest() == b"bye"
        client.close()
        await witness.until(lambda: witness.closed)

    service = Commands()
    assert run(end_of(story, service)) == [CloseReason.DONE]
    assert service.ended == service.peers


def test_done_waits_no_longer_than_linger_for_its_peer(run: Run[Any]) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        client = await clients.connect()
        await client.send(b"quit")
        await witness.until(lambda: witness.closed)  # though the client never closes
        assert await client.receive_rest() == b"bye"

    timeouts = Timeouts(idle=None, linger=0.1)
    assert run(end_of(story, timeouts=timeouts)) == [CloseReason.DONE]


def test_idle_is_a_peer_that_says_nothing(run: Run[Any]) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        client = await clients.connect()
        assert await client.receive_rest() == b""
        await witness.until(lambda: witness.closed)

    service = Commands()
    assert run(end_of(story, service, timeouts=Timeouts(idle=0.1))) == [CloseReason.IDLE]
    assert service.ended == service.peers


def test_idle_is_a_peer_that_has_finished_and_is_told_nothing(run: Run[Any]) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        client = await clients.connect()
        client.finish()
        assert await client.receive_rest() == b""
        await witness.until(lambda: witness.closed)

    service = Deaf()
    timeouts = Timeouts(idle=None, half_closed=0.1)
    assert run(end_of(story, service, timeouts=timeouts)) == [CloseReason.IDLE]
    assert service.ended == service.peers


def test_slow_message_is_a_line_that_does_not_end(run: Run[Any]) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        client = await clients.connect()
        await client.send(b"an")
        await client.receive_rest()
        await witness.until(lambda: witness.closed)

    reasons = run(end_of(story, Room(), timeouts=Timeouts(idle=None, message=0.1)))
    assert reasons == [CloseReason.SLOW_MESSAGE]


def test_slow_reader_is_a_peer_for_whom_others_said_too_much(run: Run[Any]) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        stalled = await clients.connect(receive_buffer=4096)
        talker = await clients.connect()
        await witness.until(lambda: len(witness.opened) == 2)
        while not witness.closed:
            await talker.send(b"flood")
            await talker.send(b"ping")
            await talker.receive()
        await stalled.receive_reset()

    assert run(end_of(story)) == [CloseReason.SLOW_READER, CloseReason.DRAIN]


def test_slow_reader_is_a_peer_that_takes_nothing_over_tcp(run: Run[Any]) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        client = await clients.connect(receive_buffer=4096)
        await client.send(b"flood me")
        await witness.until(lambda: witness.closed)
        await client.receive_reset()

    reasons = run(end_of(story, timeouts=Timeouts(idle=None, write=0.5)))
    assert reasons == [CloseReason.SLOW_READER]


def test_slow_reader_is_a_peer_that_takes_nothing_on_a_unix_socket(
    run: Run[Any], tmp_path: Path
) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        client = await clients.connect()
        await client.send(b"flood me")
        await witness.until(lambda: witness.closed)

    timeouts = Timeouts(idle=None, write=0.2)
    reasons = run(end_of(story, at=f"unix://{tmp_path}/socket", timeouts=timeouts))
    assert reasons == [CloseReason.SLOW_READER]


def test_oversize_is_a_line_over_the_limit(run: Run[Any]) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        client = await clients.connect()
        await client.send(b"x" * 20)
        assert (await client.receive_rest()).endswith(b"! line is over 10 bytes\n")
        client.close()
        await witness.until(lambda: witness.closed)

    assert run(end_of(story, Room(line_limit=10))) == [CloseReason.OVERSIZE]


@pytest.mark.parametrize("limits", [Limits(connections=1, on_full="reject"), Limits(per_peer=1)])
def test_rejected_is_who_comes_when_a_limit_is_reached(run: Run[Any], limits: Limits) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        first = await clients.connect()
        await witness.until(lambda: witness.opened)
        with pytest.raises(ConnectionResetError):  # by the first call that can tell
            await (await clients.connect()).receive_rest()
        await witness.until(lambda: witness.rejected)
        await first.send(b"still here")
        assert await first.receive() == b"still here"

    service = Commands()
    assert run(end_of(story, service, limits=limits)) == [CloseReason.DRAIN, CloseReason.REJECTED]
    assert len(service.peers) == 1


def test_drain_is_who_was_there_when_the_server_stopped(run: Run[Any]) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        await clients.connect()
        await witness.until(lambda: witness.opened)

    service = Commands()
    assert run(end_of(story, service)) == [CloseReason.DRAIN]
    assert service.ended == service.peers


def test_drain_is_also_who_had_to_be_reset(run: Run[Any]) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        await clients.connect()
        await witness.until(lambda: witness.opened)

    service = Deaf()
    assert run(end_of(story, service)) == [CloseReason.DRAIN]
    assert service.ended == service.peers


def test_reset_is_a_connection_that_the_peer_broke(run: Run[Any]) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        client = await clients.connect()
        await client.send(b"hello")
        assert await client.receive() == b"hello"
        client.reset()
        await witness.until(lambda: witness.closed)

    service = Commands()
    assert run(end_of(story, service)) == [CloseReason.RESET]
    assert service.ended == service.peers


def test_error_is_a_service_that_failed_and_the_others_stay(
    run: Run[Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        other, client = await clients.connect(), await clients.connect()
        await client.send(b"fail")
        await client.receive_reset()
        await witness.until(lambda: witness.closed)
        await other.send(b"still here")
        assert await other.receive() == b"still here"

    service = Commands()
    assert run(end_of(story, service)) == [CloseReason.ERROR, CloseReason.DRAIN]
    assert sorted(map(id, service.ended)) == sorted(map(id, service.peers))
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.exc_info is not None
    assert record.exc_info[0] is LookupError
