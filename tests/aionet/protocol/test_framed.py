"""A service that is given whole messages."""

from __future__ import annotations

from typing import Any

import pytest

from aionet import (
    CLOSE,
    Exactly,
    IncompleteError,
    LengthPrefixed,
    Limits,
    Lines,
    Service,
    Stream,
    Timeouts,
    Until,
)
from aionet.limits import CloseReason
from aionet.protocol import Framed
from aionet.testing import MemoryServer

FRAMES = LengthPrefixed(4, limit=1000)


class Upper(Service):
    """Answers each message in capitals; QUIT closes."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def receive_data(self, peer: Any, data: bytes) -> Any:
        self.heard.append(data)
        if data == b"quit":
            return [(peer, FRAMES.encode(b"bye")), (peer, CLOSE)]
        return FRAMES.encode(data.upper())


def test_a_message_is_one_call_however_it_came() -> None:
    service = Upper()
    with MemoryServer(service, framing=FRAMES) as server:
        peer = server.connect()
        for byte in FRAMES.encode(b"hello"):
            peer.send(bytes([byte]))
        peer.send(FRAMES.encode(b"") + FRAMES.encode(b"a") + FRAMES.encode(b"b")[:3])
        peer.send(FRAMES.encode(b"b")[3:])
        assert service.heard == [b"hello", b"", b"a", b"b"]
        assert peer.received == b"".join(map(FRAMES.encode, [b"HELLO", b"", b"A", b"B"]))
        peer.send(FRAMES.encode(b"left")[:6])
        peer.finish()
        assert service.heard[-1] == b"b"  # what is not whole is no message
        assert peer.closed is CloseReason.EOF


def test_nothing_is_heard_of_who_was_closed() -> None:
    service = Upper()
    with MemoryServer(service, framing=FRAMES) as server:
        peer = server.connect()
        peer.send(b"".join(map(FRAMES.encode, [b"a", b"quit", b"b"])))
        assert service.heard == [b"a", b"quit"]
        assert peer.received == FRAMES.encode(b"A") + FRAMES.encode(b"bye")
        assert peer.at_eof


def test_length_of_four_gigabytes_takes_no_memory_and_ends_it() -> None:
    service = Upper()
    with MemoryServer(service, framing=FRAMES) as server:
        peer = server.connect()
        peer.send(FRAMES.encode(b"a") + b"\xff\xff\xff\xff" + bytes(1000))
        assert service.heard == [b"a"]
        assert peer.received == FRAMES.encode(b"A")
        peer.finish()
        assert peer.closed is CloseReason.OVERSIZE


@pytest.mark.parametrize("framing", [FRAMES, Lines(100)])
def test_message_that_trickles_is_held_to_its_time(framing: Any) -> None:
    with MemoryServer(Upper(), framing=framing, timeouts=Timeouts(message=5)) as server:
        peer = server.connect()
        server.advance(60)  # between messages there is no hurry
        for byte in b"\0\0\0\x64abc":
            peer.send(bytes([byte]))
            server.advance(1)
        assert peer.closed is CloseReason.SLOW_MESSAGE


def test_a_datagram_is_a_message_by_itself() -> None:
    with MemoryServer(Upper(), framing=FRAMES) as server:
        assert server.datagram(b"hello") == [FRAMES.encode(b"HELLO")]
        assert server.datagram(b"") == [FRAMES.encode(b"")]


def test_what_else_a_service_has_is_still_there() -> None:
    class Ticks(Upper):
        one_process = True
        tick_every = 2.0

        def __init__(self) -> None:
            super().__init__()
            self.peers: list[Any] = []

        def connect(self, peer: Any) -> Any:
            self.peers.append(peer)
            return b"welcome"

        def tick(self, now: float) -> Any:
            return [(self.peers, b"tick")]

        def say_goodbye(self) -> Any:
            return [(self.peers, b"bye")]

    assert Framed(Ticks(), FRAMES).one_process
    with MemoryServer(Ticks(), framing=FRAMES) as server:
        peer = server.connect()
        server.advance(4.5)
        server.drain()
        assert peer.received == b"welcometicktickbye"


def test_a_handler_has_no_framing_of_its_service() -> None:
    async def handler(stream: Any) -> None: ...

    with pytest.raises(ValueError, match=r"a handler has stream\.messages\(framing\)"):
        MemoryServer(handler, framing=FRAMES)


def test_limits_of_a_server_do_not_bound_a_framing() -> None:
    with MemoryServer(Upper(), framing=FRAMES, limits=Limits(message=10)) as server:
        peer = server.connect()
        peer.send(FRAMES.encode(b"x" * 900))
        assert peer.received == FRAMES.encode(b"X" * 900)


@pytest.mark.parametrize(
    ("framing", "sent"),
    [
        (FRAMES, b"\0\0\0\5hel"),
        (FRAMES, b"\0\0"),
        (Lines(100), b"hel"),
        (Until(b"\r\n"), b"hel\r"),
        (Exactly(5), b"hel"),
    ],
)
def test_message_that_the_end_cuts_is_no_message_and_no_fault(framing: Any, sent: bytes) -> None:
    class Hears(Upper):
        def receive_eof(self, peer: Any) -> Any:
            self.heard.append(b"the end")
            return super().receive_eof(peer)

    service = Hears()
    with MemoryServer(service, framing=framing) as server:
        peer = server.connect()
        peer.send(sent)
        peer.finish()
        assert service.heard == [b"the end"]
        assert peer.closed is CloseReason.EOF
    heard: list[Any] = []

    async def handler(stream: Stream) -> None:
        try:
            heard.append(await stream.receive_message(framing))
        except IncompleteError as error:
            heard.append(error.partial)
            raise

    with MemoryServer(handler) as server:
        peer = server.connect()
        peer.send(sent)
        peer.finish()
        assert heard == [sent]  # of a line as a whole one, of others as what there was
        assert peer.closed is CloseReason.EOF
