"""Handlers of datagrams: what they know, how many are at work, and how they end."""

from __future__ import annotations

import asyncio
import functools
import logging
import operator
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from datagram_clients import ANY, client_of
from loop_runs import Run

from aionet import CLOSE, connect_datagram, datagram, throttle
from aionet.datagram import Datagram
from aionet.limits import Limits
from aionet.server import serve
from aionet.testing import MemoryServer


def test_a_handler_is_called_for_every_datagram_and_may_take_its_time(run: Run[Any]) -> None:
    async def main() -> None:
        go = asyncio.Event()

        async def handler(received: Datagram) -> None:
            if received.data == b"slow":
                await go.wait()
            assert received.reply(received.data.upper())

        async with serve(handler, ANY) as server:
            with client_of(server) as client:
                client.send(b"slow")
                for data in (b"quick", b"", b"quick, too"):
                    assert await client.exchange(data) == data.upper()
                go.set()
                assert await client.receive() == b"SLOW"
        assert server.stats.datagrams == server.stats.replies == 4

    run(main())


def test_a_handler_knows_the_sender_and_may_answer_several_times(run: Run[Any]) -> None:
    async def handler(received: Datagram) -> None:
        host, port = received.sender[:2]
        for word in (host, str(port), ""):
            received.reply(word.encode())

    async def main() -> None:
        async with serve(handler, ANY) as server:
            with client_of(server) as client:
                assert await client.exchange(b"who am I?") == b"127.0.0.1"
                assert await client.receive() == str(client._sock.getsockname()[1]).encode()
                assert await client.receive() == b""

    run(main())


def test_a_reply_over_the_rate_is_told_to_the_handler(
    run: Run[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datagram, "WINDOW_S", 1000.0)

    async def main() -> None:
        went: list[bool] = []

        async def handler(received: Datagram) -> None:
            went.extend(received.reply(b"again") for _ in range(3))

        async with serve(handler, ANY, limits=Limits(udp_rate_loopback=2)) as server:
            with client_of(server) as client:
                client.send(b"hello")
                await server.drain()
        assert went == [True, True, False]
        assert (server.stats.replies, server.stats.unanswered) == (2, 1)

    run(main())


async def divide(received: Datagram) -> None:
    received.reply(b"%d" % (100 // int(received.data)))


async def divide_later(received: Datagram) -> None:
    await asyncio.sleep(0)
    await divide(received)


def divide_at_once(received: Datagram) -> None:
    received.reply(b"%d" % (100 // int(received.data)))


@pytest.mark.parametrize("handler", [divide, divide_later, divide_at_once])
def test_a_handler_that_fails_is_logged_a_few_times_and_others_go_on(
    run: Run[Any],
    handler: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(throttle, "_kinds", {})

    async def main() -> None:
        async with serve(handler, ANY) as server:
            with client_of(server) as client:
                for _ in range(200):
                    client.send(b"0")
                assert await client.exchange(b"5") == b"20"
                assert f"datagram of {client.address}" in caplog.messages[0]

    run(main())
    records = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert 1 <= len(records) < 50
    first, *others = records
    assert first.exc_info is not None
    assert first.exc_info[0] is ZeroDivisionError
    assert all(each.exc_info is None for each in others)
    assert all(
        "ZeroDivisionError, whose traceback is above" in each.getMessage() for each in others
    )


class Given(BaseException):
    """What no `except Exception` catches."""


async def gives(received: Datagram) -> None:
    raise Given


async def gives_later(received: Datagram) -> None:
    await asyncio.sleep(0)
    raise Given


def gives_at_once(received: Datagram) -> None:
    raise Given


async def awaits_what_is_cancelled(received: Datagram) -> None:
    query: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    query.cancel()
    await query


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (gives, Given),
        (gives_later, Given),
        (gives_at_once, Given),
        (awaits_what_is_cancelled, asyncio.CancelledError),
    ],
)
def test_what_is_no_exception_has_failed_too(
    run: Run[Any],
    handler: Any,
    error: type[BaseException],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(throttle, "_kinds", {})

    async def main() -> None:
        async with serve(handler, ANY) as server:
            with client_of(server) as client:
                client.send(b"hello")
                await server.drain()

    run(main())
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "the handler failed over a datagram" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[0] is error


def plain(received: Datagram) -> None:
    received.reply(b"yes")


async def patient(received: Datagram) -> None:
    received.reply(b"yes")


class Polite:
    async def __call__(self, received: Datagram) -> None:
        received.reply(b"yes")


@pytest.mark.parametrize(
    "handler",
    [
        plain,
        patient,
        lambda received: patient(received),
        lambda received: received.reply(b"yes"),
        functools.partial(lambda word, received: received.reply(word), b"yes"),
        Polite(),
        Polite().__call__,
        operator.methodcaller("reply", b"yes"),
    ],
)
def test_a_handler_is_whatever_can_be_called_with_a_datagram(
    run: Run[Any], handler: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serve(handler, ANY) as server:
            with client_of(server) as client:
                assert await client.exchange(b"well?") == b"yes"

    run(main())
    assert caplog.records == []


def generator(received: Datagram) -> Iterator[bytes]:
    yield b"no"


async def generator_too(received: Datagram) -> AsyncIterator[bytes]:
    yield b"no"


@pytest.mark.parametrize(
    ("handler", "why"),
    [
        (generator, "has a yield in it"),
        (generator_too, "has a yield in it"),
        (lambda: None, "takes no stream"),
        (lambda data, address: None, "takes no stream"),
        (Datagram, "is a class"),
        (b"yes", "neither a Service nor a handler"),
        (None, "neither a Service nor a handler"),
    ],
)
def test_what_cannot_handle_a_datagram_is_refused_before_listening(handler: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        serve(handler, "tcp://127.0.0.1:0", ANY)


def test_that_is_found_out_as_well_where_only_the_socket_tells_that_it_is_udp(
    run: Run[Any],
) -> None:
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))

    async def main() -> None:
        with pytest.raises(ValueError, match="has a yield in it"):
            async with serve(generator, f"fd://{sock.detach()}"):  # type: ignore[arg-type]
                pass

    run(main())


def test_what_comes_while_too_many_are_at_work_is_not_handled(run: Run[Any]) -> None:
    async def main() -> None:
        go = asyncio.Event()

        async def handler(received: Datagram) -> None:
            await go.wait()
            received.reply(received.data)

        async with serve(handler, ANY, limits=Limits(udp_handlers=2)) as server:
            with client_of(server) as client:
                for number in range(5):
                    client.send(b"%d" % number)
                while server.stats.unanswered < 3:
                    await asyncio.sleep(0)
                go.set()
                assert sorted([await client.receive(), await client.receive()]) == [b"0", b"1"]
                assert await client.exchange(b"room again") == b"room again"

    run(main())


def test_draining_waits_for_handlers_until_the_deadline(run: Run[Any]) -> None:
    async def main() -> None:
        begun, go, ended = asyncio.Event(), asyncio.Event(), []

        async def handler(received: Datagram) -> None:
            begun.set()
            try:
                if received.data == b"stuck":
                    await asyncio.Event().wait()
                await go.wait()
                ended.append(received.reply(b"done"))
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

        async with serve(handler, ANY) as server:
            with client_of(server) as client:
                client.send(b"slow")
                await begun.wait()
                asyncio.get_running_loop().call_soon(go.set)
                await server.drain()
                assert await client.receive() == b"done"
        begun.clear()
        async with serve(handler, ANY) as server:
            with client_of(server) as client:
                client.send(b"stuck")
                await begun.wait()
                await server.drain(0.05)
        assert ended == [True, "cancelled"]

    run(main())


# What a handler gives is no answer.


def gives(what: Any) -> Any:
    return lambda received: what


def gives_later(what: Any) -> Any:
    async def handler(received: Datagram) -> Any:
        return what

    return handler


@pytest.mark.parametrize("kind", [gives, gives_later])
@pytest.mark.parametrize("what", [b"yes", bytearray(b"yes"), "yes", CLOSE])
def test_handler_that_gives_an_answer_is_told_that_it_goes_to_nobody(
    caplog: pytest.LogCaptureFixture, kind: Any, what: Any
) -> None:
    with MemoryServer(kind(what)) as server:
        assert server.datagram(b"hello") == []
        server.drain()
    (message,) = caplog.messages
    assert f"gave {type(what).__name__}, which goes to nobody: datagram.reply() sends" in message


@pytest.mark.parametrize("what", [None, True, False, 5, [True]])
def test_nothing_is_told_of_what_is_no_answer(caplog: pytest.LogCaptureFixture, what: Any) -> None:
    for kind in (gives, gives_later):
        with MemoryServer(kind(what)) as server:
            server.datagram(b"hello")
            server.drain()
    assert caplog.messages == []


def test_generator_that_a_handler_gives_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with MemoryServer(lambda received: generator(received)) as server:  # type: ignore[arg-type]
        server.datagram(b"hello")
    assert "gave generator, which goes to nobody" in caplog.text


@pytest.mark.parametrize("what", ["text", 5, None])
def test_what_is_not_bytes_is_not_sent(run: Run[Any], what: Any) -> None:
    hint = r": text\.encode\(\)" if what == "text" else ""
    said = f"{type(what).__name__}; it must be bytes{hint}$"

    async def handler(received: Datagram) -> None:
        with pytest.raises(TypeError, match=rf"^reply\(\) was given {said}"):
            received.reply(what)
        received.reply(b"refused")

    async def main() -> None:
        async with serve(handler, ANY) as server:
            async with await connect_datagram(str(server.addresses[0])) as client:
                with pytest.raises(TypeError, match=rf"^send\(\) was given {said}"):
                    client.send(what)
                client.send(b"hello")
                assert await client.receive() == b"refused"
            with pytest.raises(TypeError, match=rf"^send_to\(\) was given {said}"):
                server.send_to(what, client.address)

    run(main())
