"""A server in memory."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Coroutine, Mapping
from types import TracebackType
from typing import Any, TypeVar, cast

from aionet import throttle
from aionet.answerable import Answerable
from aionet.app import App, Worker, enter, is_app
from aionet.connection import Connection
from aionet.connections import CANCEL_S, Connections
from aionet.core import State
from aionet.core.layer import Layer
from aionet.datagram import DatagramEndpoint, HandlerEndpoint
from aionet.door import doors_of
from aionet.given import as_bytes, one_of
from aionet.handlers import Handlers
from aionet.hooks import Hooks
from aionet.limits import Limits, Timeouts
from aionet.place import Listen
from aionet.protocol import Deliveries, Framing
from aionet.server import Serves
from aionet.stats import DrainReport, Stats
from aionet.testing.clock import ClockLoop
from aionet.testing.datagrams import MemorySocket
from aionet.testing.peer import Peer

T = TypeVar("T")

PLACE = "tcp://192.0.2.0:7"
MANY = 1_000_000  # connections, where no limit is given
CLIENT = ("192.0.2.1", 40000)


class MemoryServer:
    """A server in memory, as a context manager. Time is in seconds, from 0 on.

    service: as for `serve`, or an app as for `run`, which is entered and left within the loop.
    """

    def __init__(
        self,
        service: Serves | App,
        *,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        hooks: Hooks | None = None,
        tls: ssl.SSLContext | None = None,
        starttls: ssl.SSLContext | None = None,
        framing: Framing | None = None,
        cancel_on_close: bool = True,
    ) -> None:
        self._service = service
        self._listen = Listen(PLACE, tls=tls, starttls=starttls, framing=framing)
        self._limits = one_of(Limits, "limits", limits, Limits())
        self._timeouts = one_of(Timeouts, "timeouts", timeouts, Timeouts())
        self._hooks = one_of(Hooks, "hooks", hooks, Hooks())
        self._cancel_on_close = cancel_on_close
        self._stack = contextlib.AsyncExitStack()
        self._report: DrainReport | None = None
        self._endpoint: DatagramEndpoint | None = None
        self._worker = Worker(0)
        self._entered = False
        if not is_app(service):
            self._doors()  # which says what cannot be served
        self._loop = ClockLoop()

    def _doors(self) -> None:
        listen = self._listen.serving(self._service)
        ((_, self._door, self._kind),) = doors_of((listen,), self._cancel_on_close)

    def __enter__(self) -> MemoryServer:
        asyncio.set_event_loop(None)
        throttle.forget()  # what another test was told is no reason to leave it out in this one
        try:
            self._loop.complete(self._begin())
            self._entered = True
        except BaseException:
            self._loop.close()
            raise
        return self

    async def _begin(self) -> None:
        if is_app(self._service):
            self._service = await enter(cast(App, self._service), self._worker, self._stack)
            if isinstance(self._service, Mapping):
                raise ValueError("the app maps addresses to services; a MemoryServer has one")
            self._doors()
        door = self._door
        self._connections = Connections(
            self._loop,
            door.service,
            self._limits,
            self._timeouts,
            limit=self._limits.connections or MANY,
            may_be_tls=door.may_be_tls,
            count_bytes=True,
            hooks=self._hooks,
        )
        self._worker.serves(self)
        self._connections.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.drain(0)
            self._loop.complete(self._leave())
        finally:
            self._loop.close()

    def _new_connection(self) -> Connection:
        if not self._entered:
            raise RuntimeError("the server has not been entered: with MemoryServer(...) as server")
        return self._kind(self._connections.hub)

    async def _leave(self) -> None:
        """Raises RuntimeError if the app does not end when it should, as `run` would cancel it."""
        try:
            async with asyncio.timeout(CANCEL_S):
                await self._stack.aclose()
        except TimeoutError:
            raise RuntimeError(
                "the app did not end when the server had: does it wait for a task that nobody has "
                "told to end after its yield?"
            ) from None

    # What a program sees.

    @property
    def peers(self) -> list[Connection]:
        """As Server.peers."""
        open_ = self._connections.hub.open
        return [peer for peer in open_ if peer.state is State.OPEN]  # type: ignore[misc]

    def deliver(self, deliveries: Deliveries) -> None:
        """As Server.deliver."""
        self._connections.hub.deliver(deliveries)
        if not self._loop.is_running():
            self._loop.settle()

    @property
    def draining(self) -> asyncio.Event:
        """As Server.draining."""
        return self._connections.draining

    def send_to(self, data: bytes, address: Any) -> bool:
        """As Server.send_to; it is in `sent` then."""
        return self._datagrams().send(as_bytes("send_to", data), address)

    @property
    def stats(self) -> Stats:
        return self._connections.stats([self._endpoint] if self._endpoint is not None else [])

    # Who comes.

    def connect(
        self,
        address: tuple[str, int] = CLIENT,
        *,
        reads: bool = True,
        tls: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
    ) -> Peer:
        """A new connection from `address`. reads: from the start; else see `start_reading`.

        tls: a client's context, where the server has one.
        """
        if server_hostname is not None and tls is None:
            raise ValueError(f"server_hostname is {server_hostname!r} and needs tls=")
        layer = Layer(tls, server_hostname=server_hostname) if tls is not None else None
        peer = Peer(self, address, reads, layer)
        self._loop.settle()
        return peer

    def datagram(self, data: bytes, sender: tuple[str, int] = CLIENT) -> list[bytes]:
        """Send one from `sender`; what comes back to that at once. All that went is in `sent`."""
        endpoint, before = self._datagrams(), len(self.sent)
        self._socket.arrive(data, sender)
        endpoint.readable()
        self._loop.settle()
        return [reply for reply, to in self.sent[before:] if to == sender]

    @property
    def sent(self) -> list[tuple[bytes, Any]]:
        """All datagrams that the server has sent, each with its destination."""
        self._datagrams()
        return self._socket.sent

    def _datagrams(self) -> DatagramEndpoint:
        if self._endpoint is None:
            self._socket = sock = MemorySocket()
            service = self._door.service
            kind = HandlerEndpoint if isinstance(service, Handlers) else DatagramEndpoint
            answerable = Answerable(self._limits)
            self._endpoint = kind(self._loop, sock, service, self._limits, answerable)  # type: ignore[arg-type]
            self._endpoint.start()
        return self._endpoint

    # Time.

    @property
    def now(self) -> float:
        return self._loop.time()

    def advance(self, seconds: float) -> None:
        """Let time pass: all timers that are due ring, in order."""
        self._loop.advance(seconds)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work` on the server's loop; time moves from timer to timer while it waits.

        Raises RuntimeError if it waits for what never happens here.
        """
        return self._loop.complete(work)

    def drain(self, timeout: float | None = None) -> DrainReport:
        """Stop as a real server does; time passes while it waits for its peers."""
        if self._report is None:
            self._connections.gate.close()
            self._worker.draining.set()
            limit = self._timeouts.drain if timeout is None else timeout
            self._report = self._loop.complete(self._drain(limit))
        return self._report

    async def _drain(self, limit: float) -> DrainReport:
        if self._endpoint is not None:
            await self._endpoint.drain(self._loop.time() + limit)
        return await self._connections.drain(self._loop.time() + limit)
