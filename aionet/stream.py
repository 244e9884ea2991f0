"""One peer, as a coroutine sees it: read and write in order."""

from __future__ import annotations

import asyncio
import ssl
from contextvars import ContextVar
from types import FrameType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from aionet.given import as_bytes
from aionet.limits import CloseReason
from aionet.protocol.framing import ByteOrder
from aionet.receiving import TURN, ReceiveHalf, up_to, wake
from aionet.stream_errors import BrokenStreamError, ClosedStreamError

if TYPE_CHECKING:
    from aionet.handlers import StreamConnection

# Whose handler a task serves, itself or as a task that a handler has made.
serving: ContextVar[Any] = ContextVar("serving", default=None)

LARGEST = 2**63 - 1  # what send_frame() bounds is the length that its prefix can say


class Stream(ReceiveHalf):
    """One peer, as a handler sees it. One task receives; any number may send, also other tasks.

    Its errors are trio's: what the peer or a limit did raises BrokenStreamError, also from a
    call that is waiting; a mistake of the program raises ClosedStreamError or RuntimeError.
    A handler need not catch BrokenStreamError of its own stream: it ends the handler, and nothing
    is logged. A handler that waits for something else when its peer goes is cancelled.

    `async with` closes it, and aborts it if an exception leaves the block: for one of `connect`,
    which no handler's end closes.
    """

    def __init__(self, conn: StreamConnection, limit: int) -> None:
        super().__init__(conn, limit)
        self.closed_by_handler = False
        self.relayed = False  # so a drain leaves it until its deadline: who knows what is half
        self._finished = False  # sending, by this program
        self._room: asyncio.Future[None] | None = None
        self._gone: asyncio.Future[None] | None = None
        self._secured: asyncio.Future[None] | None = None
        self._context: SimpleNamespace | None = None

    @property
    def address(self) -> Any:
        """The peer's address as the socket gives it."""
        return self._conn.address

    @property
    def context(self) -> SimpleNamespace:
        """A namespace of the program's own, for what it wants to remember of this peer."""
        if self._context is None:
            self._context = SimpleNamespace()
        return self._context

    @property
    def draining(self) -> asyncio.Event:
        """Set when the server begins to stop: whoever only sends had better come to an end."""
        return self._conn.connections.draining

    def get_extra_info(self, name: str) -> Any:
        """As asyncio's transports: "peername", "sockname", "socket", "ssl_object", ..."""
        return self._conn.get_extra_info(name)

    # Send.

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of `data`; waits while the peer has not read what was sent before.

        What several tasks send is never mixed. `data` may be changed afterwards. A call that is
        cancelled while it waits has sent all, or nothing if it waited behind another task's. Raises
        TypeError for what is not bytes.
        """
        if self.closed or self._finished or self._broken is not None:
            await self._refuse(self._check_sending)
        if data.__class__ is not bytes:
            data = as_bytes("send_all", data)
        conn = self._conn
        if self._secured is not None:  # what is sent meanwhile would be of neither
            await asyncio.shield(self._secured)
            self._check_after_waiting()
            self._check_sending()
        if conn.is_full:  # another task waits for the same
            await self._wait_for_room()
        if not conn.send(data):
            await self._refuse(self._check_going)
        if conn.is_full:
            await self._wait_for_room()
        else:
            self._turn += 1
            if self._turn >= TURN:
                self._turn = 0
                await asyncio.sleep(0)
                self._check_after_waiting()
                self._check()

    async def send_frame(
        self, data: bytes | bytearray | memoryview, prefix: int = 4, *, byteorder: ByteOrder = "big"
    ) -> None:
        """As `send_all`, with the length of `data` before it in `prefix` bytes.

        Raises ValueError if it cannot be said in so many.
        """
        framing = up_to(prefix, byteorder, LARGEST)
        await self.send_all(framing.encode(as_bytes("send_frame", data)))

    def send_nowait(self, data: bytes | bytearray | memoryview) -> bool:
        """Send `data` without waiting, from any task; False if it was not sent, nor any of it.

        That is if more than Limits.outbox would wait for the peer then, or if it is gone, or the
        stream closed. For pushes: who does not read gets no more, and nobody waits for it. Raises
        TypeError for what is not bytes.
        """
        data = as_bytes("send_nowait", data)
        conn = self._conn
        if self.closed or self._finished or self._broken is not None or self._secured is not None:
            return False
        if self.pending + len(data) > conn.hub.limits.outbox:
            return False
        return conn.send(data)

    @property
    def handshake_error(self) -> OSError | None:
        """Why its handshake has failed: what `start_tls` raised."""
        return self._conn.handshake_error

    @property
    def pending(self) -> int:
        """Bytes that were sent and that the kernel has not taken, as the peer does not read."""
        return self._conn.pending

    async def send_eof(self) -> None:
        """Say that nothing more comes, once all is sent, and go on receiving (half-close).

        A FIN (RFC 9293, 3.6), and over TLS a close_notify before it. It may be called twice.
        """
        if not self._finished:
            await self._refuse(self._check)
            if self._secured is not None:
                raise RuntimeError("start_tls() is under way: send_eof() comes after that")
            self._finished = True
            self._conn.finish()

    async def _wait_for_room(self) -> None:
        self._turn = 0
        self._check()
        while self._conn.is_full:
            if self._room is None:
                self._room = self._conn.connections.loop.create_future()
            await asyncio.shield(self._room)
            self._check_after_waiting()
            self._check()

    def _check_going(self) -> None:
        self._raise_broken(self._conn.reason or CloseReason.RESET)

    def _check_sending(self) -> None:
        if self._finished:
            raise ClosedStreamError("send_eof() was called: nothing more can be sent")
        self._check()

    # Its end.

    def close(self) -> None:
        """Close once all is sent. It may be called twice; the end of the handler does it, too.

        Whoever waits in a call of this stream then gets BrokenStreamError, `done`. What was being
        sent is sent; what waited behind it is not.
        """
        if not self.closed and self._broken is None:
            self._end()
            self._conn.close(CloseReason.DONE)

    def abort(self, reason: CloseReason = CloseReason.ABORTED) -> None:
        """Reset the connection at once, whatever is unsent: its peer sees an error, not the end.

        So nobody takes an answer that was cut short for a whole one. Nothing is logged.
        """
        if self._broken is None:
            if not self.closed:
                self._end()
            self._conn.abort(reason)

    def _end(self) -> None:
        self.closed = True
        self.closed_by_handler = serving.get() is self._conn
        wake(self._arrival)
        self.writable()

    async def wait_closed(self) -> CloseReason:
        """Wait until the connection has ended, whoever ended it; the reason."""
        if not self._conn.is_gone:
            if self._gone is None:
                self._gone = self._conn.connections.loop.create_future()
            await asyncio.shield(self._gone)
        return self._conn.reason or CloseReason.RESET

    async def __aenter__(self) -> Stream:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *ignored: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    # TLS, from here on.

    async def start_tls(
        self, context: ssl.SSLContext | None = None, *, server_hostname: str | None = None
    ) -> None:
        """Speak TLS from here on (STARTTLS); returns after the handshake.

        context: for a server it is that of `serve(..., starttls=)`, which is needed for this. A
        client gives its own, and the name that the certificate must have.

        What the peer had sent already is not of TLS, and must not be taken for what comes under its
        protection (CVE-2011-0411): it breaks the connection. Raises ssl.SSLError, such as
        ssl.SSLCertVerificationError, if the handshake fails, and BrokenStreamError.
        """
        await self._refuse(self._check_sending)
        if self._collecting or self._arrival is not None or self._secured is not None:
            raise RuntimeError("another task is using this stream")
        if self._buffer:
            self.abort(CloseReason.HANDSHAKE)
            raise BrokenStreamError(CloseReason.HANDSHAKE, self)
        self._secured = self._conn.connections.loop.create_future()
        try:
            self._conn.start_tls(context, server_hostname)
            await asyncio.shield(self._secured)
        except asyncio.CancelledError:
            self.abort(CloseReason.HANDSHAKE)  # half a handshake is of no use to anybody
            raise
        finally:
            wake(self._secured)
            self._secured = None
        self._check_after_waiting()
        if (error := self._conn.handshake_error) is not None:
            raise error
        self._check()

    # What the connection tells.

    @property
    def is_over(self) -> bool:
        """Whether both have finished sending, so that its end is no surprise."""
        return self._finished and self._ended

    @property
    def is_cut(self) -> bool:
        """Whether its end is that of a drain, and none that its peer has said."""
        return self._conn.is_cut

    @property
    def is_waited_for(self) -> bool:
        """Whether a task waits in a call of this stream."""
        return any((self._arrival, self._room, self._gone, self._secured))

    def is_waited_for_in(self, frame: FrameType) -> bool:
        """Whether a coroutine that has come to `frame` does."""
        return frame.f_code in _WAITS and frame.f_locals["self"] is self

    def writable(self) -> None:
        wake(self._room)
        self._room = None

    def secured(self) -> None:
        """The handshake is over, in whichever way."""
        wake(self._secured)

    def broken(self, reason: CloseReason) -> None:
        super().broken(reason)
        wake(self._secured)
        self.writable()

    def gone(self) -> None:
        wake(self._gone)


_WAITS = tuple(
    wait.__code__
    for wait in (ReceiveHalf._more, Stream._wait_for_room, Stream.wait_closed, Stream.start_tls)
)
