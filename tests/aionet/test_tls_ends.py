"""TLS: each direction ends for itself, and what is due is delivered, as over TCP."""

from __future__ import annotations

import asyncio
import logging
import ssl
from dataclasses import replace
from typing import Any

import pytest
from loop_clients import ANY, let_the_loop_see_everything
from loop_runs import Run
from patience import PATIENT
from tls_clients import TLSClient, Witness, connect

from aionet.core import State
from aionet.limits import CloseReason, Limits, Timeouts
from aionet.protocol import CLOSE, Answer, Echo
from aionet.server import Server, serve
from aionet.stream import Stream

MUCH = bytes(range(256)) * 48 * 1024  # 12 MiB


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Any:
    """Nothing of what is tested here is worth a line in the log, of the loop's neither."""
    yield
    assert [each for each in caplog.get_records("call") if each.levelno >= logging.WARNING] == []


def the_only(server: Server) -> Any:
    (peer,) = server._connections.hub.open
    return peer


async def shout(stream: Stream) -> None:
    async for line in stream.lines():
        await stream.send_all(line.upper() + b"\n")


class Much(Echo):
    """Answers with much, and closes."""

    def receive_data(self, peer: Any, data: bytes) -> Answer:
        return [(peer, MUCH), (peer, CLOSE)]


async def read_slowly(client: TLSClient, received: bytearray, *, within: int) -> bytearray:
    """Up to the end, with a rest of 20 ms in each of `within` parts."""
    part = len(MUCH) // within
    while piece := await client.receive():
        parts = len(received) // part
        received += piece
        if len(received) // part > parts:
            await asyncio.sleep(0.02)
    return received


# The peer's end.


@pytest.mark.parametrize("end", ["close_notify", "FIN"])
def test_who_has_finished_sending_gets_its_answers_and_then_our_end(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext, end: str
) -> None:
    async def main() -> None:
        witness, gone_on = Witness(), asyncio.Event()

        async def handler(stream: Stream) -> None:
            line = await stream.receive_line()
            assert await stream.receive_line() is None
            await gone_on.wait()
            await stream.send_all(b"answer to " + (line or b""))

        async with (
            serve(handler, ANY, tls=tls, hooks=witness.hooks) as server,
            TLSClient(server, trusting) as client,
        ):
            await client.shake_hands()
            await client.send(b"question\n", end=end == "close_notify")
            if end == "FIN":
                client.finish()
            while the_only(server).state is not State.HALF_CLOSED:
                await let_the_loop_see_everything()
            gone_on.set()
            assert await client.receive_rest() == b"answer to question"  # and a close_notify
            assert await witness.one_end() is CloseReason.EOF

    run(main())


def test_all_that_was_asked_before_a_close_notify_is_answered(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def main() -> None:
        witness = Witness()
        lines = [b"line %d of many" % number for number in range(20_000)]
        async with (
            serve(shout, ANY, tls=tls, hooks=witness.hooks) as server,
            TLSClient(server, trusting) as client,
        ):
            await client.shake_hands()
            said = asyncio.create_task(client.send(b"\n".join(lines), end=True))
            answered = bytearray()
            while piece := await client.receive():
                answered += piece
            await said
            assert answered.splitlines() == [line.upper() for line in lines]
            assert await witness.one_end() is CloseReason.EOF

    run(main())


@pytest.mark.parametrize("end", ["close_notify", "FIN"])
def test_half_closed_is_a_timeout_of_its_own(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext, end: str
) -> None:
    async def main() -> None:
        witness = Witness()

        async def handler(stream: Stream) -> None:
            await stream.receive()
            await asyncio.Event().wait()

        timeouts = Timeouts(idle=None, half_closed=0.1)
        async with (
            serve(handler, ANY, tls=tls, hooks=witness.hooks, timeouts=timeouts) as server,
            TLSClient(server, trusting) as client,
        ):
            await client.shake_hands()
            await client.send(b"hello", end=end == "close_notify")
            if end == "FIN":
                client.finish()
            assert await client.receive_rest() == b""
            assert await witness.one_end() is CloseReason.IDLE

    run(main())


# Our end.


@pytest.mark.parametrize("ends", ["service", "handler"])
def test_who_reads_longer_than_linger_gets_all_before_a_close(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext, ends: str
) -> None:
    async def main() -> None:
        witness = Witness()

        async def handler(stream: Stream) -> None:
            await stream.receive()
            await stream.send_all(MUCH)

        service = Much() if ends == "service" else handler
        timeouts = Timeouts(linger=0.1)
        async with (
            serve(service, ANY, tls=tls, hooks=witness.hooks, timeouts=timeouts) as server,
            TLSClient(server, trusting, receive_buffer=1 << 16) as client,
        ):
            await client.shake_hands()
            await client.send(b"go")
            assert await read_slowly(client, bytearray(), within=50) == MUCH
            assert await witness.one_end() is CloseReason.DONE

    run(main())


def test_who_reads_longer_than_linger_gets_all_in_a_drain(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def main() -> None:
        class Answers(Echo):
            def receive_data(self, peer: Any, data: bytes) -> Answer:
                return MUCH

        timeouts = Timeouts(linger=0.1, drain=20)
        async with (
            serve(Answers(), ANY, tls=tls, timeouts=timeouts) as server,
            TLSClient(server, trusting, receive_buffer=1 << 16) as client,
        ):
            await client.shake_hands()
            await client.send(b"go")
            received = bytearray(await client.receive())
            drain = asyncio.create_task(server.drain())
            assert await read_slowly(client, received, within=50) == MUCH
            client.finish()
            report = await drain
            assert (report.finished, report.aborted) == (1, 0)

    run(main())


def test_a_drain_waits_for_a_handler_that_works_on_its_answer(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def main() -> None:
        asked = asyncio.Event()

        async def handler(stream: Stream) -> None:
            line = await stream.receive_line()
            asked.set()
            await stream.draining.wait()
            assert await stream.receive() == b""
            await stream.send_all(b"answer to " + (line or b""))

        async with (
            serve(handler, ANY, tls=tls) as server,
            TLSClient(server, trusting) as client,
        ):
            await client.shake_hands()
            await client.send(b"question\n")
            await asked.wait()
            drain = asyncio.create_task(server.drain())
            assert await client.receive_rest() == b"answer to question"
            client.finish()
            report = await drain
            assert (report.finished, report.aborted) == (1, 0)

    run(main())


async def ask_for_more_than_fits(server: Server, client: TLSClient) -> int:
    """Echo without reading until the server has something that its kernel has no room for."""
    asked = 0
    while not any(each.unacked() and not each.reads for each in server._connections.hub.open):
        await client.send(bytes(8192))
        asked += 8192
        await asyncio.sleep(0)
    return asked


def test_who_has_ended_and_reads_little_by_little_stops_neither_time_nor_a_drain(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def main() -> None:
        witness = Witness()
        timeouts = Timeouts(idle=0.3, write=0.2, drain=0.5)
        limits = Limits(min_rate=1)
        async with (
            serve(
                Echo(), ANY, tls=tls, timeouts=timeouts, limits=limits, hooks=witness.hooks
            ) as server,
            TLSClient(server, trusting, receive_buffer=4096) as slow,
        ):
            await slow.shake_hands()
            await ask_for_more_than_fits(server, slow)
            slow.finish()

            async def read_on() -> None:
                while await slow.receive_packet():
                    await asyncio.sleep(0.02)

            reading = asyncio.create_task(read_on())
            async with connect(server, trusting) as (reader, _):
                assert await reader.read() == b""  # it was idle
            assert witness.reasons == [CloseReason.IDLE]
            async with connect(server, trusting) as (reader, writer):
                writer.write(b"hello")
                assert await reader.readexactly(5) == b"hello"
                drain = asyncio.create_task(server.drain())
                assert await reader.read() == b""
            report = await drain
            assert report.finished >= 1
            reading.cancel()
            await asyncio.wait([reading])

    run(main())


# What is known of a peer at its end, and of its place.


def test_the_place_of_an_address_comes_back(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def main() -> None:
        limits = Limits(per_peer=1, connections=1)
        witness, hosts, names = Witness(), [], []
        seen = witness.hooks.on_close
        assert seen is not None

        def on_close(peer: Any, reason: CloseReason) -> None:
            hosts.append(peer.address[0])
            names.append(peer.get_extra_info("cipher"))
            seen(peer, reason)

        hooks = replace(witness.hooks, on_close=on_close)
        async with serve(Echo(), ANY, tls=tls, limits=limits, hooks=hooks) as server:
            for number in range(1, 4):
                async with TLSClient(server, trusting) as client:
                    await client.shake_hands()
                    await client.send(b"hello", end=True)
                    assert await client.receive_rest() == b"hello"
                await witness.until(lambda n=number: len(witness.reasons) == n)
            assert hosts == ["127.0.0.1"] * 3
            assert all(names)
        assert server.stats.closed[CloseReason.EOF] == server.stats.accepted == 3

    run(main())


# Who reads late.


@pytest.mark.slow
def test_who_reads_nothing_for_a_while_gets_all_with_the_defaults(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def main() -> None:
        async with (
            serve(Echo(), ANY, tls=tls) as server,
            TLSClient(server, trusting) as client,
        ):
            await client.shake_hands()
            sending = asyncio.create_task(client.send(MUCH, end=True))
            await asyncio.sleep(5)
            received = bytearray()
            while piece := await client.receive():
                received += piece
            assert received == MUCH
            await sending

    run(main())


def test_who_does_not_read_is_not_listened_to(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def main() -> None:
        limits = Limits(write_buffer=16 * 1024)
        async with (
            serve(Echo(), ANY, tls=tls, limits=limits, timeouts=PATIENT) as server,
            TLSClient(server, trusting, receive_buffer=4096) as client,
        ):
            await client.shake_hands()
            asked = await ask_for_more_than_fits(server, client)
            sending = asyncio.create_task(client.send(MUCH, end=True))
            peer = the_only(server)
            for _ in range(3):
                await let_the_loop_see_everything()
            assert not peer.reads
            assert peer._transport.get_write_buffer_size() + peer.waiting < 1 << 20
            assert len(peer.extra.early) <= 512 * 1024
            received = bytearray()
            while piece := await client.receive():
                received += piece
            assert received == bytes(asked) + MUCH
            await sending

    run(main())
