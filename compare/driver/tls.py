"""tcp-long and tcp-short over TLS: what of their conversations is another."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import ssl
from os import read, write
from time import perf_counter_ns as clock
from typing import Any

from compare.driver import tcp_long, tcp_short
from compare.driver.load import Load
from compare.driver.secured import Secured
from compare.driver.tcp_long import Conversation, PacedConversation
from compare.driver.tcp_short import PacedPlace, ShortConversation

READ = 64 * 1024  # bytes of the wire; of 128 KiB malloc gives all back each time (mallopt(3))
QUIET_S = 0.25  # no handshake ended for so long: who waits for one will go on waiting


class Encrypted(Conversation):
    """As Conversation; `unsent` is of the wire.

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
            now = clock()
            was_ready = self.tls.ready
            said = self.tls.opened(wire)
        except BlockingIOError:
            return
        except OSError as error:
            self.fail(error)
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

    def fail(self, error: OSError) -> None:
        if error.errno == errno.EPROTO and len(self.load.details) < 3:
            self.load.details.append(error.strerror or "")
        super().fail(error)

    def close(self) -> None:
        self.tls.give_up()
        super().close()


class EncryptedPaced(Encrypted, PacedConversation):
    """As PacedConversation."""


class EncryptedShort(Encrypted, ShortConversation):
    """As ShortConversation. session: of its last connection, where it is resumed."""

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
        """A close_notify goes before a FIN, and in answer to one (RFC 8446, 6.1)."""
        assert self.load.tls is not None
        if self.load.tls.resumes:
            self.session = self.tls.object.session
        if self.load.spec.close == "client" or self.tls.ended:
            with contextlib.suppress(OSError):
                write(self.fd, self.tls.end())
        super().end()

    def on_end(self) -> None:
        """The server's close_notify is answered by ours; then its FIN comes."""
        had_ended = self.tls.ended
        try:
            wire = read(self.fd, READ)
            said = self.tls.opened(wire) if wire else b""
        except BlockingIOError:
            return
        except OSError as error:
            self.fail(error)
            return
        if said:
            self.load.wrong(b"", said)
        elif wire and self.tls.ended and not had_ended:
            with contextlib.suppress(OSError):
                write(self.fd, self.tls.end())
        if said or not wire:
            self.close()
            self.go_on()


class EncryptedPlace(EncryptedShort, PacedPlace):
    """As PacedPlace."""


class LongWorkload(tcp_long.Workload):
    """As tcp-long's; its handshakes are over before it is measured, as far as they ever are."""

    closed, paced = Encrypted, EncryptedPaced

    def connect(self) -> None:
        super().connect()
        shake_hands(self._load)


class ShortWorkload(tcp_short.Workload):
    """As tcp-short's; each connection has its own handshake."""

    closed, paced = EncryptedShort, EncryptedPlace


WORKLOADS = {"tcp-long": LongWorkload, "tcp-short": ShortWorkload}


def shake_hands(load: Load) -> None:
    """Until all handshakes under way are over, or none has ended for QUIET_S."""
    client = load.tls
    ended = -1
    while client and client.under_way and ended != len(client.samples):
        ended = len(client.samples)
        load.run(QUIET_S, lambda now: None, done=lambda: not client.under_way)
