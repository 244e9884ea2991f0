"""The end of a stream, broken or closed, as those see it who wait and who ask later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from handler_notes import Notes, records
from patience import PATIENT

from aionet.limits import CloseReason, Limits, Timeouts
from aionet.stream import ClosedStreamError, Stream
from aionet.testing import MemoryServer

LIMIT = 8
ADDRESS = ("192.0.2.1", 40000)


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda server, peer: peer.reset(), CloseReason.RESET),
        (lambda server, peer: server.advance(25), CloseReason.IDLE),
        (lambda server, peer: (peer.send(b"x"), server.advance(13)), CloseReason.SLOW_MESSAGE),
        (lambda server, peer: peer.send(b"x" * 20), CloseReason.OVERSIZE),
    ],
)
def test_a_broken_stream_says_why_to_who_waits_and_who_asks_later(
    end: Callable[..., object], reason: CloseReason, caplog: pytest.LogCaptureFixture
) -> None:
    seen = Notes()

    async def handler(stream: Stream) -> None:
        await seen.of(stream.receive_line())
        await seen.of(stream.receive())
        await seen.of(stream.receive_line())
        await seen.of(stream.send_all(b"hello?"))
        await stream.receive()

    timeouts = Timeouts(idle=20, message=10)
    with MemoryServer(handler, limits=Limits(message=LIMIT), timeouts=timeouts) as server:
        peer = server.connect(ADDRESS)
        end(server, peer)
        assert [error.reason for error in seen] == [reason] * 4
        assert str(seen[0]) == f"the connection to {ADDRESS} is gone ({reason})"
        peer.finish()
        assert peer.closed is reason
    assert records(caplog) == []


def test_the_use_of_a_stream_after_closing_it_is_a_mistake() -> None:
    seen = Notes()

    async def handler(stream: Stream) -> None:
        await stream.send_all(b"bye")
        stream.close()
        stream.close()
        await seen.of(stream.receive())
        await seen.of(stream.receive_line())
        await seen.of(stream.send_all(b"hello?"))

    with MemoryServer(handler) as server:
        peer = server.connect()
        assert peer.received == b"bye"
        assert [type(error) for error in seen] == [ClosedStreamError] * 3
        peer.finish()
        assert peer.closed is CloseReason.DONE


def test_what_has_arrived_cannot_be_received_after_closing() -> None:
    seen = Notes()

    async def handler(stream: Stream) -> None:
        await stream.receive(1)
        stream.close()
        await seen.of(stream.receive())
        await seen.of(stream.receive_line())

    with MemoryServer(handler) as server:
        server.connect().send(b"hello\n")
        assert [type(error) for error in seen] == [ClosedStreamError] * 2


def test_closing_wakes_who_receives_and_who_sends() -> None:
    seen = Notes()

    async def handler(stream: Stream) -> None:
        await stream.receive()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(seen.of(stream.receive()))
            tasks.create_task(seen.of(stream.send_all(bytes(1000))))
            await asyncio.sleep(1)
            stream.close()

    with MemoryServer(handler, limits=Limits(write_buffer=500), timeouts=PATIENT) as server:
        peer = server.connect()
        peer.stop_reading()
        peer.send(b"go")
        assert seen == []
        server.advance(1)
        assert [error.reason for error in seen] == [CloseReason.DONE] * 2
        peer.start_reading()
        assert len(peer.received) == 1000


def test_another_task_may_close_the_stream_of_a_handler_that_receives(
    caplog: pytest.LogCaptureFixture,
) -> None:
    streams: list[Stream] = []

    async def handler(stream: Stream) -> None:
        streams.append(stream)
        await stream.send_all(b"wait")
        await stream.receive()

    with MemoryServer(handler) as server:
        peer = server.connect()
        streams[0].close()
        server.advance(0)
        peer.finish()
        assert (peer.received, peer.closed) == (b"wait", CloseReason.DONE)
    assert records(caplog) == []


@pytest.mark.parametrize("what", [5, [72, 105], "hello", None])
def test_what_is_not_bytes_is_not_sent(what: Any) -> None:
    hint = r": text\.encode\(\)" if what == "hello" else ""
    said = f"^send_all\\(\\) was given {type(what).__name__}; it must be bytes{hint}$"

    async def handler(stream: Stream) -> None:
        with pytest.raises(TypeError, match=said):
            await stream.send_all(what)
        with pytest.raises(TypeError, match=said.replace("send_all", "send_nowait")):
            stream.send_nowait(what)
        with pytest.raises(TypeError, match=said.replace("send_all", "send_frame")):
            await stream.send_frame(what)
        await stream.send_all(b"refused")

    with MemoryServer(handler) as server:
        assert server.connect().received == b"refused"


@pytest.mark.parametrize("what", [b"bye", "bye", None, CloseReason.DONE, [b"bye"]])
def test_what_a_handler_gives_is_no_answer(caplog: pytest.LogCaptureFixture, what: Any) -> None:
    async def handler(stream: Stream) -> Any:
        await stream.send_all(b"hello")
        return what

    with MemoryServer(handler) as server:
        peer = server.connect()
        peer.finish()
        assert (peer.received, peer.closed) == (b"hello", CloseReason.DONE)
    said = [record.getMessage() for record in records(caplog)]
    if type(what) in (bytes, str):
        assert len(said) == 1
        assert f"gave {type(what).__name__}, which goes to nobody: stream.send_all() s" in said[0]
    else:
        assert said == []
