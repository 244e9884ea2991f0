"""TLS records, of which nothing is heard before they are whole: how long one may take."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Any

import pytest
from loop_clients import ANY
from loop_runs import Run
from services import Noting
from tls_clients import TLSClient, Witness
from tls_wire import Client as FarEnd
from tls_wire import Shell

from aionet import Lines, Listen, Stream, Timeouts
from aionet.core.layer import RECORD
from aionet.limits import CloseReason
from aionet.protocol import Echo
from aionet.server import serve

LIMIT_S = 0.3
TIMEOUTS = Timeouts(message=LIMIT_S, idle=60)


async def raw(stream: Stream) -> None:
    async for data in stream:
        await stream.send_all(data)


async def lines(stream: Stream) -> None:
    while await stream.receive_line() is not None:
        await stream.send_all(b"hello")


SERVED = {
    "service": lambda tls: (Noting(), Listen(ANY, tls=tls)),
    "framing": lambda tls: (Noting(), Listen(ANY, tls=tls, framing=Lines(64))),
    "handler": lambda tls: (raw, Listen(ANY, tls=tls)),
    "handler of lines": lambda tls: (lines, Listen(ANY, tls=tls)),
}


@pytest.mark.parametrize("before", [b"", b"hello\n"], ids=["first", "second"])
@pytest.mark.parametrize("served", SERVED.values(), ids=SERVED)
def test_record_that_trickles_is_a_slow_message(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext, served: Any, before: bytes
) -> None:
    async def main() -> None:
        service, place = served(tls)
        witness = Witness()
        async with (
            serve(service, place, hooks=witness.hooks, timeouts=TIMEOUTS) as server,
            TLSClient(server, trusting) as client,
        ):
            await client.shake_hands()
            packet = client.wrapped(before) if before else b""
            record = client.wrapped(bytes(1000))
            await client.send_packet(packet + record[:3])
            with contextlib.suppress(OSError):
                for byte in record[3:-1]:
                    await client.send_packet(bytes([byte]))
                    await asyncio.sleep(LIMIT_S / 10)
                    if witness.reasons:
                        break
            assert witness.reasons == [CloseReason.SLOW_MESSAGE]

    run(main())


@pytest.mark.parametrize("service", [Echo(), raw], ids=["service", "handler"])
def test_each_record_has_the_time_of_a_message(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext, service: Any
) -> None:
    async def main() -> None:
        async with (
            serve(service, ANY, tls=tls, timeouts=TIMEOUTS) as server,
            TLSClient(server, trusting) as client,
        ):
            await client.shake_hands()
            rest = b""
            for _ in range(8):  # always in the midst of one
                record = client.wrapped(b"hello")
                await client.send_packet(rest + record[:9])
                rest = record[9:]
                await asyncio.sleep(LIMIT_S / 4)
            await client.send_packet(rest)
            await asyncio.sleep(2 * LIMIT_S)  # and now in none
            await client.send(b"!")
            heard = b""
            while not heard.endswith(b"!"):
                heard += await client.receive()
            assert heard == b"hello" * 8 + b"!"

    run(main())


def test_it_is_known_whether_a_record_is_cut(tls: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    shell, far = Shell(tls, Echo()), FarEnd(trusting)
    wire = shell.arrive(far.shake_hands())
    far.learn(wire)
    shell.arrive(far.shake_hands())
    assert shell.peer.extra is not None
    layer = shell.peer.extra.tls
    assert layer is not None
    for size in (1, 100, RECORD, 3 * RECORD):
        wire = far.say(bytes(size)) + far.say(b"x")
        for cut in {1, 4, 5, 6, size // 2 + 1, size, len(wire) - 1}:
            shell.arrive(wire[:cut])
            assert layer.cut
            shell.arrive(wire[cut:])
            assert not layer.cut
            wire = far.say(bytes(size)) + far.say(b"x")
        shell.arrive(wire)
        assert not layer.cut
