"""Connections that a proxy makes for somebody else, and says for whom."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aionet.connection import Connection, has_gone
from aionet.connections import Connections
from aionet.core.places import tell
from aionet.limits import CloseReason
from aionet.proxy_header import ProxyHeaderError, Trusted, parse
from aionet.sockets import borrowed, set_reset_on_close
from aionet.throttle import throttled


def for_somebody(kind: type[Connection]) -> type[Connection]:
    """The same connections, whose address is that of the client behind the proxy."""

    def address(self: Any) -> Any:
        return self.source or kind.address.fget(self)  # type: ignore[attr-defined]

    def get_extra_info(self: Any, name: str) -> Any:
        return self.address if name == "peername" else kind.get_extra_info(self, name)

    members = {
        "__slots__": ("source",),
        "address": property(address, doc="Of the client, as its proxy says."),
        "get_extra_info": get_extra_info,
    }
    return type(kind.__name__, (kind,), members)


class Proxied(asyncio.Protocol):
    """One of them, until it has said for whom it is: only then it is admitted.

    The header is under Timeouts.message. Who is not trusted is reset, and so is who sends anything
    else: else everybody could say to be anybody.
    """

    def __init__(self, connections: Connections, kind: type[Connection], trusted: Trusted) -> None:
        self._connections = connections
        self._kind = kind
        self._trusted = trusted
        self._data = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._proxy = transport.get_extra_info("peername")
        connections = self._connections
        connections.unnamed.add(self)
        connections.accepted()
        if has_gone(transport, self._proxy):
            self.refuse(CloseReason.RESET)
            return
        if self._proxy not in self._trusted:
            throttled(logging.WARNING, "%s is reset: it is none of our proxies", self._proxy)
            self._reject()
            return
        if len(connections.unnamed) > connections.hub.places.many:
            self._reject()
            return
        timeouts = self._connections.hub.timeouts
        if (limit := timeouts.message or timeouts.handshake) is not None:
            late = CloseReason.SLOW_MESSAGE
            self._timer = self._connections.loop.call_later(limit, self.refuse, late)

    def data_received(self, data: bytes) -> None:
        self._data += data
        try:
            header = parse(self._data)
        except ProxyHeaderError as error:
            said = "%s is reset: no header of the PROXY protocol: %s"
            throttled(logging.WARNING, said, self._proxy, error)
            self.refuse(CloseReason.HANDSHAKE)
            return
        if header is not None:
            self._leave()
            conn: Any = self._kind(self._connections.hub)
            conn.source = header.source or self._proxy
            self._transport.set_protocol(conn)
            conn.connection_made(self._transport)
            if rest := self._data[header.size :]:
                conn.data_received(rest)

    def _reject(self) -> None:
        self.refuse(CloseReason.REJECTED)
        if (hook := self._connections.hub.hooks.on_reject) is not None:
            conn: Any = self._kind(self._connections.hub)
            conn.source, conn._transport = self._proxy, self._transport
            tell(hook, conn)

    def eof_received(self) -> None:
        self.refuse(CloseReason.HANDSHAKE)

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._connections.unnamed:
            self._count(CloseReason.RESET)

    def refuse(self, reason: CloseReason) -> None:
        """Reset it, and count it."""
        self._count(reason)
        sock = self._transport.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            with borrowed(sock) as own:
                set_reset_on_close(own)
        self._transport.abort()

    def _count(self, reason: CloseReason) -> None:
        self._leave()
        self._connections.hub.accepted += 1
        self._connections.hub.closed[reason] += 1

    def _leave(self) -> None:
        self._connections.unnamed.discard(self)
        self._connections.left()
        if self._timer is not None:
            self._timer.cancel()
