"""Connections that a program makes itself: the same streams, limits and deadlines as a server's."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

from aionet.address import Address, address_in
from aionet.connections import Connections
from aionet.core.layer import Layer
from aionet.core.tls import TLSHub
from aionet.given import check_wait, one_of
from aionet.handlers import Handlers, StreamConnection
from aionet.happy_eyeballs import connected
from aionet.limits import CloseReason, Limits, Timeouts
from aionet.listen import set_write_timeout
from aionet.protocol import Answer
from aionet.sockets import borrowed
from aionet.stream import Stream
from aionet.stream_errors import BrokenStreamError
from aionet.tls import check_context

MANY = 1_000_000_000  # connections: how many it makes is the program's affair
BACKLOG_S = 0.01  # until a unix socket's backlog that was full is tried again


class _Connections(Connections):
    """Those of one loop, limits and timeouts. It has a clock only while there are some."""

    opening = 0  # connections that are being made

    def started(self) -> None:
        if self._ticking is None:
            self.start()

    def left(self) -> None:
        super().left()
        self.rest()

    def _tick(self) -> None:
        super()._tick()
        self.rest()  # or who left in it would be the last one for ever

    def rest(self) -> None:
        """Stop the clock if there is nobody."""
        if not self.hub.open and not self.opening:
            if self._ticking is not None:
                self._ticking.cancel()
                self._ticking = None
            for key in [key for key, each in _kept.items() if each is self]:
                del _kept[key]


_kept: dict[tuple[int, Limits, Timeouts], _Connections] = {}


def _connections(limits: Limits, timeouts: Timeouts) -> _Connections:
    loop = asyncio.get_running_loop()
    for other in [key for key, each in _kept.items() if each.loop.is_closed()]:
        del _kept[other]
    key = (id(loop), limits, timeouts)
    connections = _kept.get(key)
    if connections is None:
        connections = _Connections(loop, _Clients(), limits, timeouts, limit=MANY, may_be_tls=True)
        _kept[key] = connections
    return connections


class _ClientConnection(StreamConnection):
    """A connection that this program made. opened: set once it is there, TLS included."""

    __slots__ = ("_tls", "opened")

    def __init__(self, connections: Connections, tls: Layer | None) -> None:
        super().__init__(connections.hub)
        self._tls = tls
        self.opened: asyncio.Future[None] = connections.loop.create_future()

    def layer(self) -> Layer | None:
        tls, self._tls = self._tls, None
        return tls

    def is_unknown(self) -> bool:
        return False  # what it said before it went is of use

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        sock = transport.get_extra_info("socket")
        if (write := self.hub.timeouts.write) is not None and sock is not None:
            with borrowed(sock) as own:
                set_write_timeout(own, write)
        super().connection_made(transport)

    def abandon(self) -> None:
        """It is not wanted any more, however far it came."""
        if self.index >= 0:
            self.abort(CloseReason.DONE)
        if self.opened.done() and not self.opened.cancelled():
            self.opened.exception()  # which somebody has been told, or need not be

    def be_open(self) -> None:
        self._address = self.address  # uvloop asks the kernel, which forgets it
        self.hub.places.stay(self)  # what is known of its TLS stays known, too
        if not self.opened.done():
            self.opened.set_result(None)

    def secured(self) -> None:
        super().secured()
        if self.handshake_error is not None and not self.opened.done():
            self.opened.set_exception(self.handshake_error)

    def gone(self) -> None:
        super().gone()
        if not self.opened.done():
            self.opened.set_exception(BrokenStreamError(self.reason or CloseReason.RESET))
        elif self.place:
            self.hub.places.release(self)

    def start_tls(self, context: ssl.SSLContext | None, server_hostname: str | None) -> None:
        """Raises ValueError without a context."""
        if context is None:
            raise ValueError("start_tls() of a client needs a context and server_hostname=")
        check_context("context", context)
        assert isinstance(self.hub, TLSHub)
        self._secure(self.hub, Layer(context, server_hostname=server_hostname))


class _Clients(Handlers):
    """Each has a stream, and no handler: the program that made the connection is that."""

    def __init__(self) -> None:
        super().__init__(_nobody)

    def connect(self, peer: Any) -> Answer:
        peer.be_open()
        return None


async def _nobody(stream: Stream) -> None:
    raise AssertionError("a client has no handler")


async def connect(
    address: str | Address,
    *,
    tls: ssl.SSLContext | None = None,
    server_hostname: str | None = None,
    timeout: float | None = 10.0,
    limits: Limits | None = None,
    timeouts: Timeouts | None = None,
) -> Stream:
    """A stream to the server at `address`, `tcp://HOST:PORT`, `unix:///PATH` or `unix:@NAME`.

        async with await aionet.connect("tcp://localhost:7007") as stream: ...

    All addresses of a name are tried, IPv4 and IPv6 beside each other (happy eyeballs, RFC 8305).
    `async with` closes it; else close() or abort() does.

    tls: such as ssl.create_default_context(). server_hostname: the name that the certificate must
        have; the host of `address` if it is not given.
    timeout: seconds for all of it: to find, to connect, and to shake hands.
    limits, timeouts: as of a server; those of the stream. By default it may be idle for ever.

    Raises ValueError for an address that cannot be connected to, TimeoutError, OSError from the
    kernel or from resolving, ssl.SSLError (an OSError, too) for a handshake that fails, and
    BrokenStreamError (a ConnectionError) if the peer goes away in it.
    """
    place = address_in(address)
    if place.scheme not in ("tcp", "unix"):
        raise ValueError(f"{place} is nothing to connect to; use tcp://HOST:PORT or unix:///PATH")
    check_wait("timeout", timeout)
    limits = one_of(Limits, "limits", limits, Limits())
    timeouts = one_of(Timeouts, "timeouts", timeouts, Timeouts(idle=None))
    layer = None
    if tls is not None:
        check_context("tls", tls)
        if tls.protocol is ssl.PROTOCOL_TLS_SERVER:
            raise ValueError("tls= is a server's context; use ssl.create_default_context()")
        layer = Layer(tls, server_hostname=server_hostname or place.host or None)
    elif server_hostname is not None:
        raise ValueError(
            f"server_hostname is {server_hostname!r} and needs tls=, such as "
            "ssl.create_default_context()"
        )
    connections = _connections(limits, timeouts)
    conn = _ClientConnection(connections, layer)
    connections.opening += 1
    connections.started()
    try:
        async with asyncio.timeout(timeout) as limit:
            await _open(connections.loop, conn, place)
            await conn.opened
    except BaseException as error:
        conn.abandon()
        if isinstance(error, TimeoutError) and limit.expired():
            raise TimeoutError(f"no connection to {place} within {timeout:g} s") from error
        raise
    finally:
        connections.opening -= 1
        connections.rest()
    return conn.stream


async def _connect_unix(sock: socket.socket, name: str) -> None:
    """A full backlog is no connection that is on its way, as the loops take it (connect(2))."""
    while True:
        try:
            sock.connect(name)
            return
        except BlockingIOError:
            await asyncio.sleep(BACKLOG_S)


async def _open(loop: Any, conn: _ClientConnection, place: Address) -> None:
    if place.scheme == "unix":
        sock = socket.socket(socket.AF_UNIX)  # uvloop does not take an abstract name itself
    else:
        sock = await connected(place.host, place.port)
    try:
        if place.scheme == "unix":
            sock.setblocking(False)
            await _connect_unix(sock, place.unix_name)
            await loop.create_unix_connection(lambda: conn, sock=sock)
        else:
            await loop.create_connection(lambda: conn, sock=sock)
    except BaseException:
        sock.close()
        raise
