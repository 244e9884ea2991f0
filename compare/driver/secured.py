"""TLS on the driver's side: bytes of the wire, and what they say.

By ssl.SSLObject between two ssl.MemoryBIO: to read takes one system call however many records have
come, where an SSLSocket takes two for each. Certificates are verified as by any client: there is
one that is right, the run's own.
"""

from __future__ import annotations

import contextlib
import errno
import ssl
from array import array
from time import perf_counter_ns as clock

from compare.contract.histogram import encode, fold
from compare.contract.outcome import Handshakes
from compare.contract.spec import TLS

RECORD = 16 * 1024  # bytes at the most (RFC 8446, 5.1)


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
            library=ssl.OPENSSL_VERSION,
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
        """What `wire` says.

        Raises OSError (EPROTO) for what breaks the protocol, and for another certificate.
        """
        self._in.write(wire)
        said = b""
        try:
            if not self.ready:
                self.object.do_handshake()
                self.ready = True
                self._client.ended(self)
            while True:
                part = self.object.read(RECORD)
                said += part
                self.ended = not part
                if self.ended or not (self._in.pending or self.object.pending()):
                    break
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            raise OSError(errno.EPROTO, f"TLS: {error.reason or error}") from None
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
