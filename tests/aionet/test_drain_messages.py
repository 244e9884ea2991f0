"""What a drain leaves of a message under way: nothing that anybody takes for a whole one."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from handler_notes import Notes, records
from loop_clients import ANY, Client, let_the_loop_see_everything
from loop_runs import Run

from aionet.limits import CloseReason
from aionet.protocol import Lines
from aionet.server import serve
from aionet.stream import Stream
from aionet.stream_errors import IncompleteError
from aionet.testing import MemoryServer


@pytest.mark.parametrize(
    "call",
    [
        lambda stream: stream.receive_line(),
        lambda stream: anext(stream.lines()),
        lambda stream: stream.receive_message(Lines(100)),
        lambda stream: stream.receive_until(b"\n"),
        lambda stream: stream.receive_exactly(10),
    ],
)
def test_drain_makes_no_whole_message_of_half_a_one(
    call: Any, caplog: pytest.LogCaptureFixture
) -> None:
    seen = Notes()

    async def handler(stream: Stream) -> None:
        await seen.of(call(stream))
        await stream.receive_line()

    with MemoryServer(handler) as server:
        peer = server.connect()
        peer.send(b"delete 12")
        server.drain()
        assert peer.closed is CloseReason.DRAIN
    (error,) = seen
    assert isinstance(error, IncompleteError)
    assert (error.partial, error.reason) == (b"delete 12", CloseReason.DRAIN)
    assert records(caplog) == []


def test_last_line_of_a_peer_that_has_finished_is_whole_in_a_drain() -> None:
    lines: list[bytes | None] = []

    async def handler(stream: Stream) -> None:
        await stream.draining.wait()
        lines.extend([await stream.receive_line(), await stream.receive_line()])

    with MemoryServer(handler) as server:
        peer = server.connect()
        peer.send(b"delete 123")
        peer.finish()
        server.drain()
    assert lines == [b"delete 123", None]


@pytest.mark.parametrize("place", ["tcp", "unix"])
@pytest.mark.parametrize("finishes", [True, False])
def test_real_drain_tells_who_has_finished_from_who_has_not(
    run: Run[Any], tmp_path: Path, place: str, finishes: bool
) -> None:
    seen = Notes()

    async def handler(stream: Stream) -> None:
        await seen.of(stream.receive_line())

    async def main() -> None:
        where = ANY if place == "tcp" else f"unix://{tmp_path}/socket"
        async with serve(handler, where) as server, Client(server) as client:
            await client.send(b"delete 12")
            await let_the_loop_see_everything()
            if finishes:
                client.finish()
            await server.drain()

    run(main())
    if finishes:
        assert seen == [b"delete 12"]
    else:
        assert [type(each) for each in seen] == [IncompleteError]


@pytest.mark.parametrize("finishes", [True, False])
def test_drain_over_tls_tells_who_has_finished_from_who_has_not(
    tls: ssl.SSLContext, trusting: ssl.SSLContext, finishes: bool
) -> None:
    seen = Notes()

    async def handler(stream: Stream) -> None:
        await seen.of(stream.receive_line())

    trusting.check_hostname = False
    with MemoryServer(handler, tls=tls) as server:
        peer = server.connect(tls=trusting)
        peer.send(b"delete 12")
        if finishes:
            peer.finish()
        server.drain()
    if finishes:
        assert seen == [b"delete 12"]
    else:
        assert [type(each) for each in seen] == [IncompleteError]
