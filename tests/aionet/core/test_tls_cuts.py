"""TLS in packets: wherever they are cut, the same is heard and said, and nothing is raised."""

from __future__ import annotations

import contextlib
import itertools
import ssl
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from services import Noting

from aionet.core import Peer, State, Todo
from aionet.core.tls import TLSHub
from aionet.limits import CloseReason, Limits, Timeouts
from aionet.protocol import Answer, Echo

MUCH = bytes(range(256)) * 1024


class Client:
    """The far end, in memory. It does nothing unasked."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._in, self._out, server_hostname="127.0.0.1")
        self.heard = b""
        self.at_end = False

    def shake_hands(self) -> bytes:
        """One step; what is to be sent."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self._out.read()

    def say(self, data: bytes, *, end: bool = False) -> bytes:
        self.tls.write(data)
        if end:
            with contextlib.suppress(ssl.SSLWantReadError):
                self.tls.unwrap()
        return self._out.read()

    def hear(self, wire: bytes) -> None:
        self._in.write(wire)
        try:
            while data := self.tls.read(1 << 20):
                self.heard += data
            self.at_end = True
        except ssl.SSLZeroReturnError:
            self.at_end = True
        except ssl.SSLWantReadError:
            pass

    def learn(self, wire: bytes) -> None:
        """What comes before its handshake is done."""
        self._in.write(wire)


class Shell:
    """A hub with one peer, and a wire."""

    def __init__(self, context: ssl.SSLContext, service: Echo, **limits: Any) -> None:
        self.hub = TLSHub(
            service, Limits(**limits), Timeouts(), self, context=context, places=1, now=0.0
        )
        self.peer = Peer(self.hub)
        self.wire = b""
        self.todo: list[Todo] = []
        self.hub.admit(self.peer)
        self.settle()

    def wake(self) -> None:
        pass

    def accept(self, more: bool) -> None:
        pass

    def arrive(self, *packets: bytes) -> bytes:
        """What goes over the wire when these have come."""
        for packet in packets:
            if packet:
                self.wire += self.hub.receive_data(self.peer, packet)
                self.settle()
        wire, self.wire = self.wire, b""
        return wire

    def settle(self) -> None:
        while self.peer.dirty:
            self.peer.dirty = False
            self.wire += self.hub.take(self.peer)
            if self.peer.todo is not None:
                self.todo.append(self.peer.todo)
                self.peer.todo = None
        extra = self.peer.extra
        if extra is not None and extra.rest is not None:
            self.hub.sent(self.peer, 0)
            self.settle()


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(each % (len(data) + 1) for each in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@pytest.fixture(params=["TLSv1_2", "TLSv1_3"])
def context(
    request: pytest.FixtureRequest, tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> ssl.SSLContext:
    """That of a client of each version."""
    trusting.maximum_version = ssl.TLSVersion[request.param]
    return trusting


cuts = st.lists(st.integers(0, 1 << 20), max_size=8)
shared = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@shared
@given(first=cuts, second=cuts, end=st.booleans(), said=st.sampled_from([b"hello", MUCH]))
def test_wherever_a_handshake_with_the_first_data_is_cut_all_is_heard_once_and_answered(
    tls: ssl.SSLContext,
    context: ssl.SSLContext,
    first: list[int],
    second: list[int],
    end: bool,
    said: bytes,
) -> None:
    class Greeting(Noting):
        def connect(self, peer: Any) -> Answer:
            super().connect(peer)
            return b"welcome "

    service, client = Greeting(), Client(context)
    shell = Shell(tls, service)
    client.learn(shell.arrive(*cut(client.shake_hands(), first)))
    last = client.shake_hands()
    if context.maximum_version is ssl.TLSVersion.TLSv1_2:  # in which the server ends it
        client.learn(shell.arrive(*cut(last, second)))
        last = client.shake_hands()
        client.hear(b"")
    client.hear(shell.arrive(*cut(last + client.say(said, end=end), second)))
    assert client.heard == b"welcome " + said
    heard = [call for call in service.calls if isinstance(call, bytes)]
    assert b"".join(heard) == said
    others = [call for call in service.calls if not isinstance(call, bytes)]
    assert others == (["connect", "eof"] if end else ["connect"])
    assert shell.peer.state is (State.FLUSHING if end else State.OPEN)
    assert client.at_end is end
    assert shell.todo == ([Todo.CLOSE] if end else [])


@shared
@given(where=st.integers(0, 1 << 20), bit=st.integers(0, 7), cuts=cuts)
def test_whatever_is_flipped_on_the_wire_raises_nothing_and_ends_it_at_most(
    tls: ssl.SSLContext, context: ssl.SSLContext, where: int, bit: int, cuts: list[int]
) -> None:
    service, client = Noting(), Client(context)
    shell = Shell(tls, service)

    def flipped(data: bytes) -> bytes:
        nonlocal where
        if 0 <= where < len(data):
            changed = bytearray(data)
            changed[where] ^= 1 << bit
            data = bytes(changed)
        where -= len(data)
        return data

    where %= 1200
    try:
        for _ in range(3):
            client.learn(shell.arrive(*cut(flipped(client.shake_hands()), cuts)))
        client.hear(shell.arrive(*cut(flipped(client.say(b"hello" * 50, end=True)), cuts)))
    except ssl.SSLError:
        pass  # that is the client's affair
    if shell.peer.state in (State.HANDSHAKE, State.OPEN, State.HALF_CLOSED):
        shell.hub.receive_eof(shell.peer)
        shell.settle()
    assert shell.peer.state is State.FLUSHING
    assert shell.peer.reason in (CloseReason.HANDSHAKE, CloseReason.RESET, CloseReason.EOF)
    shell.hub.lost(shell.peer, None)
    assert service.calls.count("connect") == service.calls.count("eof") <= 1
