"""TLS: a sane server context, and the handshake of one connection."""

from __future__ import annotations

import asyncio
import ssl
from os import PathLike
from typing import TYPE_CHECKING, Any

from aionet.limits import CloseReason

if TYPE_CHECKING:
    from aionet.connection import Connection
    from aionet.connections import Connections


def server_context(
    certificate: str | PathLike[str], key: str | PathLike[str] | None = None
) -> ssl.SSLContext:
    """A context for a server from two PEM files: TLS 1.2 and later, no compression.

    `certificate` holds the chain, and the key, too, where `key` is not given. Raises OSError
    (ssl.SSLError is one) where they cannot be read or do not belong together.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context


NEVER_S = 24 * 3600.0  # the loops know no handshake without a timeout


class Handshake(asyncio.Protocol):
    """The connection's protocol until its handshake is done, or has taken too long.

    A listener with TLS of its own would tell nobody of a handshake that fails. So
    connections are accepted, counted and limited before, and only then upgraded.
    """

    def __init__(
        self, connections: Connections, conn: Connection, transport: asyncio.Transport
    ) -> None:
        self._all = connections
        self._conn = conn
        self._transport = transport
        self._early = b""  # what came with the end of the handshake

    def start(self) -> None:
        self._transport.pause_reading()  # start_tls() reads from where nobody has
        task = self._all.loop.create_task(self._shake_hands())
        self._all.tasks.add(task)
        task.add_done_callback(self._all.tasks.discard)

    async def _shake_hands(self) -> None:
        conn, timeouts, context = self._conn, self._all.timeouts, self._all.tls
        if conn.index < 0:
            return  # gone before it began
        assert context is not None
        if early := conn.take_early():
            # Before the TLS protocol's connection_made(), when it only keeps what it gets.
            self._all.loop.call_soon(self._replay, early)
        try:
            transport = await self._all.loop.start_tls(
                self._transport,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=timeouts.handshake or NEVER_S,
                ssl_shutdown_timeout=max(timeouts.linger, 0.001),
            )
        except (OSError, asyncio.CancelledError):
            transport = None
        if transport is None or conn.closing:
            conn.reason = conn.reason or CloseReason.HANDSHAKE
            self._transport.abort()
            conn.connection_lost(None)
            return
        transport.set_protocol(conn)
        conn.serve(transport)
        if self._early:
            conn.data_received(self._early)

    def _replay(self, early: bytes) -> None:
        """Give the TLS protocol what was read before there was one."""
        tls: Any = self._transport.get_protocol()
        while early:
            buffer = tls.get_buffer(len(early))
            size = min(len(buffer), len(early))
            buffer[:size] = early[:size]
            tls.buffer_updated(size)
            early = early[size:]

    def data_received(self, data: bytes) -> None:
        self._early += data
