"""The far end of a connection in memory."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from aionet.core.layer import Layer
from aionet.limits import CloseReason
from aionet.testing.transport import MemoryTransport

if TYPE_CHECKING:
    from aionet.testing.server import MemoryServer


class Peer:
    """The far end of a connection in memory.

    received: all the bytes it has read so far, out of TLS if it speaks that. at_eof: the server has
    finished sending. was_reset: the server has reset it. closed: why, once the connection has
    ended. error: why its own TLS has failed, such as ssl.SSLCertVerificationError.
    """

    def __init__(
        self, server: MemoryServer, address: tuple[str, int], reads: bool, tls: Layer | None
    ) -> None:
        self._server = server
        self._reads = reads
        self.received = b""
        self.at_eof = False
        self.was_reset = False
        self._tls = tls
        self._unsent = b""  # until its handshake is done
        self._transport = MemoryTransport(server._loop, self, address)
        self._connection = server._new_connection()
        self._transport.set_protocol(self._connection)
        self._connection.connection_made(self._transport)
        if tls is not None:
            self._transport.arrive(tls.pending())

    @property
    def closed(self) -> CloseReason | None:
        return self._connection.reason if self._transport.lost else None

    def send(self, data: bytes) -> None:
        """Send `data` in one piece. Raises TypeError for what is not bytes."""
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"send() was given {type(data).__name__}; it must be bytes")
        if data:
            self._say(bytes(data))
        self._server._loop.settle()

    def finish(self) -> None:
        """Finish sending, and go on reading."""
        if self._tls is not None and (end := self._tls.end()):
            self._transport.arrive(end)
        self._transport.arrive(b"")
        self._server._loop.settle()

    def start_tls(self, context: ssl.SSLContext, server_hostname: str | None = None) -> None:
        """Speak TLS from here on (STARTTLS)."""
        self._tls = Layer(context, server_hostname=server_hostname)
        self._transport.arrive(self._tls.pending())
        self._server._loop.settle()

    @property
    def error(self) -> OSError | None:
        return self._tls.error if self._tls is not None else None

    def _say(self, data: bytes) -> None:
        if self._tls is None:
            self._transport.arrive(data)
        elif self._tls.ready:
            self._transport.arrive(self._tls.send(data))
        else:
            self._unsent += data

    def read(self, data: bytes, *, at_eof: bool) -> None:
        """What the transport has for it."""
        if self._tls is None:
            self.received += data
        elif data:
            self.received += self._tls.receive(data)
            self.at_eof |= self._tls.ended
            if out := self._tls.pending():
                self._transport.arrive(out)
            if self._tls.ready and self._unsent:
                unsent, self._unsent = self._unsent, b""
                self._say(unsent)
        self.at_eof |= at_eof

    def reset(self) -> None:
        self._transport.break_off(ConnectionResetError("reset by the peer"))
        self._server._loop.settle()

    def take(self) -> bytes:
        """What was received since this was last called."""
        data, self.received = self.received, b""
        return data

    def stop_reading(self) -> None:
        """Read nothing more, so that what is sent piles up at the server."""
        self._reads = False

    def start_reading(self) -> None:
        self._reads = True
        self._transport.push()
        self._server._loop.settle()
