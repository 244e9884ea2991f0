"""TLS between a shell and a peer: bytes of the wire on one side, those of the peer on the other."""

from __future__ import annotations

import contextlib
import logging
import ssl
from typing import Any

from aionet.throttle import throttled

RECORD = 16 * 1024  # at the most (RFC 8446, 5.1)
HEADER = 5  # bytes before each: its type, a version, its length

# What goes in or out at once. An ssl.MemoryBIO takes a third more than it once had to hold, and
# never shrinks; no connection should keep as much memory as its largest message needed.
PIECE = 12 * 1024


class Layer:
    """One side of a TLS connection, ssl.SSLObject on two ssl.MemoryBIO: which one, `context` says.

    A client's has the handshake's first message in `pending` from the start. server_hostname: that
    the certificate must have, and that is asked for (SNI); for a client.

    broken: the peer broke the protocol; what it said before that was given. `pending` has the alert
    for it, if there is one, and no more can be received or sent. error: what it was.

    ready: the handshake is done. certificate: of the peer, as ssl.SSLSocket.getpeercert() gives it;
    None if it was not asked for one. ended: the peer has sent its close_notify, which ends one of
    the two directions (RFC 8446, 6.1), as a FIN does. cut: the wire is in the midst of a record.
    """

    __slots__ = (
        *("_head", "_in", "_later", "_left", "_out", "_shut"),
        *("broken", "certificate", "cut", "ended", "error", "object", "ready"),
    )

    def __init__(self, context: ssl.SSLContext, *, server_hostname: str | None = None) -> None:
        is_client = context.protocol is ssl.PROTOCOL_TLS_CLIENT
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._later = b""
        self._shut = False  # nothing more can be said
        self._head, self._left = b"", 0  # of the record that is cut: a part of its header, or rest
        self.cut = False
        self.object = context.wrap_bio(
            self._in, self._out, server_side=not is_client, server_hostname=server_hostname
        )
        self.ready = False
        self.certificate: Any = None
        self.ended = False
        self.broken = False
        self.error: OSError | None = None
        if is_client:
            self._read(b"")

    def receive(self, data: bytes) -> bytes:
        """What the peer says in `data`, from the wire."""
        if self.ready and len(data) <= PIECE and not self.ended:
            self._in.write(data)
            try:
                said = self.object.read(RECORD)
            except ssl.SSLWantReadError:
                self._follow(data)
                return b""
            except ssl.SSLZeroReturnError:
                self.ended = True
                return b""
            except OSError as error:
                self._fail(error)
                return b""
            # A read takes a whole record, and no more, so that nothing is left inside.
            if said and not self._in.pending:
                if self.cut:
                    self._head, self._left, self.cut = b"", 0, False
                return said
            self._follow(data)
            return said + self._read(b"", more=bool(said))
        self._follow(data)
        return b"".join(
            [self._read(data[start : start + PIECE]) for start in range(0, len(data), PIECE)]
        )

    def _follow(self, data: bytes) -> None:
        """Note where `data` ends: at the end of a record, or within one."""
        data, at = self._head + data, self._left
        while at + HEADER <= len(data):
            at += HEADER + int.from_bytes(data[at + 3 : at + HEADER], "big")
        self._head, self._left = data[at:], max(0, at - len(data))
        self.cut = at != len(data)

    def _read(self, data: bytes, *, more: bool = True) -> bytes:
        """The same of a piece, however many records it ends."""
        said: list[bytes] = []
        if self.broken:
            return b""
        self._in.write(data)
        try:
            if not self.ready:
                self.object.do_handshake()
                if self.object.context.verify_mode is not ssl.CERT_NONE:
                    # Of one who breaks the protocol later OpenSSL does not tell it any more.
                    self.certificate = self._certificate()
                self.ready = True
            while more and not self.ended and (self._in.pending or self.object.pending()):
                part = self.object.read(RECORD)
                said.append(part)
                more = bool(part)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            more = False
        except OSError as error:
            self._fail(error)
        self.ended |= not more
        return b"".join(said)

    def _certificate(self) -> Any:
        """Raises ssl.SSLError for one that nobody can read, though who signed it is trusted."""
        try:
            return self.object.getpeercert()
        except ValueError as error:  # text in it is not UTF-8
            if self.object.server_side:  # a client's program is told by an exception
                throttled(logging.WARNING, "a client's certificate cannot be read: %s", error)
            raise ssl.SSLError(f"the certificate cannot be read: {error}") from None

    def _fail(self, error: OSError) -> None:
        self.broken = self._shut = True
        self.error = error.with_traceback(None)  # which would keep all that was under way

    def send(self, data: bytes) -> bytes:
        """What goes over the wire so that the peer is told `data`."""
        try:
            if len(data) <= PIECE:
                self.object.write(data)
                return self.pending() if self._later else self._out.read()
            out = []
            for start in range(0, len(data), PIECE):
                self.object.write(data[start : start + PIECE])
                out.append(self.pending())
            return b"".join(out)
        except OSError:  # also that it wants to read, in the midst of a renegotiation
            self._shut = True
            raise

    def later(self, out: bytes) -> None:
        """Have this go over the wire with the next."""
        self._later += out

    def pending(self) -> bytes:
        """What the protocol itself has to send: parts of a handshake, an alert."""
        out, self._later = self._later, b""
        return out + self._out.read() if self._out.pending else out

    def end(self) -> bytes:
        """Say that nothing more comes (close_notify)."""
        if not self._shut:
            self._shut = True
            # The peer may not have said the same yet, or it never came to a handshake.
            with contextlib.suppress(OSError):
                self.object.unwrap()
        return self.pending()
