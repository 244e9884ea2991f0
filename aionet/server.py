"""Listen, serve, drain: the same on asyncio and uvloop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
from functools import partial
from types import TracebackType
from typing import cast
from weakref import WeakKeyDictionary

from aionet.address import Address
from aionet.answerable import Answerable
from aionet.connections import Connections
from aionet.datagram import DatagramEndpoint, DatagramHandler, HandlerEndpoint, check_handler
from aionet.descriptors import descriptor_room
from aionet.handlers import Handler, Handlers, shell_of
from aionet.hooks import Hooks
from aionet.inherited import check_kind
from aionet.limits import Limits, Timeouts
from aionet.listen import listen_all
from aionet.listener import Gate, Listener
from aionet.loops import keep_read_buffers
from aionet.native import handle_once
from aionet.protocol import Service
from aionet.sockets import address_of, set_write_timeout
from aionet.stats import DrainReport, Stats
from aionet.unicast import answer_unicast_only
from aionet.unix_path import remove_unix_path

Serves = Service | Handler | DatagramHandler

# A loop has one handler of a signal, and a program may have several servers.
_stopped_by_signal: WeakKeyDictionary[asyncio.AbstractEventLoop, list[asyncio.Event]] = (
    WeakKeyDictionary()
)


class Server:
    """Serves within `async with`, which drains it at the end. Made by `serve`."""

    def __init__(
        self,
        service: Serves,
        where: tuple[Address | socket.socket, ...],
        limits: Limits,
        timeouts: Timeouts,
        tls: ssl.SSLContext | None,
        hooks: Hooks | None,
        reuse_port: bool,
        cancel_on_close: bool,
    ) -> None:
        self._service, self._kind = shell_of(service, cancel=cancel_on_close)
        for place in where:
            if isinstance(place, socket.socket):
                check_kind(place)
        self._where = where
        self._limits = limits
        self._timeouts = timeouts
        self._tls = tls
        self._hooks = hooks
        self._reuse_port = reuse_port
        self._sockets: list[socket.socket] = []
        self._addresses: list[Address] = []
        self._endpoints: list[DatagramEndpoint] = []
        self._answerable = Answerable(limits)
        self._drained: asyncio.Task[DrainReport] | None = None
        self._connections: Connections | None = None
        self._check([_is_udp(place) for place in where])

    @property
    def addresses(self) -> list[Address]:
        """Where it listens, with the ports that the kernel chose for port 0."""
        return self._addresses

    @property
    def stats(self) -> Stats:
        """What it has done so far; a picture that does not change any more.

        Raises RuntimeError before it serves.
        """
        if self._connections is None:
            raise RuntimeError("the server has not been entered: async with serve(...) as server")
        return self._connections.stats(self._endpoints)

    async def __aenter__(self) -> Server:
        if self._connections is not None:
            raise RuntimeError("a server serves once: make another")
        loop = asyncio.get_running_loop()
        keep_read_buffers()
        self._connections = connections = Connections(
            loop,
            self._service,
            self._limits,
            self._timeouts,
            limit=self._limits.connections or descriptor_room(),
            tls=self._tls,
            hooks=self._hooks,
        )
        with contextlib.ExitStack() as undo:
            for place in self._where:
                if isinstance(place, socket.socket):
                    sockets = [place]
                    if place.type == socket.SOCK_DGRAM:
                        answer_unicast_only(place)
                else:
                    listening = partial(
                        listen_all,
                        place,
                        reuse_port=self._reuse_port,
                        write_timeout=self._timeouts.write,
                    )
                    sockets = await asyncio.to_thread(listening)
                for sock in sockets:
                    undo.callback(sock.close)
                    undo.callback(remove_unix_path, sock)
                self._sockets += sockets
            self._check([_is_udp(sock) for sock in self._sockets])
            self._addresses = [address_of(sock) for sock in self._sockets]
            undo.callback(self._give_up)
            for sock in self._sockets:
                self._open(loop, sock, connections)
            undo.pop_all()
        connections.start()
        return self

    def _check(self, udp: list[bool]) -> None:
        """Raises ValueError for what is not served over those addresses."""
        if any(udp) and isinstance(self._service, Handlers):
            check_handler(self._service.handler)
        if all(udp) and self._tls is not None:
            raise ValueError("tls= needs an address of streams, and there are udp ones only")

    def _open(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, connections: Connections
    ) -> None:
        sock.setblocking(False)
        if sock.type == socket.SOCK_DGRAM:
            kind = HandlerEndpoint if isinstance(self._service, Handlers) else DatagramEndpoint
            endpoint = kind(loop, sock, self._service, self._limits, self._answerable)
            self._endpoints.append(endpoint)
            endpoint.start()
            return
        if self._timeouts.write is not None:  # one that was passed does not have it yet
            set_write_timeout(sock, self._timeouts.write)
        connections.gate.add(Listener(loop, sock, partial(self._kind, connections.hub)))

    def _give_up(self) -> None:
        """The loop would go on accepting for those that were opened before one that failed."""
        self._gate.close()
        for endpoint in self._endpoints:
            endpoint.close()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.drain()

    # Accepting.

    @property
    def _gate(self) -> Gate:
        if self._connections is None:
            raise RuntimeError("the server has not been entered: async with serve(...) as server")
        return self._connections.gate

    def pause(self) -> None:
        """Accept nobody until `resume`: newcomers wait in the kernel's backlog."""
        self._gate.hold(Gate.ASKED)

    def resume(self) -> None:
        """Accept again, unless the server is full or out of descriptors."""
        self._gate.release(Gate.ASKED)

    # The end.

    async def drain(self, timeout: float | None = None) -> DrainReport:
        """Accept no more, send what is pending for `timeout` s, then reset who is left.

        The service is asked to say goodbye, and then every peer counts as having finished
        sending. The timeout is that of `Timeouts.drain` unless given. A second call waits for
        the first, and gives its report.
        """
        if self._drained is None:
            limit = self._timeouts.drain if timeout is None else timeout
            self._drained = asyncio.create_task(self._drain(limit))
        return await asyncio.shield(self._drained)

    async def _drain(self, limit: float) -> DrainReport:
        loop, connections = asyncio.get_running_loop(), self._connections
        if connections is None:
            return DrainReport(0, 0)
        deadline = loop.time() + limit
        await self._gate.close_politely()
        *_, report = await asyncio.gather(  # all at once: nobody takes anybody else's time
            *(each.drain(deadline) for each in self._endpoints), connections.drain(limit)
        )
        return cast(DrainReport, report)

    async def run_until_signal(self) -> DrainReport:
        """Wait for SIGTERM or SIGINT, then drain; a second one ends the process at once."""
        await self.catch_signals().wait()
        return await self.drain()

    def catch_signals(self) -> asyncio.Event:
        """As `run_until_signal`, for who has something to do before waiting for the event.

        One signal is for all servers of the loop that wait for it.
        """
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()
        waiting = _stopped_by_signal.setdefault(loop, [])
        waiting.append(stopped)

        def stop() -> None:
            for each in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(each)
                signal.signal(each, signal.SIG_DFL)
            for event in waiting:
                event.set()
            waiting.clear()

        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, stop)
            handle_once(each)  # so that a second one ends it even if the loop hangs
        return stopped


def _is_udp(place: Address | socket.socket) -> bool:
    if isinstance(place, Address):
        return place.scheme == "udp"
    return place.type == socket.SOCK_DGRAM


def serve(
    service: Serves,
    *where: str | Address | socket.socket,
    limits: Limits | None = None,
    timeouts: Timeouts | None = None,
    tls: ssl.SSLContext | None = None,
    hooks: Hooks | None = None,
    reuse_port: bool = False,
    cancel_on_close: bool = True,
) -> Server:
    """Serve `service` on every address of `where`, from `async with` on.

    service: what has `receive_data` is a sans-I/O service; else a coroutine function that is
        called with a `Stream` for each connection, and with a `Datagram` for each datagram on
        a udp address, where it may be a plain function, too.
    where: `tcp://HOST:PORT`, `udp://HOST:PORT`, `unix:///PATH`, `fd://N`, `systemd:`, or a
        socket that is bound; the server owns it from then on.
    tls: of the stream addresses. reuse_port: several processes may listen there.
    cancel_on_close: cancel a handler whose peer is gone, if it is waiting for something else.

    Raises ValueError for an address that cannot be read or what is neither a service nor a
    handler, and on entering OSError where it cannot listen.
    """
    if not where:
        raise ValueError("serve() needs an address, such as 'tcp://127.0.0.1:0'")
    places = tuple(Address.parse(place) if isinstance(place, str) else place for place in where)
    return Server(
        service,
        places,
        limits or Limits(),
        timeouts or Timeouts(),
        tls,
        hooks,
        reuse_port,
        cancel_on_close,
    )
