"""The rate limit of UDP: whose datagrams are answered, how often, and which replies are lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aionet.answerable import Answerable
from aionet.datagram import DatagramEndpoint, RateLimit
from aionet.limits import Limits
from aionet.protocol import Echo


class FakeSocket:
    """Keeps what is sent, and fails as it is told to; what has arrived is told, too."""

    def __init__(self) -> None:
        self.arrived: list[tuple[bytes, Any]] = []
        self.sent: list[tuple[bytes, Any]] = []
        self.failure: OSError | None = None

    def getsockname(self) -> tuple[str, int]:
        return ("192.0.2.0", 7)

    def recvfrom(self, size: int) -> tuple[bytes, Any]:
        if not self.arrived:
            raise BlockingIOError
        return self.arrived.pop(0)

    def sendto(self, data: bytes, peer: Any) -> int:
        if self.failure is not None:
            raise self.failure
        self.sent.append((data, peer))
        return len(data)


class FakeLoop:
    """Its only timer rings, and its only socket is readable, when it is told to."""

    def call_later(self, delay: float, callback: Callable[[], None]) -> FakeLoop:
        self.delay, self.ring = delay, callback
        return self

    def cancel(self) -> None:
        del self.ring

    def add_reader(self, sock: FakeSocket, readable: Callable[[], bool]) -> None:
        self.readable = readable


def endpoint(**limits: Any) -> tuple[DatagramEndpoint, FakeSocket, FakeLoop]:
    loop, sock = FakeLoop(), FakeSocket()
    made = DatagramEndpoint(loop, sock, Echo(), Limits(**limits), Answerable(Limits(**limits)))  # type: ignore[arg-type]
    made.start()
    return made, sock, loop


def allowed(limit: RateLimit, peer: Any, tries: int = 10) -> int:
    return sum(limit.allows(peer) for _ in range(tries))


def test_a_source_is_answered_up_to_its_rate_whatever_its_port() -> None:
    limit = RateLimit(Limits(udp_rate=3))
    assert [limit.allows(("192.0.2.1", 5000 + number)) for number in range(5)] == [
        *(True, True, True),
        *(False, False),
    ]
    assert allowed(limit, ("192.0.2.2", 5000)) == 3


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("2001:db8::1", 5000, 0, 0), ("2001:db8::ffff:1", 5000, 0, 0), True),
        (("2001:db8::1", 5000, 0, 0), ("2001:db8:0:1::1", 5000, 0, 0), False),
        (("192.0.2.1", 5000), ("::ffff:192.0.2.1", 5000, 0, 0), True),
        (("::ffff:192.0.2.1", 5000, 0, 0), ("::ffff:192.0.2.2", 5000, 0, 0), False),
        (("fe80::1%eth0", 5000, 0, 2), ("fe80::2%eth0", 5000, 0, 2), True),
    ],
)
def test_a_source_is_an_ipv4_address_or_an_ipv6_64(one: Any, other: Any, same: bool) -> None:
    limit = RateLimit(Limits(udp_rate=3))
    assert allowed(limit, one) == 3
    assert allowed(limit, other) == (0 if same else 3)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
def test_this_machine_has_a_rate_of_its_own_by_default_none(host: str) -> None:
    assert allowed(RateLimit(Limits(udp_rate=1)), (host, 5000), 5000) == 5000
    limit = RateLimit(Limits(udp_rate=1, udp_rate_loopback=3))
    assert allowed(limit, (host, 5000)) == 3


def test_without_a_rate_everybody_is_answered() -> None:
    limit = RateLimit(Limits(udp_rate=None, udp_rate_loopback=1))
    assert allowed(limit, ("192.0.2.1", 5000), 5000) == 5000


@pytest.mark.parametrize("host", ["192.0.2.1", "127.0.0.1", "::1"])
@pytest.mark.parametrize(("port", "answers"), [(0, 0), (7, 0), (1023, 0), (1024, 10)])
def test_ports_of_services_that_might_answer_back_get_no_answer(
    host: str, port: int, answers: int
) -> None:
    limit = RateLimit(Limits(udp_rate=None))
    assert allowed(limit, (host, port)) == answers


@pytest.mark.parametrize(("port", "answers"), [(7, 10), (53, 10), (1023, 10), (1024, 10)])
def test_they_get_one_where_that_is_wanted(port: int, answers: int) -> None:
    limit = RateLimit(Limits(udp_rate=None, udp_low_ports=True))
    assert allowed(limit, ("192.0.2.1", port)) == answers
    assert allowed(RateLimit(Limits(udp_rate=3, udp_low_ports=True)), ("192.0.2.1", port)) == 3


def test_every_second_all_is_forgotten() -> None:
    made, sock, loop = endpoint(udp_rate=2)
    assert loop.delay == 1.0
    for _ in range(3):
        sock.sent.clear()
        sock.arrived = [(b"%d" % number, ("192.0.2.1", 5000)) for number in range(5)]
        loop.readable()
        assert [data for data, _ in sock.sent] == [b"0", b"1"]
        loop.ring()
    assert (made.datagrams, made.replies, made.unanswered) == (15, 6, 9)


def test_forgetting_gives_the_memory_back() -> None:
    limit = RateLimit(Limits())
    for number in range(1000):
        limit.allows((f"2001:db8:0:{number:x}::1", 5000, 0, 0))
    assert len(limit._of_host) == len(limit._of_source) == 1000
    limit.forget()
    assert len(limit._of_host) == len(limit._of_source) == 0


def test_a_reply_that_the_kernel_does_not_take_is_counted_and_lost() -> None:
    made, sock, loop = endpoint()
    for failure in (BlockingIOError(), ConnectionRefusedError(), OSError(113, "no route")):
        sock.failure = failure
        sock.arrived = [(b"hello", ("192.0.2.1", 5000))]
        loop.readable()
    sock.failure = None
    sock.arrived = [(b"hello", ("192.0.2.1", 5000))]
    loop.readable()
    assert (made.datagrams, made.replies, made.unanswered) == (4, 1, 3)
