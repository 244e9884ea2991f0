"""One accepted connection on an asyncio transport, fed to a sans-I/O service."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import socket
import struct
import termios
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from aionet.limits import CloseReason
from aionet.protocol import Close, Deliveries
from aionet.sockets import set_reset_on_close, stop_reading

if TYPE_CHECKING:
    from aionet.connections import Connections

log = logging.getLogger("aionet")

_CLOSED: list[bytes] = []  # the outbox of a connection that takes nothing more


class Connection(asyncio.Protocol):
    """A peer of a service: accepted, given a place, fed, closed for exactly one reason.

    What the kernel does not take waits in the transport's buffer. `_outbox` only collects
    what others say to this peer during one turn of the loop.
    """

    __slots__ = (
        "_all",
        "_early",
        "_outbox",
        "_stuck",
        "_transport",
        "closing",
        "eof",
        "index",
        "message",
        "message_since",
        "paused",
        "reason",
        "seated",
        "seen",
    )

    def __init__(self, connections: Connections) -> None:
        self._all = connections
        self._outbox: list[bytes] | None = None
        self._stuck: tuple[int, float] | None = None  # unread bytes, and since when
        self._early = b""  # what came before it was served
        self.index = -1  # its place among all
        self.seated = False  # it has a place, and is not only waiting for one
        self.paused = False  # the peer does not read
        self.closing = False  # the service has said its last word to this peer
        self.eof = True  # the service knows that the peer has finished, or nothing of it
        self.reason: CloseReason | None = None
        self.seen = connections.now  # when something last came or went
        self.message: int | None = None  # the one under way, when the sweep last looked
        self.message_since = 0.0

    @property
    def address(self) -> Any:
        """The peer's address as the socket gives it: (host, port, ...), or a path."""
        return self._transport.get_extra_info("peername")

    def get_extra_info(self, name: str) -> Any:
        """As asyncio's transports: "peername", "sockname", "socket", "ssl_object", ..."""
        return self._transport.get_extra_info(name)

    # Accept.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._all.admit(self)

    def wait(self) -> None:
        """Read nothing until it has a place."""
        self._transport.pause_reading()

    def go_on(self) -> None:
        self._transport.resume_reading()

    def begin(self) -> None:
        """There is a place for it: serve, over TLS after the handshake."""
        if self._all.tls is not None:
            from aionet.tls import Handshake

            Handshake(self._all, self, self._transport).start()
            return
        self.serve(self._transport)

    def serve(self, transport: asyncio.Transport) -> None:
        """Let the service meet the peer on `transport`."""
        self._transport = transport
        if self._all.write_buffer is not None:
            transport.set_write_buffer_limits(high=self._all.write_buffer)
        self.seen = self._all.now
        self.eof = False
        self._ask(self._all.service.connect)
        if early := self.take_early():
            self.data_received(early)

    def keep_early(self, data: bytes) -> None:
        """uvloop reads after connection_made() whatever that has said, once or more."""
        self._early += data
        self._transport.pause_reading()

    def take_early(self) -> bytes:
        early, self._early = self._early, b""
        return early

    # Feed.

    def data_received(self, data: bytes) -> None:
        if self.closing:  # nobody listens any more: we only wait for its end
            return
        if self.eof:
            self.keep_early(data)
            return
        everybody = self._all
        self.seen = everybody.now
        try:
            for peer, out in everybody.receive_data(self, data):
                if peer is self and out and self._outbox is None:
                    self._transport.write(out)
                else:
                    peer.put(out)
        except Exception:
            self.fail()

    def eof_received(self) -> bool:
        self.seen = self._all.now
        if not self.eof:
            self.eof = True
            self._ask(self._all.service.receive_eof)
        if self.closing:
            self._transport.close()
        # What is pending is still sent, and closing is the service's decision; but over TLS
        # asyncio knows no half-closed connections.
        return self._transport.can_write_eof()

    def _ask(self, call: Callable[[Any], Deliveries]) -> None:
        try:
            for peer, out in call(self):
                if peer is self and out and self._outbox is None:
                    self._transport.write(out)
                else:
                    peer.put(out)
        except Exception:
            self.fail()

    def fail(self) -> None:
        """The service failed over this peer: that costs it, and nobody else."""
        log.exception("the service failed; the connection is reset")
        self.drop(CloseReason.ERROR)

    # Deliver.

    def put(self, data: bytes) -> None:
        """Send `data` to this peer after this turn of the loop; b"" closes it."""
        if self.closing:
            return
        if not data:
            self.flush()
            if not self.closing:
                self.finish(data.reason if isinstance(data, Close) else CloseReason.DONE)
        elif self._outbox is None:
            self._outbox = [data]
            self._all.flush_soon(self)
        else:
            self._outbox.append(data)

    def flush(self) -> None:
        if self._outbox is None or self.closing:
            return
        self.seen = self._all.now
        self._transport.write(b"".join(self._outbox))
        self._outbox = None
        if self.paused and self._transport.get_write_buffer_size() > self._all.limits.outbox:
            log.info("a peer is dropped: it reads slower than others talk")
            self.drop(CloseReason.SLOW_READER)

    def pause_writing(self) -> None:
        self.paused = True
        if not self.eof:
            self._transport.pause_reading()  # who does not read is not listened to

    def resume_writing(self) -> None:
        self.paused = False
        self._stuck = None
        if not self.eof:
            self._transport.resume_reading()

    # Close.

    def finish(self, reason: CloseReason) -> None:
        """Close once all is sent, but not before the peer does if it may still be talking.

        Closing with unread input would send a reset, which may overtake the last bytes.
        """
        self._end(CloseReason.EOF if self.eof and reason is CloseReason.DONE else reason)
        if self.eof or not self._transport.can_write_eof():
            self._transport.close()
            return
        if not self._transport.is_reading():
            self._transport.resume_reading()  # so that its end is seen
        try:
            self._transport.write_eof()
        except OSError:  # it is gone, and connection_lost() is on its way
            self._transport.abort()
            return
        self._all.sweep.close_later(self)

    def close_now(self) -> None:
        """The peer has had its time to close."""
        if self.index >= 0:
            self._transport.close()

    def expire(self, reason: CloseReason) -> None:
        """It took too long: no last words, and no waiting for what it does not read."""
        if self._transport.get_write_buffer_size():
            self.drop(reason)
            return
        self._end(reason)
        self._transport.close()

    def drop(self, reason: CloseReason) -> None:
        """Reset the peer, whatever is pending in our buffers or the kernel's."""
        self._end(reason)
        if (sock := self._socket) is not None:
            try:
                set_reset_on_close(sock)
            except OSError:
                log.debug("the peer was gone before it could be reset")
        self._transport.abort()

    def _end(self, reason: CloseReason) -> None:
        self.closing = True
        self._outbox = _CLOSED
        if self.reason is None:
            self.reason = reason

    def drain(self) -> None:
        """The server stops: read what has arrived, and nothing after it."""
        if self.reason is None:
            self.reason = CloseReason.DRAIN
        if not self.seated:
            self.drop(CloseReason.DRAIN)
        elif self._socket is None or not self._transport.can_write_eof():
            # Over TLS the bytes in the socket are not the peer's, so what is there stays there.
            self._transport.pause_reading()
            if not self.eof_received():
                self._transport.close()
        elif (descriptor := self._socket.fileno()) >= 0:
            # uvloop's stand-in for a socket cannot shut down; a socket object for the same
            # descriptor can, and detach() leaves the descriptor alone.
            sock = socket.socket(fileno=descriptor)
            try:
                stop_reading(sock)
            finally:
                sock.detach()

    @property
    def _socket(self) -> Any:
        return self._transport.get_extra_info("socket")

    def connection_lost(self, exc: Exception | None) -> None:
        if self.index < 0:
            return
        self.closing = True
        self._outbox = _CLOSED
        if not self.eof:
            self.eof = True
            self._ask(self._all.service.receive_eof)
        if self.reason is None:
            self.reason = _reason_of(exc)
        self._all.discard(self, self.reason)

    # Time.

    def look_for_progress(self, now: float) -> None:
        """Drop a peer that has taken nothing for Timeouts.write.

        Over TCP the kernel sees to that, see `set_write_timeout`; it alone knows what has
        been acknowledged, and it goes on when we have closed.
        """
        unread = self._transport.get_write_buffer_size()
        sock = self._socket
        if sock is not None:
            if sock.family != socket.AF_UNIX:
                return
            answer = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
            unread += struct.unpack("i", answer)[0]
        if self._stuck is None or unread < self._stuck[0]:
            self._stuck = (unread, now)
        elif now - self._stuck[1] > cast(float, self._all.timeouts.write):
            self.drop(CloseReason.SLOW_READER)


def _reason_of(exc: Exception | None) -> CloseReason:
    """What an end means that nobody here asked for."""
    if exc is None:
        return CloseReason.EOF
    if isinstance(exc, OSError) and exc.errno == errno.ETIMEDOUT:
        return CloseReason.SLOW_READER  # TCP_USER_TIMEOUT
    return CloseReason.RESET
