"""What a service says, and to whom: as much as its peers take, and at the cost of nobody else."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from flooded_rooms import HEARD, MEMBERS, heard_of_a_flood
from loop_clients import ANY, Client, let_the_loop_see_everything
from loop_runs import Run
from witnesses import Witness

from aionet.limits import CloseReason, Timeouts
from aionet.protocol import Answer, Echo, LengthPrefixed, Room
from aionet.server import serve
from aionet.stream import Stream

CHUNK = 100_000
MUCH = 8 << 20
F4 = LengthPrefixed(4)
KERNELS = 20 << 20  # more than two sockets hold


async def read_slowly(client: Client, size: int, *, within: float) -> int:
    """Read `size` bytes evenly for that many seconds; how many came."""
    received, began = 0, time.monotonic()
    while received < size and (data := await client.receive()):
        received += len(data)
        ahead = began + within * received / size - time.monotonic()
        if ahead > 0.005:
            await asyncio.sleep(ahead)
    return received


def narrow(client: Client) -> Client:
    client._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    return client


class Generous(Echo):
    """Answers each byte with a chunk."""

    def __init__(self) -> None:
        self.made = 0

    def receive_data(self, peer: Any, data: bytes) -> Answer:
        return self._chunks(peer, len(data))

    def _chunks(self, peer: Any, many: int) -> Iterator[tuple[Any, bytes]]:
        for _ in range(many):
            self.made += 1
            yield peer, bytes(CHUNK)


def test_an_answer_is_made_as_it_is_taken_and_all_of_it_comes(run: Run[Any]) -> None:
    chunks = 600

    async def main() -> None:
        service = Generous()
        async with serve(service, ANY) as server, Client(server) as client:
            await client.send(bytes(chunks))
            await let_the_loop_see_everything()
            assert 0 < service.made * CHUNK < KERNELS
            client.finish()
            received = 0
            while data := await client.receive(1 << 20):
                received += len(data)
            assert received == chunks * CHUNK
        assert server.stats.closed[CloseReason.EOF] == 1

    run(main())


class Tells(Echo):
    """Tells all others what one says; to who says "wrong" it owes an error."""

    def __init__(self) -> None:
        self.peers: list[Any] = []

    def connect(self, peer: Any) -> Answer:
        self.peers.append(peer)
        return [(peer, b"hello")]

    def receive_data(self, peer: Any, data: bytes) -> Answer:
        others = [each for each in self.peers if each is not peer]
        if data == b"wrong":
            return [(others[0], "no bytes"), *((each, data) for each in others[1:])]
        return [(each, data) for each in others]


def test_what_is_wrongly_delivered_to_another_costs_only_who_spoke(
    run: Run[Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        witness = Witness()
        async with (
            serve(Tells(), ANY, hooks=witness.hooks) as server,
            Client(server) as first,
            Client(server) as second,
            Client(server) as talker,
        ):
            for client in (first, second, talker):
                assert await client.receive() == b"hello"
            await talker.send(b"wrong")
            with pytest.raises(ConnectionResetError):
                await talker.receive_rest()
            for one, other in ((first, second), (second, first)):
                await one.send(b"still here")
                assert (await other.receive()).endswith(b"still here")
            assert witness.reasons == [CloseReason.ERROR]

    run(main())
    assert [record.levelname for record in caplog.records] == ["ERROR"]


class Large(Echo):
    def receive_data(self, peer: Any, data: bytes) -> Answer:
        return [(peer, bytes(MUCH))]


async def large(stream: Stream) -> None:
    async for _ in stream:
        await stream.send_all(bytes(MUCH))


@pytest.mark.parametrize("write", [30.0, None])
@pytest.mark.parametrize("service", [Large(), large])
def test_who_reads_steadily_for_longer_than_idle_is_not_idle(
    run: Run[Any], service: Any, write: float | None
) -> None:
    async def main() -> None:
        timeouts = Timeouts(idle=0.3, write=write)
        async with (
            serve(service, ANY, timeouts=timeouts) as server,
            narrow(Client(server)) as client,
        ):
            await client.send(b"go")
            assert await read_slowly(client, MUCH, within=1.5) == MUCH

    run(main())


async def curt(stream: Stream) -> None:
    await stream.receive()
    await stream.send_all(bytes(MUCH))


def test_who_is_closed_gets_all_though_it_talks_and_reads_slowly(run: Run[Any]) -> None:
    async def main() -> None:
        async def talk(client: Client) -> None:
            while True:
                await client.send(b"and another thing")
                await asyncio.sleep(0.02)

        async with (
            serve(curt, ANY, timeouts=Timeouts(linger=0.2)) as server,
            narrow(Client(server)) as client,
        ):
            await client.send(b"go")
            talking = asyncio.create_task(talk(client))
            assert await read_slowly(client, MUCH, within=1.5) == MUCH
            assert await client.receive() == b""
            talking.cancel()
        assert server.stats.closed[CloseReason.DONE] == 1

    run(main())


class Thousandfold(Echo):
    def receive_data(self, peer: Any, data: bytes) -> Answer:
        return [(peer, bytes(100))] * 1000


async def thousandfold(stream: Stream) -> None:
    async for _ in stream:
        for _ in range(1000):
            await stream.send_all(bytes(100))


@pytest.mark.parametrize("service", [Thousandfold(), thousandfold])
def test_nothing_is_logged_of_a_peer_that_resets_while_it_is_told_much(
    run: Run[Any], service: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serve(service, ANY) as server:
            for _ in range(10):
                async with Client(server) as client:
                    await client.send(b"go")
                    client.reset()
                await let_the_loop_see_everything()

    run(main())
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


def test_a_peer_that_sends_many_short_lines_leaves_others_their_turn(run: Run[Any]) -> None:
    lines = 60_000

    async def main() -> None:
        turns = 0
        lines_in_turn: Counter[int] = Counter()

        async def turn() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async def handler(stream: Stream) -> None:
            async for _ in stream.lines():
                lines_in_turn[turns] += 1

        async with serve(handler, ANY) as server, Client(server) as client:
            turning = asyncio.create_task(turn())
            await client.send(b"\n" * lines)
            client.finish()
            assert await client.receive_rest() == b""
            turning.cancel()
        assert lines_in_turn.total() == lines
        assert max(lines_in_turn.values()) <= 200

    run(main())


def test_a_peer_whose_many_short_frames_are_answered_leaves_others_their_turn(
    run: Run[Any],
) -> None:
    frames = 60_000
    answer = F4.encode(b"")

    async def main() -> None:
        turns = 0
        calls_in_turn: Counter[int] = Counter()

        class Counts(Echo):
            def receive_data(self, peer: Any, data: bytes) -> Answer:
                calls_in_turn[turns] += 1
                return answer

        async def turn() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async with serve(Counts(), ANY, framing=F4) as server, Client(server) as client:
            turning = asyncio.create_task(turn())
            sending = asyncio.create_task(client.send(answer * frames))
            received = b""
            while len(received) < len(answer) * frames:
                received += await client.receive(1 << 20)
            await sending
            turning.cancel()
        assert received == answer * frames
        assert calls_in_turn.total() == frames
        assert max(calls_in_turn.values()) <= 600

    run(main())


def test_what_was_sent_may_be_changed_afterwards(run: Run[Any]) -> None:
    blocks, size = 200, 64 * 1024

    async def main() -> None:
        async def handler(stream: Stream) -> None:
            await stream.receive()
            block = bytearray(size)
            for number in range(blocks):
                block[:] = bytes([number]) * size
                await stream.send_all(memoryview(block) if number % 2 else block)

        async with serve(handler, ANY) as server, Client(server) as client:
            await client.send(b"go")
            await let_the_loop_see_everything()
            received = await client.receive_rest()
        assert received == b"".join(bytes([number]) * size for number in range(blocks))

    run(main())


def test_members_who_read_hear_all_that_one_says_in_one_packet(run: Run[Any]) -> None:
    async def main() -> None:
        async with serve(Room(), ANY) as server:
            (address,) = server.addresses
            where = (address.host, address.port)
            assert await asyncio.to_thread(heard_of_a_flood, where) == [HEARD] * MEMBERS

    run(main())
