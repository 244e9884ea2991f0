"""UDP on an asyncio transport: any `Service` that answers datagrams, or a coroutine for each."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aionet.core.places import source_of
from aionet.limits import Limits
from aionet.protocol import datagrams
from aionet.sockets import RECV_SIZE, datagram_drops
from aionet.throttle import throttled

# Services that answer anything to anybody have their ports below this: echo, chargen, DNS, TFTP.
# Two of them, told of each other by a forged sender, would talk for ever (CVE-2024-2169).
PRIVILEGED = 1024
WINDOW_S = 1.0  # of the rate limit
HANDLERS = 1000  # coroutines at a time; what comes beyond that is dropped


class _Budget:
    """Datagrams that may still go to one source in this second."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left


class RateLimit:
    """How many datagrams may go to one source in a second; it forgets everybody each second.

    So its memory is bounded by what can come in a second, whatever addresses are forged.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._of_host: dict[str, _Budget | None] = {}  # None is without limit
        self._of_source: dict[str, _Budget] = {}

    def forget(self) -> None:
        self._of_host.clear()
        self._of_source.clear()

    def allows(self, peer: Any) -> bool:
        """Whether one more datagram may go to `peer`, (host, port, ...); if so, it counts."""
        if peer[1] < PRIVILEGED:
            return False
        try:
            budget = self._of_host[peer[0]]
        except KeyError:
            budget = self._of_host[peer[0]] = self._budget(peer)
        if budget is None:
            return True
        budget.left -= 1
        return budget.left >= 0

    def _budget(self, peer: Any) -> _Budget | None:
        host = ipaddress.ip_address(peer[0].partition("%")[0])
        loopback = (getattr(host, "ipv4_mapped", None) or host).is_loopback
        limits = self._limits
        rate = limits.udp_rate_loopback if loopback else limits.udp_rate
        if rate is None:
            return None
        return self._of_source.setdefault(source_of(peer) or "", _Budget(rate))


class DatagramEndpoint(asyncio.DatagramProtocol):
    """Answers every datagram on `sock` as `service` says.

    Replies go out on the socket itself. `transport.sendto` drops empty datagrams (asyncio up
    to 3.12, and uvloop), and it keeps without bound what the kernel does not take, where a
    datagram is better lost.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, service: Any, limits: Limits
    ) -> None:
        self.datagrams = 0
        self.replies = 0
        self.unanswered = 0
        self._loop = loop
        self._sock = sock
        self._sendto = sock.sendto
        self._receive_data = service.receive_data
        self._service = service
        self._rate = RateLimit(limits)
        self._allows = self._rate.allows
        self._forgetting: asyncio.TimerHandle | None = None
        self._dropped = 0
        self.tasks: set[asyncio.Task[None]] = set()

    @property
    def dropped(self) -> int:
        """Datagrams that the kernel dropped because they were read too slowly."""
        if self._sock.fileno() >= 0:  # not closed
            self._dropped = datagram_drops(self._sock)
        return self._dropped

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._forget()

    def _forget(self) -> None:
        self._rate.forget()
        self._forgetting = self._loop.call_later(WINDOW_S, self._forget)

    def connection_lost(self, exc: Exception | None) -> None:
        _ = self.dropped  # for the last time
        if self._forgetting is not None:
            self._forgetting.cancel()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.datagrams += 1
        try:
            answer = self._receive_data(addr, data)
            if answer.__class__ is bytes:
                self.send(answer, addr)
            elif answer is not None:
                for peer, reply in datagrams(addr, answer):
                    self.send(reply, peer)
        except Exception:
            throttled(
                logging.ERROR, "the service failed over a datagram of %s", addr, traceback=True
            )

    def send(self, reply: bytes, peer: Any) -> bool:
        """Send one datagram, if the limits allow it; whether it went."""
        if self._allows(peer):
            # A full buffer, an unreachable host: that peer's loss, and nobody else's.
            with contextlib.suppress(OSError):
                self._sendto(reply, peer)
                self.replies += 1
                return True
        self.unanswered += 1
        return False

    def error_received(self, exc: Exception) -> None:
        """A reply was refused by ICMP: its peer's loss."""

    def answer_pending(self) -> None:
        """Answer what has arrived already."""
        with contextlib.suppress(OSError):
            for _ in range(RECV_SIZE):  # more than a receive buffer can hold
                self.datagram_received(*self._sock.recvfrom(RECV_SIZE))


@dataclass(frozen=True, slots=True)
class Datagram:
    """One datagram, as a handler sees it. `sender` is the address as the socket gives it."""

    data: bytes
    sender: Any
    endpoint: DatagramEndpoint = field(repr=False)

    def reply(self, data: bytes) -> bool:
        """Answer the sender; False if a limit, or the kernel, did not let it go."""
        return self.endpoint.send(data, self.sender)


DatagramHandler = Callable[[Datagram], Awaitable[None]]


class HandlerEndpoint(DatagramEndpoint):
    """Answers every datagram by a coroutine of its own, at most HANDLERS at a time."""

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.datagrams += 1
        if len(self.tasks) >= HANDLERS:
            self.unanswered += 1
            return
        task = self._loop.create_task(self._run(Datagram(data, addr, self)))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _run(self, datagram: Datagram) -> None:
        try:
            answer = self._service.handler(datagram)
            if inspect.isawaitable(answer):
                await answer
        except Exception:
            throttled(
                logging.ERROR,
                "the handler failed over a datagram of %s",
                datagram.sender,
                traceback=True,
            )
