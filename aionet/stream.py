"""TCP connections on an asyncio transport: any `Service`, on asyncio or uvloop."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any, cast

from aionet.limits import Limits, Timeouts
from aionet.protocol import Deliveries, Service
from aionet.sockets import set_reset_on_close, stop_reading

log = logging.getLogger("aionet")


class Connections:
    """All the connections to one service, and what they share."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        service: Service,
        limits: Limits,
        timeouts: Timeouts,
    ) -> None:
        self.loop = loop
        self.service = service
        self.limits = limits
        self.timeouts = timeouts
        self.draining = False
        self._open: set[Connection] = set()
        self._all_gone = asyncio.Event()
        self._all_gone.set()
        self._unsent: list[Connection] = []  # peers to whom others have just talked

    def __len__(self) -> int:
        return len(self._open)

    def add(self, conn: Connection) -> None:
        self._open.add(conn)
        self._all_gone.clear()

    def discard(self, conn: Connection) -> None:
        self._open.discard(conn)
        if not self._open:
            self._all_gone.set()

    def flush_soon(self, peer: Connection) -> None:
        """Flush `peer` after this turn of the loop: many messages then go in one call."""
        if not self._unsent:
            self.loop.call_soon(self._flush)
        self._unsent.append(peer)

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        for peer in unsent:
            peer.flush()

    async def drain(self, timeout: float) -> None:
        """Treat every peer as having finished sending; after `timeout` s, reset who is left."""
        self.draining = True
        for conn in list(self._open):
            conn.stop_reading()
        try:
            await asyncio.wait_for(self._all_gone.wait(), timeout)
        except TimeoutError:
            for conn in list(self._open):
                conn.drop()
            await self._all_gone.wait()


def _discard(data: bytes) -> None:
    """What a connection writes with once it is closing."""


class Connection(asyncio.Protocol):
    """One peer of a service.

    What the kernel does not take waits in the transport's buffer. `outbox` only collects
    what others say to this peer during one turn of the loop.
    """

    __slots__ = (
        "_all",
        "_outbox",
        "_paused",
        "_receive_data",
        "_transport",
        "_write",
        "closing",
        "eof",
    )

    def __init__(self, connections: Connections) -> None:
        self._all = connections
        self._receive_data = connections.service.receive_data
        self._outbox: list[bytes] | None = None
        self._paused = False
        self.closing = False  # the service has said its last word to this peer
        self.eof = False  # the service knows that the peer has finished, or is gone

    # Accept.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=self._all.limits.write_buffer)
        self._write: Callable[[bytes], None] = self._transport.write
        self._all.add(self)
        if self._all.draining:
            self.stop_reading()
        self._deliver(self._all.service.connect(self))

    # Feed.

    def data_received(self, data: bytes) -> None:
        if self.closing:  # nobody listens any more: we only wait for its end
            return
        for peer, out in self._receive_data(self, data):
            if peer is self and out and self._outbox is None:
                self._write(out)
            else:
                peer.put(out)

    def eof_received(self) -> bool:
        self.eof = True
        if self.closing:
            self._transport.close()
        else:
            self._deliver(self._all.service.receive_eof(self))
        return True  # what is pending is still sent; closing is the service's decision

    # Deliver.

    def _deliver(self, deliveries: Deliveries) -> None:
        for peer, data in deliveries:
            peer.put(data)

    def put(self, data: bytes) -> None:
        """Send `data` to this peer after this turn of the loop; b"" closes it."""
        if self.closing:
            return
        if not data:
            self.flush()
            self._say_goodbye()
        elif self._outbox is None:
            self._outbox = [data]
            self._all.flush_soon(self)
        else:
            self._outbox.append(data)

    def flush(self) -> None:
        if self._outbox is None or self.closing:
            return
        self._write(b"".join(self._outbox))
        self._outbox = None
        if self._paused and self._transport.get_write_buffer_size() > self._all.limits.outbox:
            log.info("a peer is dropped: it reads slower than others talk")
            self.drop()

    def pause_writing(self) -> None:
        self._paused = True
        if not self.eof:
            self._transport.pause_reading()  # who does not read is not listened to

    def resume_writing(self) -> None:
        self._paused = False
        if not self.eof:
            self._transport.resume_reading()

    # Close.

    def _say_goodbye(self) -> None:
        """Close once all is sent, but not before the peer does if it may still be talking.

        Closing with unread input would send a reset, which may overtake the last bytes.
        """
        self.closing = True
        self._write = _discard
        if self.eof:
            self._transport.close()
        else:
            self._transport.write_eof()
            self._all.loop.call_later(self._all.timeouts.linger, self._transport.close)

    def stop_reading(self) -> None:
        """Read what has arrived, and nothing after it."""
        # uvloop's stand-in for a socket cannot shut down; a socket object for the same
        # descriptor can, and detach() leaves the descriptor alone.
        sock = socket.socket(fileno=self._socket.fileno())
        try:
            stop_reading(sock)
        finally:
            sock.detach()

    def drop(self) -> None:
        """Reset the peer, whatever is pending in our buffers or the kernel's."""
        self.closing = True
        self._write = _discard
        try:
            set_reset_on_close(self._socket)
        except OSError:
            log.debug("the peer was gone before it could be reset")
        self._transport.abort()

    @property
    def _socket(self) -> Any:
        return self._transport.get_extra_info("socket")

    def connection_lost(self, exc: Exception | None) -> None:
        self.closing = True
        self._write = _discard
        self._outbox = None
        self._all.discard(self)
        if not self.eof:
            self.eof = True
            self._deliver(self._all.service.receive_eof(self))
