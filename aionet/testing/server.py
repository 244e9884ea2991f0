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

    service: as for `serve`, or an app as for `run`, which is entered and left within the loop. One
        that fails, such as by a task of its group, ends the server as it ends `run`: the call in
        which that happens raises it.
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
        self._connections: Connections | None = None
        self._serving: asyncio.Task[None] | None = None
        self._drained: asyncio.Task[DrainReport] | None = None
        self._failed = False
        self._endpoint: DatagramEndpoint | None = None
        self._worker = Worker(0)
        if not is_app(service):
            self._doors()  # which says what cannot be served
        self._loop = ClockLoop()
        self._serves, self._leaves = self._loop.create_future(), asyncio.Event()

    def _doors(self) -> None:
        listen = self._listen.serving(self._service)
        ((_, self._door, self._kind),) = doors_of((listen,), self._cancel_on_close)

    def __enter__(self) -> MemoryServer:
        if self._serving is not None:
            raise RuntimeError("a server serves once: make another")
        asyncio.set_event_loop(None)
        throttle.forget()  # what another test was told is no reason to leave it out in this one
        try:
            self._serving = self._loop.create_task(self._serve())
            self._loop.complete(self._begun(self._serving))
            self._loop.rested = self._see_to_failure
            self._see_to_failure()
        except BaseException:
            self._loop.close()
            raise
        return self

    async def _serve(self) -> None:
        """As in `run`, one task enters the app and leaves it, and is what its group cancels."""
        async with contextlib.AsyncExitStack() as stack:
            await self._begin(stack)
            self._serves.set_result(None)
            try:
                await self._leaves.wait()
            except asyncio.CancelledError:
                self._failed = True
                await self._drain_once(self._timeouts.drain)
                raise

    async def _begun(self, serving: asyncio.Task[None]) -> None:
        await asyncio.wait([serving, self._serves], return_when=asyncio.FIRST_COMPLETED)
        if not self._serves.done():
            await serving  # which says why

    def _see_to_failure(self) -> None:
        """Raises what the app has failed by, once, when all has come to its end."""
        if self._failed and self._serving is not None:
            self._loop.rested = None
            self._loop.complete(asyncio.wait([self._serving]))
            self._serving.result()

    async def _begin(self, stack: contextlib.AsyncExitStack) -> None:
        if is_app(self._service):
            self._service = await enter(cast(App, self._service), self._worker, stack)
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

    def _check_entered(self) -> Connections:
        if self._connections is None:
            raise RuntimeError("the server has not been entered: with MemoryServer(...) as server")
        return self._connections

    def _check_serving(self) -> Connections:
        connections = self._check_entered()
        if self._loop.is_closed():
            raise RuntimeError("the server has ended, with its `with`: make another")
        return connections

    def _new_connection(self) -> Connection:
        return self._kind(self._check_serving().hub)

    async def _leave(self) -> None:
        """Raises RuntimeError if the app does not end when it should, as `run` would cancel it."""
        assert self._serving is not None
        self._leaves.set()
        await asyncio.wait([self._serving], timeout=CANCEL_S)
        if not self._serving.done():
            raise RuntimeError(
                "the app did not end when the server had: does it wait for a task that nobody has "
                "told to end after its yield?"
            )
        if not self._failed:  # else the test has seen it
            await self._serving

    # What a program sees.

    @property
    def peers(self) -> list[Connection]:
        """As Server.peers."""
        open_ = self._check_entered().hub.open
        return [peer for peer in open_ if peer.state is State.OPEN]  # type: ignore[misc]

    def deliver(self, deliveries: Deliveries) -> None:
        """As Server.deliver."""
        self._check_serving().hub.deliver(deliveries)
        if not self._loop.is_running():
            self._loop.settle()

    @property
    def draining(self) -> asyncio.Event:
        """As Server.draining."""
        return self._check_entered().draining

    def send_to(self, data: bytes, address: Any) -> bool:
        """As Server.send_to; it is in `sent` then."""
        self._check_serving()
        return self._datagrams().send(as_bytes("send_to", data), address)

    @property
    def stats(self) -> Stats:
        return self._check_entered().stats([self._endpoint] if self._endpoint is not None else [])

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
        self._check_serving()
        layer = Layer(tls, server_hostname=server_hostname) if tls is not None else None
        peer = Peer(self, address, reads, layer)
        self._loop.settle()
        return peer

    def datagram(self, data: bytes, sender: tuple[str, int] = CLIENT) -> list[bytes]:
        """Send one from `sender`; what comes back to that at once. All that went is in `sent`."""
        self._check_serving()
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
        self._check_entered()
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
        self._check_serving()
        self._loop.advance(seconds)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work` on the server's loop; time moves from timer to timer while it waits.

        Raises RuntimeError if it waits for what never happens here.
        """
        try:
            self._check_serving()
        except RuntimeError:
            work.close()
            raise
        return self._loop.complete(work)

    def drain(self, timeout: float | None = None) -> DrainReport:
        """Stop as a real server does; time passes while it waits for its peers."""
        self._check_entered()
        self._worker.draining.set()
        if self._drained is not None and self._drained.done():
            return self._drained.result()
        limit = self._timeouts.drain if timeout is None else timeout
        return self._loop.complete(self._drain_once(limit))

    async def _drain_once(self, limit: float) -> DrainReport:
        if self._drained is None:
            self._drained = asyncio.create_task(self._drain(limit))
        return await asyncio.shield(self._drained)

    async def _drain(self, limit: float) -> DrainReport:
        connections = self._check_entered()
        connections.gate.close()
        if self._endpoint is not None:
            await self._endpoint.drain(self._loop.time() + limit)
        return await connections.drain(self._loop.time() + limit)
