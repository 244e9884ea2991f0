"""TLS on the driver's side: what of a conversation is another where its bytes go encrypted.

By ssl.SSLObject between two ssl.MemoryBIO: to read takes one system call however many records have
come, where an SSLSocket takes two for each. Certificates are verified as by any client: there is
one that is right, the run's own.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
from array import array
from collections.abc import Callable
from os import read, write
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any

from compare.contract.histogram import encode, fold
from compare.contract.outcome import Handshakes
from compare.contract.spec import TLS

if TYPE_CHECKING:
    from compare.driver.load import Load
    from compare.driver.tcp_long import Conversation as _Conversation
    from compare.driver.tcp_short import ShortConversation as _ShortConversation
else:
    _Conversation = _ShortConversation = object  # a mixin's

READ = 256 * 1024  # bytes of the wire at a time
RECORD = 16 * 1024  # bytes of a record at the most (RFC 8446, 5.1)
QUIET_S = 0.25  # no handshake ended for so long: who waits for one will go on waiting


class Client:
    """What all connections to a server have in common, and how their handshakes went.

    under_way: handshakes that are not over.
    """

    def __init__(self, tls: TLS) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False  # it is one certificate that is right, and no name
        self._context.load_verify_locations(cadata=tls.certificate)
        self.resumes = tls.resumed
        self.under_way = 0
        self.samples: array[int] = array("Q")  # ns from the client's first word on
        self._resumed = 0
        self._version = self._cipher = ""

    def begin(self, session: ssl.SSLSession | None = None) -> Secured:
        self.under_way += 1
        return Secured(self, self._context, session)

    def ended(self, of: Secured) -> None:
        """A handshake is over, and did well."""
        self.under_way -= 1
        self.samples.append(clock() - of.begun)
        self._resumed += bool(of.object.session_reused)
        if not self._version:
            self._version = of.object.version() or ""
            self._cipher = (of.object.cipher() or ("",))[0]

    def handshakes(self) -> Handshakes:
        return Handshakes(
            version=self._version,
            cipher=self._cipher,
            full=len(self.samples) - self._resumed,
            resumed=self._resumed,
            latency=encode(fold(self.samples)),
        )


class Secured:
    """TLS of one connection: bytes of the wire on one side, what was said on the other.

    ready: the handshake is done. ended: the peer has said that nothing more comes (close_notify).
    """

    __slots__ = ("_client", "_in", "_out", "begun", "ended", "object", "ready")

    def __init__(
        self, client: Client, context: ssl.SSLContext, session: ssl.SSLSession | None
    ) -> None:
        self._client = client
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(self._in, self._out, session=session)
        self.ready = self.ended = False
        self.begun = clock()

    def opened(self, wire: bytes) -> bytes:
        """What `wire` says. Raises ssl.SSLError where it breaks the protocol."""
        self._in.write(wire)
        said = b""
        try:
            if not self.ready:
                self.object.do_handshake()
                self.ready = True
                self._client.ended(self)
            said = self.object.read(RECORD)
            while self._in.pending or self.object.pending():
                said += self.object.read(RECORD)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        return said

    def sealed(self, data: bytes) -> bytes:
        """What goes over the wire so that the peer is told `data`."""
        if self.object.write(data) != len(data):  # a record at a time
            rest = memoryview(data)[RECORD:]
            while rest:
                rest = rest[self.object.write(rest) :]
        return self._out.read()

    def pending(self) -> bytes:
        """What the protocol itself has to say; of a connection that begins, its first word."""
        if not self.ready:
            with contextlib.suppress(ssl.SSLWantReadError):
                self.object.do_handshake()
        return self._out.read()

    def end(self) -> bytes:
        """Say that nothing more comes."""
        with contextlib.suppress(ssl.SSLError):  # the peer has not said the same yet
            self.object.unwrap()
        return self._out.read()

    def give_up(self) -> None:
        """The connection has ended."""
        self._client.under_way -= not self.ready


def shake_hands(load: Load) -> None:
    """Until all handshakes under way are over, or none has ended for QUIET_S."""
    client = load.tls
    ended = -1
    while client and client.under_way and ended != len(client.samples):
        ended = len(client.samples)
        load.run(QUIET_S, lambda now: None, done=lambda: not client.under_way)


class Encrypted(_Conversation):
    """A mixin for a Conversation; `unsent` is of the wire.

    A message for which its handshake is not done yet is sent when that is.
    """

    tls: Secured

    def attach(self, sock: socket.socket) -> None:
        super().attach(sock)
        self.shake_hands()

    def shake_hands(self, session: ssl.SSLSession | None = None) -> None:
        assert self.load.tls is not None
        self.tls = self.load.tls.begin(session)
        self.put(self.tls.pending())

    def send_next(self, now: int) -> None:
        self.started = now
        self.message, self.other = self.other, self.message
        self.waiting = True
        if self.tls.ready:
            self.put(self.tls.sealed(self.message))

    def put(self, wire: bytes) -> None:
        """Have this go over the wire, after what has not gone yet."""
        if self.unsent:
            self.unsent = memoryview(bytes(self.unsent) + wire)
        if self.unsent or not wire:
            return
        try:
            sent = write(self.fd, wire)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self.fail(error)
            return
        if sent != len(wire):
            self.unsent = memoryview(wire)[sent:]
            self.load.epoll.modify(self.fd, select.EPOLLIN | select.EPOLLOUT)

    def on_ready(self) -> None:
        try:
            if self.unsent:
                self.send_rest()
            wire = read(self.fd, READ)
        except BlockingIOError:
            return
        except OSError as error:
            self.fail(error)
            return
        now = clock()
        was_ready = self.tls.ready
        said = self.opened(wire)
        if said is None:
            return
        if not was_ready:
            out = self.tls.pending()
            if self.tls.ready and self.waiting:
                out += self.tls.sealed(self.message)
            self.put(out)
            if self.fd not in self.load.handlers:
                return
        if said or not wire or self.tls.ended:
            self.on_piece(said, now)

    on_reply = on_ready

    def opened(self, wire: bytes) -> bytes | None:
        """None if it breaks the protocol, or the certificate is not the one that is right."""
        try:
            return self.tls.opened(wire)
        except ssl.SSLError as error:
            self.load.errors["tls"] += 1
            if len(self.load.details) < 3:
                self.load.details.append(f"TLS: {error.reason or error}")
            self.close()
            return None

    def close(self) -> None:
        self.tls.give_up()
        super().close()


class EncryptedShort(Encrypted, _ShortConversation):
    """The same of a ShortConversation. session: of its last connection, where it is resumed."""

    session: ssl.SSLSession | None

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.session = None

    def begin(self) -> None:
        """Its socket has begun to connect: say the first word, without asking epoll."""
        self.load.watch(self.fd, self.on_ready)
        self.shake_hands(self.session)
        if self.unsent:
            self.load.handlers[self.fd] = self.on_connected
        elif self.waiting:
            self.connected()

    def on_connected(self) -> None:
        if error := self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.fail(OSError(error, ""))
            return
        self.connected()
        self.load.handlers[self.fd] = self.on_ready
        self.on_ready()

    def end(self) -> None:
        assert self.load.tls is not None
        if self.load.tls.resumes:
            self.session = self.tls.object.session
        if self.load.spec.close == "client":
            with contextlib.suppress(OSError):
                write(self.fd, self.tls.end())
        super().end()

    def on_end(self) -> None:
        """The server's close_notify is answered by ours; then its FIN comes (RFC 8446, 6.1)."""
        try:
            wire = read(self.fd, READ)
        except BlockingIOError:
            return
        except OSError as error:
            self.fail(error)
            return
        had_ended = self.tls.ended
        if (said := self.opened(wire) if wire else b"") is None:
            return
        if said:
            self.load.wrong(b"", said)
        elif wire and self.tls.ended and not had_ended:
            with contextlib.suppress(OSError):
                write(self.fd, self.tls.end())
        if said or not wire:
            self.close()
            self.go_on()


def encrypted(kind: Any, *, mixin: type[Any] = Encrypted) -> Callable[..., Any]:
    """The same kind of conversation over TLS."""
    return type(f"Encrypted{kind.__name__}", (mixin, kind), {})
