"""Listen, serve, drain: the same on asyncio and uvloop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, cast
from weakref import WeakKeyDictionary

from aionet.address import Address
from aionet.answerable import Answerable
from aionet.certificates import Certificates
from aionet.connection import Connection
from aionet.connections import Connections
from aionet.core import Hub, State
from aionet.datagram import DatagramEndpoint, DatagramHandler, HandlerEndpoint, check_handler
from aionet.descriptors import descriptor_room
from aionet.dispatch import Dispatch
from aionet.door import Door, doors_of
from aionet.given import as_bytes, check_flag, check_wait, one_of
from aionet.handlers import Handler, Handlers
from aionet.hooks import Hooks
from aionet.limits import Limits, Timeouts
from aionet.listen import listen_all
from aionet.listener import Gate, Listener
from aionet.loops import keep_read_buffers
from aionet.native import handle_once
from aionet.place import Listen, complete, listens
from aionet.protocol import Deliveries, Framing, Service
from aionet.proxied import Proxied, for_somebody
from aionet.proxy_header import Trusted
from aionet.sockets import address_of, set_write_timeout
from aionet.stats import DrainReport, Stats
from aionet.unicast import answer_unicast_only
from aionet.unix_path import remove_unix_path

Serves = Service | Handler | DatagramHandler
Where = str | Address | socket.socket | Listen

# A loop has one handler of a signal, and a program may have several servers.
_stopped_by_signal: WeakKeyDictionary[asyncio.AbstractEventLoop, list[asyncio.Event]] = (
    WeakKeyDictionary()
)


class Server:
    """Serves within `async with`, which drains it at the end. Made by `serve`."""

    def __init__(
        self,
        where: tuple[Listen, ...],
        limits: Limits,
        timeouts: Timeouts,
        hooks: Hooks,
        reuse_port: bool,
        cancel_on_close: bool,
        count_bytes: bool,
    ) -> None:
        self._count_bytes = count_bytes
        self._doors = doors_of(where, cancel_on_close)
        self._limits = limits
        self._timeouts = timeouts
        self._hooks = hooks
        self._reuse_port = reuse_port
        self._sockets: list[socket.socket] = []
        self._addresses: list[Address] = []
        self._endpoints: list[DatagramEndpoint] = []
        self._answerable = Answerable(limits)
        self._drained: asyncio.Task[DrainReport] | None = None
        self._connections: Connections | None = None
        self._certificates = Certificates([door for _, door, _ in self._doors])
        for listen, door, _ in self._doors:
            if listen.has_datagrams and isinstance(door.service, Handlers):
                check_handler(door.service.handler)

    @property
    def addresses(self) -> list[Address]:
        """Where it listens, with the ports that the kernel chose for port 0.

        Raises RuntimeError before it serves.
        """
        self._check_entered()
        return self._addresses

    @property
    def stats(self) -> Stats:
        """What it has done so far; a picture that does not change any more.

        Raises RuntimeError before it serves.
        """
        return self._check_entered().stats(self._endpoints)

    def _check_entered(self) -> Connections:
        if self._connections is None:
            raise RuntimeError("the server has not been entered: async with serve(...) as server")
        return self._connections

    async def __aenter__(self) -> Server:
        if self._connections is not None:
            raise RuntimeError("a server serves once: make another")
        loop = asyncio.get_running_loop()
        keep_read_buffers()
        services = list(dict.fromkeys(door.service for _, door, _ in self._doors))
        self._connections = connections = Connections(
            loop,
            services[0] if len(services) == 1 else Dispatch(services),
            self._limits,
            self._timeouts,
            limit=self._limits.connections or descriptor_room(),
            may_be_tls=any(door.may_be_tls for _, door, _ in self._doors),
            count_bytes=self._count_bytes,
            hooks=self._hooks,
        )
        with contextlib.ExitStack() as undo:
            opened: list[tuple[socket.socket, Listen, Door, type[Connection]]] = []
            for listen, door, kind in self._doors:
                for sock in await self._listen(listen):
                    undo.callback(sock.close)
                    undo.callback(remove_unix_path, sock)
                    opened.append((sock, listen, door, kind))
            self._sockets = [sock for sock, *_ in opened]
            self._addresses = [address_of(sock) for sock in self._sockets]
            undo.callback(self._give_up)
            for sock, listen, door, kind in opened:
                self._open(loop, sock, listen, door, kind)
            undo.pop_all()
        connections.start()
        self._certificates.watch(loop)
        return self

    async def _listen(self, listen: Listen) -> list[socket.socket]:
        place = listen.address
        if isinstance(place, socket.socket):
            if place.type == socket.SOCK_DGRAM:
                answer_unicast_only(place)
            return [place]
        assert isinstance(place, Address)
        return await asyncio.to_thread(
            partial(
                listen_all,
                place,
                reuse_port=self._reuse_port,
                write_timeout=self._timeouts.write,
                backlog=listen.backlog,
                mode=listen.mode,
            )
        )

    def _open(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        listen: Listen,
        door: Door,
        kind: type[Connection],
    ) -> None:
        sock.setblocking(False)
        if sock.type == socket.SOCK_DGRAM:
            if isinstance(door.service, Handlers):
                check_handler(door.service.handler)  # which an inherited one is only known to need
            endpoint_of = (
                HandlerEndpoint if isinstance(door.service, Handlers) else DatagramEndpoint
            )
            endpoint = endpoint_of(loop, sock, door.service, self._limits, self._answerable)
            self._endpoints.append(endpoint)
            endpoint.start()
            return
        if self._timeouts.write is not None:  # one that was passed does not have it yet
            set_write_timeout(sock, self._timeouts.write)
        connections = self._connections
        assert connections is not None
        make: Callable[[], asyncio.Protocol] = partial(kind, connections.hub)
        if listen.proxies:
            named, trusted = for_somebody(kind), Trusted(listen.proxies)
            make = partial(Proxied, connections, named, trusted)
        connections.gate.add(Listener(loop, sock, make, listen.backlog))

    # Certificates.

    @property
    def has_certificates(self) -> bool:
        """Whether there are some that can be read again: those of `server_context`."""
        return bool(self._certificates)

    def reload_certificates(self) -> None:
        """Read their files again, for connections from now on; what cannot be read is logged."""
        self._certificates.reload()

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

    # Who is there.

    @property
    def peers(self) -> list[Connection]:
        """Who is connected now, and may be said something: keys for `deliver`, see `Peer`."""
        open_ = self._hub.open
        return [peer for peer in open_ if peer.state is State.OPEN]  # type: ignore[misc]

    def deliver(self, deliveries: Deliveries) -> None:
        """Say something though nobody has spoken, on the server's loop: pairs as a service gives.

        It is carried out at once, within Limits.outbox, and nobody waits. From another thread:
        `loop.call_soon_threadsafe(server.deliver, deliveries)`. Raises TypeError for what is
        neither bytes nor a close, and RuntimeError before the server serves.
        """
        self._hub.deliver(deliveries)

    def send_to(self, data: bytes, address: Any) -> bool:
        """Send a datagram that nobody has asked for, from the first udp socket of that family.

        address: (host, port, ...), of numbers. False if a limit, or the kernel, did not let it go.
        Raises ValueError where there is no such socket, and TypeError for what is not bytes.
        """
        self._check_entered()
        data = as_bytes("send_to", data)
        six = ":" in address[0]
        for endpoint in self._endpoints:
            if endpoint.is_six is six:
                return endpoint.send(data, address)
        raise ValueError(f"there is no udp address here that could send to {address[0]}")

    @property
    def _hub(self) -> Hub:
        return self._check_entered().hub

    @property
    def draining(self) -> asyncio.Event:
        """Set when it begins to stop."""
        return self._check_entered().draining

    # Accepting.

    @property
    def _gate(self) -> Gate:
        return self._check_entered().gate

    def pause(self) -> None:
        """Accept nobody until `resume`: newcomers wait in the kernel's backlog."""
        self._gate.hold(Gate.ASKED)

    def resume(self) -> None:
        """Accept again, unless the server is full or out of descriptors."""
        self._gate.release(Gate.ASKED)

    # The end.

    async def retire(self, timeout: float | None = None) -> None:
        """Accept no more, and let who is there end by themselves, for `timeout` s; then drain.

        For who is replaced by another that serves already: whoever came a moment ago and has not
        said anything yet is still heard. `draining` is set, for who never ends by himself.
        """
        check_wait("timeout", timeout)
        await self._gate.close_politely()
        limit = self._timeouts.drain if timeout is None else timeout
        if self._connections is not None:
            self._connections.draining.set()
            await self._connections.all_gone(asyncio.get_running_loop().time() + limit)

    async def drain(self, timeout: float | None = None) -> DrainReport:
        """Accept no more, send what is pending for `timeout` s, then reset who is left.

        The service is asked to say goodbye, and then every peer counts as having finished
        sending. The timeout is that of `Timeouts.drain` unless given. A second call waits for
        the first, and gives its report.
        """
        check_wait("timeout", timeout)
        if self._drained is None:
            limit = self._timeouts.drain if timeout is None else timeout
            self._drained = asyncio.create_task(self._drain(limit))
        return await asyncio.shield(self._drained)

    async def _drain(self, limit: float) -> DrainReport:
        loop, connections = asyncio.get_running_loop(), self._connections
        if connections is None:
            return DrainReport(0, 0)
        self._certificates.forget()
        deadline = loop.time() + limit
        await self._gate.close_politely()
        *_, report = await asyncio.gather(  # all at once: nobody takes anybody else's time
            *(each.drain(deadline) for each in self._endpoints), connections.drain(deadline)
        )
        return cast(DrainReport, report)

    async def run_until_signal(self) -> DrainReport:
        """Wait for SIGTERM or SIGINT, then drain; a second one ends the process at once."""
        await self.catch_signals().wait()
        return await self.drain()

    def catch_signals(self) -> asyncio.Event:
        """As `run_until_signal`, for who has something to do before waiting for the event.

        One signal is for all servers of the loop that wait for it. Raises RuntimeError before the
        server serves.
        """
        self._check_entered()
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


def serve(
    service: Serves | Listen,
    *where: Where,
    limits: Limits | None = None,
    timeouts: Timeouts | None = None,
    tls: ssl.SSLContext | None = None,
    starttls: ssl.SSLContext | None = None,
    framing: Framing | None = None,
    hooks: Hooks | None = None,
    reuse_port: bool = False,
    cancel_on_close: bool = True,
    count_bytes: bool = False,
) -> Server:
    """Serve `service` on every address of `where`, from `async with` on.

    service: what has `receive_data` is a sans-I/O service; else a coroutine function that is
        called with a `Stream` for each connection, and with a `Datagram` for each datagram on
        a udp address, where it may be a plain function, too. It may be left out if each address is
        a `Listen` with a service of its own.
    where: `tcp://HOST:PORT`, `udp://HOST:PORT`, `tcp+udp://HOST:PORT`, `unix:///PATH`,
        `unix:@NAME`, `fd://N`, `systemd:`, a `Listen`, or a socket that is bound; the server owns
        it from then on.
    tls: of the stream addresses. starttls: the same once `Stream.start_tls` is called.
    framing: `Lines(limit)`, `LengthPrefixed(4)`, ...: a service is given whole messages by it; a
        datagram is one by itself.
    reuse_port: several processes may listen there.
    cancel_on_close: cancel a handler whose peer is gone, if it is waiting for something else.
    count_bytes: have Stats.received_bytes and .sent_bytes, for about 0.1 us a message.

    `limits` are for all addresses together.

    Raises ValueError for an address that cannot be read, what is neither a service nor a handler,
    and all else that cannot be meant, and on entering OSError where it cannot listen.
    """
    if isinstance(service, Listen):
        where, service = (service, *where), None  # type: ignore[assignment]
    if not where:
        raise ValueError("serve() needs an address, such as 'tcp://127.0.0.1:0'")
    places = complete(listens(where), service, tls=tls, starttls=starttls, framing=framing)
    check_flag("reuse_port", reuse_port)
    check_flag("cancel_on_close", cancel_on_close)
    check_flag("count_bytes", count_bytes)
    return Server(
        places,
        one_of(Limits, "limits", limits, Limits()),
        one_of(Timeouts, "timeouts", timeouts, Timeouts()),
        one_of(Hooks, "hooks", hooks, Hooks()),
        reuse_port,
        cancel_on_close,
        count_bytes,
    )
