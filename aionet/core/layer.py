"""TLS between a shell and a peer: bytes of the wire on one side, those of the peer on the other."""

from __future__ import annotations

import contextlib
import ssl

CHUNK = 256 * 1024  # of one read


class Layer:
    """The server's side of one TLS connection: ssl.SSLObject on two ssl.MemoryBIO.

    ready: the handshake is done. ended: the peer has sent its close_notify, which ends one of the
    two directions (RFC 8446, 6.1), as a FIN does.
    """

    __slots__ = ("_in", "_later", "_out", "_shut", "ended", "object", "ready")

    def __init__(self, context: ssl.SSLContext) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._later = b""
        self._shut = False  # nothing more can be said
        self.object = context.wrap_bio(self._in, self._out, server_side=True)
        self.ready = False
        self.ended = False

    def receive(self, data: bytes) -> bytes:
        """What the peer says in `data`, from the wire. Raises ssl.SSLError; see `pending` then."""
        self._in.write(data)
        said: list[bytes] = []
        try:
            if not self.ready:
                self.object.do_handshake()
                self.ready = True
            while True:
                part = self.object.read(CHUNK)
                if not part:
                    self.ended = True
                    break
                said.append(part)
                if not (self._in.pending or self.object.pending()):
                    break  # another read would say so by an exception
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        except ssl.SSLError:
            self._shut = True
            raise
        return said[0] if len(said) == 1 else b"".join(said)

    def send(self, data: bytes) -> bytes:
        """What goes over the wire so that the peer is told `data`. Raises ssl.SSLError."""
        self.object.write(data)
        return self.pending()

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
            with contextlib.suppress(ssl.SSLError):
                self.object.unwrap()
        return self.pending()
