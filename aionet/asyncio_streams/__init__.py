"""The same services on asyncio's streams: python -m aionet.asyncio_streams serve {echo|chat}

The API that most asyncio programs use, as its documentation teaches it, beside which the rest of
this package can be measured. Reading and writing are coroutines, so that a task and a buffer of
its own stand between each connection and the loop: that is what it costs. Three things that the
documentation does not insist on are done here: what others say to a peer has a bound, a peer may
be slow to close, and there is one way to stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket

from aionet.limits import Limits, Timeouts
from aionet.protocol import Deliveries, Service
from aionet.sockets import RECV_SIZE, set_reset_on_close, stop_reading

__all__ = ["StreamServer"]


class Peer:
    """One connection: its two streams, and whether the service has said its last word."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.closing = False

    def drop(self) -> None:
        """Reset it, whatever is pending."""
        self.closing = True
        with contextlib.suppress(OSError):
            set_reset_on_close(self.writer.get_extra_info("socket"))
        self.writer.transport.abort()

    def stop_reading(self) -> None:
        """Have it read what has arrived, and then the end."""
        if (descriptor := self.writer.get_extra_info("socket").fileno()) >= 0:
            # uvloop's stand-in for a socket cannot shut down.
            sock = socket.socket(fileno=descriptor)
            try:
                stop_reading(sock)
            finally:
                sock.detach()


class StreamServer:
    """Serves `service`: `meet` is what asyncio.start_server() takes."""

    def __init__(self, service: Service, limits: Limits, timeouts: Timeouts) -> None:
        self._service = service
        self._limits = limits
        self._timeouts = timeouts
        self._peers: dict[asyncio.Task[None], Peer] = {}
        self._draining = False

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        peer = self._peers[task] = Peer(reader, writer)
        writer.transport.set_write_buffer_limits(high=self._limits.write_buffer)
        if self._draining:
            peer.stop_reading()
        try:
            # A peer that resets ends its own conversation and nothing else.
            with contextlib.suppress(OSError):
                await self._converse(peer)
            with contextlib.suppress(OSError):
                await self._deliver(peer, self._service.receive_eof(peer))
            peer.closing = True
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        finally:
            del self._peers[task]

    async def _converse(self, peer: Peer) -> None:
        await self._deliver(peer, self._service.connect(peer))
        while not peer.closing:
            data = await peer.reader.read(RECV_SIZE)
            if not data:
                return
            await self._deliver(peer, self._service.receive_data(peer, data))
        # Closing with unread input would send a reset, which may overtake the last bytes.
        peer.writer.write_eof()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timeouts.linger):
                while await peer.reader.read(RECV_SIZE):
                    pass

    async def _deliver(self, conn: Peer, deliveries: Deliveries) -> None:
        """Write what the service says; wait until `conn`, who made it speak, has read enough."""
        for peer, data in deliveries:
            # A writer whose peer is gone may say so by an exception (uvloop).
            if peer.closing or peer.writer.is_closing():
                continue
            if data:
                peer.writer.write(data)
                if peer is not conn and self._is_behind(peer):
                    peer.drop()
            else:
                peer.closing = True
                if peer is not conn:
                    peer.stop_reading()  # wakes its task, which closes it
        await conn.writer.drain()

    def _is_behind(self, peer: Peer) -> bool:
        return peer.writer.transport.get_write_buffer_size() > self._limits.outbox

    async def drain(self) -> None:
        """Treat every peer as having finished sending; reset who is not done in time."""
        self._draining = True
        for peer in list(self._peers.values()):
            peer.stop_reading()
        if self._peers:
            await asyncio.wait(self._peers, timeout=self._timeouts.drain)
        for peer in list(self._peers.values()):
            peer.drop()
