"""UDP on asyncio and uvloop: any `Service` that answers datagrams, or a handler for each."""

from __future__ import annotations

import asyncio
import inspect
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aionet.answerable import Answerable
from aionet.connections import finish_tasks
from aionet.core.failure import let_exits_pass
from aionet.core.source import source_of
from aionet.given import as_bytes
from aionet.limits import Limits
from aionet.pktinfo import Asked, Wildcard, answering
from aionet.protocol import Answer, datagrams
from aionet.protocol.service import is_answer
from aionet.sockets import BURST, RECV_SIZE, datagram_drops
from aionet.throttle import throttled

WINDOW_S = 1.0  # of the rate limit
SMALLEST = 512  # bytes; what a datagram takes of a receive buffer is more


class _Budget:
    """Datagrams that may still go to one source in this second."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left


class RateLimit:
    """How many datagrams may go to one source in a second; it forgets everybody each second.

    So its memory is bounded by what can come in a second, whatever addresses are forged.
    """

    def __init__(self, limits: Limits, answerable: Answerable | None = None) -> None:
        self._limits = limits
        answerable = answerable or Answerable(limits)
        self._lowest, self._own_ports = answerable.lowest, answerable.ports
        self._is_ours = answerable.is_ours
        self._of_host: dict[str, _Budget | None] = {}  # None is without limit
        self._of_source: dict[str, _Budget] = {}

    def forget(self) -> None:
        self._of_host.clear()
        self._of_source.clear()

    def allows(self, peer: Any) -> bool:
        """Whether one more datagram may go to `peer`, (host, port, ...); if so, it counts."""
        port = peer[1]  # as Answerable, which to ask would take a call
        if port < self._lowest or (port in self._own_ports and self._is_ours(peer)):
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


class DatagramEndpoint:
    """Answers every datagram on `sock` as `service` says. answerable: by all sockets of a server.

    On the socket itself, which the loop only watches. Its transports drop empty datagrams (asyncio
    up to 3.12, and uvloop), keep without bound what the kernel does not take, where a datagram is
    better lost, and read one datagram in a turn (asyncio), into 256 KiB.
    """

    what = "service"

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        service: Any,
        limits: Limits,
        answerable: Answerable,
    ) -> None:
        self.datagrams = 0
        self.replies = 0
        self.unanswered = 0
        self.tasks: set[asyncio.Task[None]] = set()
        self._loop = loop
        self._sock = sock
        self._io = answering(sock)
        self._wildcard = self._io if isinstance(self._io, Wildcard) else None
        self._limits = limits
        self._ask = self._asker_of(service)
        answerable.add(sock)
        self._rate = RateLimit(limits, answerable)
        self._forgetting: asyncio.TimerHandle | None = None
        self._dropped = 0

    def _asker_of(self, service: Any) -> Callable[[Any, bytes], Answer]:
        """What is called for each datagram."""
        ask: Callable[[Any, bytes], Answer] = service.receive_data
        return ask

    @property
    def dropped(self) -> int:
        """Datagrams that the kernel dropped because they were read too slowly."""
        if self._sock.fileno() >= 0:  # not closed
            self._dropped = datagram_drops(self._sock)
        return self._dropped

    @property
    def is_six(self) -> bool:
        return self._sock.family == socket.AF_INET6

    def start(self) -> None:
        self._forget()
        self._loop.add_reader(self._sock, self.readable)

    def _forget(self) -> None:
        self._rate.forget()
        self._forgetting = self._loop.call_later(WINDOW_S, self._forget)

    async def drain(self, deadline: float) -> None:
        """Answer what has arrived already, let handlers finish until `deadline`, and close."""
        self._loop.remove_reader(self._sock)
        most = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // SMALLEST
        for _ in range(most // BURST + 1):  # so what keeps coming does not keep it from ending
            if not self.readable():
                break
            await asyncio.sleep(0)  # others have their turn
        await finish_tasks(self.tasks, deadline)
        self.close()

    def close(self) -> None:
        if self._sock.fileno() >= 0:
            _ = self.dropped  # for the last time
            self._loop.remove_reader(self._sock)
            self._sock.close()
        if self._forgetting is not None:
            self._forgetting.cancel()

    def readable(self) -> bool:
        """Answer what has arrived, up to BURST datagrams; whether there may be more."""
        recvfrom, ask, send = self._io.recvfrom, self._ask, self._io.sendto
        allows = self._rate.allows
        try:
            for _ in range(BURST):
                data, sender = recvfrom(RECV_SIZE)
                self.datagrams += 1
                try:
                    answer = ask(sender, data)
                    if answer.__class__ is not bytes:
                        if answer is not None:
                            for peer, reply in datagrams(sender, answer):
                                self.send(reply, peer)
                        continue
                except BaseException:
                    let_exits_pass()
                    self._failed(sender)
                    continue
                if not allows(sender):
                    self.unanswered += 1
                    continue
                try:
                    send(answer, sender)
                    self.replies += 1
                except OSError:  # see send()
                    self.unanswered += 1
        except BlockingIOError:
            return False
        except OSError:  # an earlier reply was refused by ICMP: its peer's loss
            return True
        return True

    def send(self, reply: bytes, peer: Any, asked: Asked | None = None) -> bool:
        """Send one datagram, if the limits allow it; whether it went. asked: where `peer` did."""
        if self._rate.allows(peer):
            try:
                if self._wildcard is not None and asked is not None:
                    self._wildcard.answer(asked, reply, peer)
                else:
                    self._io.sendto(reply, peer)
            except OSError:  # a full buffer, an unreachable host: that peer's loss, nobody else's
                pass
            else:
                self.replies += 1
                return True
        self.unanswered += 1
        return False

    def _failed(self, sender: Any) -> None:
        throttled(
            logging.ERROR,
            f"the {self.what} failed over a datagram of %s",
            sender,
            traceback=True,
        )


@dataclass(frozen=True, slots=True)
class Datagram:
    """One datagram, as a handler sees it.

    sender, destination: the addresses as sockets give them, (host, port, ...). destination is ours:
        the one that was asked, where a socket has all of them; the answer comes from there.
    """

    data: bytes
    sender: Any
    destination: Any
    _endpoint: DatagramEndpoint = field(repr=False)
    _asked: Asked | None = field(repr=False)

    def reply(self, data: bytes) -> bool:
        """Answer the sender; False if a limit, or the kernel, did not let it go.

        Raises TypeError for what is not bytes.
        """
        return self._endpoint.send(as_bytes("reply", data), self.sender, self._asked)


DatagramHandler = Callable[[Datagram], Awaitable[None] | None]


class HandlerEndpoint(DatagramEndpoint):
    """Answers every datagram by a handler, at most Limits.udp_handlers at a time."""

    what = "handler"

    def _asker_of(self, service: Any) -> Callable[[Any, bytes], Answer]:
        self._handler: DatagramHandler = service.handler
        self._most = self._limits.udp_handlers
        self._here = self._sock.getsockname()
        return self._receive

    def _receive(self, sender: Any, data: bytes) -> None:
        """As Service.receive_data. Raises what a plain function raises."""
        if len(self.tasks) >= self._most:
            self.unanswered += 1
            return
        asked = self._wildcard.asked if self._wildcard else None
        destination = self._here if asked is None else asked.address
        result: Any = self._handler(Datagram(data, sender, destination, self, asked))
        if result is None or result is True:  # as reply() gives it
            return
        if inspect.isawaitable(result):
            task = self._loop.create_task(self._finish(result, sender))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        elif is_answer(result):
            self._gave(result, sender)

    def _gave(self, result: object, sender: Any) -> None:
        throttled(
            logging.ERROR,
            "the handler of a datagram of %s gave %s, which goes to nobody: datagram.reply() sends",
            *(sender, type(result).__name__),
        )

    async def _finish(self, result: Awaitable[Any], sender: Any) -> None:
        try:
            if is_answer(given := await result):
                self._gave(given, sender)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            self._failed(sender)  # it awaited something that was cancelled
        except GeneratorExit:  # a loop that is gone has left it behind
            raise
        except BaseException:
            let_exits_pass()
            self._failed(sender)


def check_handler(handler: Any) -> None:
    """Raises ValueError for what cannot handle a Datagram."""
    function = handler if inspect.isroutine(handler) else getattr(handler, "__call__", handler)  # noqa: B004
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ValueError(f"{handler!r} has a yield in it, so nothing would run it; reply() instead")
    try:
        inspect.signature(handler).bind(None)
    except TypeError as error:
        raise ValueError(
            f"{handler!r} cannot be called with a Datagram, and nothing else: {error}"
        ) from None
    except ValueError:  # a builtin that does not tell what it takes
        pass
