"""Every socket option of every model, in one place, so that no model has better ones."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import struct
import time

from aionet.address import Address

log = logging.getLogger("aionet")

# What the kernel may complete before anybody accepts; it cuts this to net.core.somaxconn.
BACKLOG = 4096
# One read.
RECV_SIZE = 64 * 1024
# Accepts, or datagrams, taken in a row before others get their turn.
BURST = 64
# Out of descriptors or memory: let somebody leave before accept is tried again.
ACCEPT_RETRY_S = 0.1
_OUT_OF_RESOURCES = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
# What accept(2) tells to treat like EAGAIN: the connection failed before we had it.
_FAILED_EARLY = frozenset(
    (
        errno.ECONNABORTED,
        errno.EPROTO,
        errno.ENOPROTOOPT,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENONET,
        errno.EOPNOTSUPP,
    )
)

_LINGER_RESET = struct.pack("ii", 1, 0)


def listen(address: Address) -> socket.socket:
    """A blocking socket bound to `address`, listening if it is TCP. Raises OSError."""
    family = socket.AF_INET6 if address.is_ipv6 else socket.AF_INET
    kind = socket.SOCK_STREAM if address.scheme == "tcp" else socket.SOCK_DGRAM
    # asyncio sets TCP_NODELAY only where the protocol is named, and accept() inherits it.
    protocol = socket.IPPROTO_TCP if kind == socket.SOCK_STREAM else socket.IPPROTO_UDP
    sock = socket.socket(family, kind, protocol)
    try:
        if kind == socket.SOCK_STREAM:
            # Lets a restarted server bind while old connections are in TIME_WAIT. On UDP it
            # would let two servers share a port, and one of them would starve.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address.host, address.port))
        if kind == socket.SOCK_STREAM:
            sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def address_of(sock: socket.socket) -> Address:
    """Where `sock` is bound, with the port that the kernel chose for port 0."""
    host, port = sock.getsockname()[:2]
    return Address("tcp" if sock.type == socket.SOCK_STREAM else "udp", host, port)


class AcceptPaused(Exception):  # noqa: N818  a state, not a fault
    """No descriptor or memory for another connection; try again after ACCEPT_RETRY_S."""


class ListenerClosed(Exception):  # noqa: N818
    """The listener was told to stop."""


def accept(listener: socket.socket) -> socket.socket:
    """The next connection, TCP_NODELAY set, blocking.

    Raises BlockingIOError where a non-blocking listener has none, ListenerClosed after
    `stop_reading`, and AcceptPaused.
    """
    while True:
        try:
            conn, _ = listener.accept()
        except BlockingIOError:
            raise
        except OSError as error:
            if error.errno in _FAILED_EARLY:
                continue
            if error.errno in _OUT_OF_RESOURCES:
                raise AcceptPaused(f"cannot accept: {error.strerror}") from None
            if error.errno == errno.EINVAL:  # not listening any more
                raise ListenerClosed from None
            raise
        with contextlib.suppress(OSError):  # reset already: the first read will say so
            set_nodelay(conn)
        return conn


def accept_patiently(listener: socket.socket) -> socket.socket | None:
    """As `accept` on a blocking listener, sitting out AcceptPaused; None once it is closed."""
    while True:
        try:
            return accept(listener)
        except AcceptPaused as error:
            log.warning("%s; trying again in %g s", error, ACCEPT_RETRY_S)
            time.sleep(ACCEPT_RETRY_S)
        except ListenerClosed:
            return None


def set_nodelay(conn: socket.socket) -> None:
    """Send small messages at once (asyncio and uvloop do this by themselves)."""
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def set_reset_on_close(conn: socket.socket) -> None:
    """Make close() send a reset and forget what is unsent (socket(7), SO_LINGER).

    Without it the kernel keeps megabytes for a peer that never reads.
    """
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)


def wait_for_close(conn: socket.socket, timeout: float) -> None:
    """Finish sending on a blocking `conn`, then read and drop until the peer closes.

    Closing with unread input would send a reset, and a reset may overtake the last bytes
    sent. Waits at most `timeout` seconds; raises OSError when the peer resets.
    """
    conn.shutdown(socket.SHUT_WR)
    deadline = time.monotonic() + timeout
    while (left := deadline - time.monotonic()) > 0:
        conn.settimeout(left)
        try:
            if not conn.recv(RECV_SIZE):
                return
        except TimeoutError:
            return


def stop_reading(sock: socket.socket) -> None:
    """Make reads see the end once what has arrived is read; wakes who waits in one.

    A listener stops accepting, and an idle UDP socket wakes up (shutdown(2), SHUT_RD).
    """
    try:
        sock.shutdown(socket.SHUT_RD)
    except OSError as error:
        # Linux says ENOTCONN for a UDP socket without a peer, but wakes its readers.
        if error.errno not in (errno.ENOTCONN, errno.EBADF):
            raise
