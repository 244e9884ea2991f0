"""A handler that finishes sending and goes on receiving, and one that resets its peer."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Any

import pytest
from handler_notes import records
from loop_clients import ANY, Client
from loop_runs import Run
from witnesses import Witness

import aionet
from aionet import ABORT, ClosedStreamError, Service, Stream, serve
from aionet.limits import CloseReason
from aionet.testing import MemoryServer


def test_peer_sees_the_end_and_is_still_heard(run: Run[Any]) -> None:
    heard: list[bytes] = []

    async def handler(stream: Stream) -> None:
        await stream.send_all(b"all that there is")
        await stream.send_eof()
        await stream.send_eof()
        heard.extend([data async for data in stream])

    async def main() -> None:
        witness = Witness()
        async with serve(handler, ANY, hooks=witness.hooks) as server, Client(server) as client:
            assert await client.receive_rest() == b"all that there is"
            await client.send(b"thank ")
            await client.send(b"you")
            client.finish()
            await witness.until(lambda: witness.closed)
            assert witness.reasons == [CloseReason.EOF]
        assert b"".join(heard) == b"thank you"

    run(main())


def test_end_comes_after_what_a_slow_reader_has_not_taken_yet(run: Run[Any]) -> None:
    size = 6 << 20

    async def handler(stream: Stream) -> None:
        await stream.send_all(bytes(size))
        await stream.send_eof()
        assert await stream.receive() == b""

    async def main() -> None:
        async with serve(handler, ANY) as server, Client(server) as client:
            assert len(await client.receive_rest()) == size
            client.finish()

    run(main())


def test_half_close_over_tls_is_a_close_notify(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    heard: list[bytes] = []

    async def handler(stream: Stream) -> None:
        await stream.send_all(b"hello")
        await stream.send_eof()
        heard.append(await stream.receive_exactly(3))

    async def main() -> None:
        async with serve(handler, ANY, tls=tls) as server:
            (address,) = server.addresses
            async with await aionet.connect(address, tls=trusting) as client:
                assert await client.receive_exactly(5) == b"hello"
                assert await client.receive() == b""
                await client.send_all(b"yes")
                await client.send_eof()
                assert await client.wait_closed() is CloseReason.EOF
        assert heard == [b"yes"]

    run(main())


def test_nothing_can_be_sent_after_the_end() -> None:
    async def handler(stream: Stream) -> None:
        await stream.send_eof()
        with pytest.raises(ClosedStreamError, match="send_eof"):
            await stream.send_all(b"more")
        assert not stream.send_nowait(b"more")
        await stream.receive()

    with MemoryServer(handler) as server:
        peer = server.connect()
        server.deliver([(server.peers, b"from others")])  # nor by others
        peer.finish()
        assert (peer.received, peer.at_eof) == (b"", True)
        assert peer.closed is CloseReason.EOF


def test_drain_takes_who_has_finished_sending_as_any_other(run: Run[Any]) -> None:
    async def handler(stream: Stream) -> None:
        await stream.send_all(b"x")
        await stream.send_eof()
        async for _ in stream:
            pass

    async def main() -> None:
        async with serve(handler, ANY) as server, Client(server) as client:
            assert await client.receive_rest() == b"x"
            report = await server.drain()
            assert (report.finished, report.aborted) == (1, 0)

    run(main())


def test_drain_does_not_forget_an_end_that_waits_for_a_slow_reader(run: Run[Any]) -> None:
    size = 6 << 20

    async def handler(stream: Stream) -> None:
        stream.send_nowait(bytes(1 << 19))
        await stream.send_all(bytes(size - (1 << 19)))
        await stream.send_eof()
        await stream.receive()

    async def main() -> None:
        async with serve(handler, ANY) as server, Client(server) as client:
            await asyncio.sleep(0)
            draining = asyncio.create_task(server.drain())
            assert len(await client.receive_rest()) == size
            report = await draining
            assert report.aborted == 0

    run(main())


def test_aborted_peer_sees_a_reset_and_no_end(run: Run[Any], caplog: Any) -> None:
    async def handler(stream: Stream) -> None:
        await stream.send_all(b"half an ans")
        await stream.receive()
        stream.abort()
        stream.abort()

    async def main() -> None:
        witness = Witness()
        async with serve(handler, ANY, hooks=witness.hooks) as server, Client(server) as client:
            await client.send(b"go")
            with pytest.raises(ConnectionResetError):
                await client.receive_rest()
            await witness.until(lambda: witness.closed)
            assert witness.reasons == [CloseReason.ABORTED]
        assert records(caplog) == []

    run(main())


def test_abort_after_close_cuts_what_is_unsent(run: Run[Any]) -> None:
    async def handler(stream: Stream) -> None:
        stream.send_nowait(bytes(1 << 20))
        stream.close()
        stream.abort()

    async def main() -> None:
        async with serve(handler, ANY) as server, Client(server) as client:
            with pytest.raises(ConnectionResetError):
                await client.receive_rest()
            assert server.stats.closed[CloseReason.DONE] == 1  # it was closed before

    run(main())


def test_service_resets_by_name() -> None:
    class Resets(Service):
        def receive_data(self, peer: Any, data: bytes) -> Any:
            return [(peer, b"never sent"), (peer, ABORT)]

    with MemoryServer(Resets()) as server:
        peer = server.connect()
        peer.send(b"x")
        assert (peer.received, peer.was_reset) == (b"", True)
        assert peer.closed is CloseReason.ABORTED


@pytest.mark.parametrize("how", ["peer", "handler", "abort", "drain"])
def test_end_can_be_waited_for(how: str) -> None:
    reasons: list[CloseReason] = []

    async def wait(stream: Stream) -> None:
        reasons.append(await stream.wait_closed())

    async def handler(stream: Stream) -> None:
        tasks.append(asyncio.create_task(wait(stream)))
        data = await stream.receive()
        if data == b"abort":
            stream.abort()
        if data == b"close":
            stream.close()
            reasons.append(await stream.wait_closed())

    tasks: list[Any] = []
    with MemoryServer(handler) as server:
        peer = server.connect()
        if how == "peer":
            peer.reset()
        elif how == "drain":
            server.drain()
        else:
            peer.send(b"close" if how == "handler" else b"abort")
            peer.finish()
    expected = {
        "peer": [CloseReason.RESET],
        "handler": [CloseReason.DONE] * 2,
        "abort": [CloseReason.ABORTED],
        "drain": [CloseReason.DRAIN],
    }
    assert reasons == expected[how]


def test_handler_that_waits_for_the_end_of_its_peer_is_told_and_not_cancelled() -> None:
    reasons: list[CloseReason] = []

    async def handler(stream: Stream) -> None:
        reasons.append(await stream.wait_closed())
        await asyncio.sleep(1)
        reasons.append(await stream.wait_closed())

    with MemoryServer(handler) as server:
        server.connect().reset()
        server.advance(1)
        assert reasons == [CloseReason.RESET] * 2


def test_stream_is_a_context_that_closes_or_aborts(run: Run[Any]) -> None:
    async def main() -> None:
        async with serve(aionet.Echo(), ANY) as server:
            (address,) = server.addresses
            async with await aionet.connect(address) as stream:
                await stream.send_all(b"x")
                assert await stream.receive() == b"x"
            assert await stream.wait_closed() is CloseReason.DONE
            with contextlib.suppress(KeyError):
                async with await aionet.connect(address) as stream:
                    raise KeyError
            assert await stream.wait_closed() is CloseReason.ABORTED

    run(main())


def test_each_stream_has_a_namespace_of_its_own() -> None:
    async def handler(stream: Stream) -> None:
        stream.context.name = await stream.receive_line()
        seen.append((stream.context, stream.context.name))

    seen: list[Any] = []
    with MemoryServer(handler) as server:
        for name in (b"ann\n", b"bob\n"):
            server.connect().send(name)
    assert [name for _, name in seen] == [b"ann", b"bob"]
    assert seen[0][0] is not seen[1][0]
