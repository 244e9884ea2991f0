"""TLS in packets: wherever they are cut, the same is heard and said, and nothing is raised."""

from __future__ import annotations

import itertools
import ssl
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from services import Noting
from tls_wire import Client, Shell

from aionet.core import State, Todo
from aionet.limits import CloseReason
from aionet.protocol import Answer

MUCH = bytes(range(256)) * 1024


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


def test_the_end_of_tls_comes_after_the_answer_to_an_early_question(
    tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """It is asked for when what was in its way is taken, and the answer waits to be taken, too."""

    class Large(Noting):
        def receive_data(self, peer: Any, data: bytes) -> Answer:
            if data == b"quit":
                return super().receive_data(peer, data)
            return [(peer, bytes(70_000)), (peer, bytes(20_000))]

    service, client = Large(), Client(trusting)
    shell = Shell(tls, service)
    client.learn(shell.arrive(client.shake_hands()))
    client.hear(shell.arrive(client.shake_hands()))
    for said in (b"much", b"quit"):  # the loop may read once more than it should
        shell.wire += shell.hub.receive_data(shell.peer, client.say(said))
    shell.settle()
    client.hear(shell.arrive())
    assert client.heard.lstrip(b"\0") == b"bye"
    assert client.at_end
