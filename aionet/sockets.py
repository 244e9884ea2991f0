"""Every socket option of every model, in one place, so that no model has better ones."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

from aionet.address import Address
from aionet.descriptors import warn_cannot_accept

# Told here as well, so that a model finds all about its sockets in one module.
from aionet.listen import BACKLOG as BACKLOG
from aionet.listen import listen as listen
from aionet.listen import listen_all as listen_all
from aionet.listen import set_write_timeout as set_write_timeout
from aionet.unicast import answer_unicast_only as answer_unicast_only
from aionet.unix_path import remove_unix_path as remove_unix_path

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

_SO_MEMINFO = 55  # asm-generic/socket.h; the socket module has no name for it
_MEMINFO = struct.Struct("9I")  # linux/sock_diag.h; SK_MEMINFO_DROPS is the last
_TCP_INFO = struct.Struct("24xI")  # linux/tcp.h: up to tcpi_unacked, which a listener uses so
_LINGER_RESET = struct.pack("ii", 1, 0)


@contextlib.contextmanager
def borrowed(stand_in: Any) -> Iterator[socket.socket]:
    """A socket with the descriptor of what a loop gives for one; uvloop's cannot do all things."""
    sock = socket.socket(fileno=stand_in.fileno())
    try:
        yield sock
    finally:
        sock.detach()


def address_of(sock: socket.socket) -> Address:
    """Where `sock` is bound, with the port that the kernel chose for port 0."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        abstract = isinstance(name, bytes)
        return Address("unix", path=f"@{os.fsdecode(name[1:])}" if abstract else name)
    host: str = name[0]
    if sock.family == socket.AF_INET6 and name[3] and "%" not in host:
        host += f"%{socket.if_indextoname(name[3])}"  # of a link, and means nothing without it
    return Address("tcp" if sock.type == socket.SOCK_STREAM else "udp", host, name[1])


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
            warn_cannot_accept("%s; trying again in %g s", error, ACCEPT_RETRY_S)
            time.sleep(ACCEPT_RETRY_S)
        except ListenerClosed:
            return None


def waiting_to_be_accepted(listener: socket.socket) -> int:
    """How many are connected to a TCP listener and not accepted yet (tcp(7), TCP_INFO)."""
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    (waiting,) = _TCP_INFO.unpack(info)
    return int(waiting)


def set_nodelay(conn: socket.socket) -> None:
    """Send small messages at once (asyncio and uvloop do this by themselves)."""
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def set_reset_on_close(conn: socket.socket) -> None:
    """Make close() send a reset and forget what is unsent (socket(7), SO_LINGER).

    Without it the kernel keeps megabytes for a peer that never reads.
    """
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)


def datagram_drops(sock: socket.socket) -> int:
    """How many datagrams the kernel did not give to this UDP socket; 0 where unknown.

    Those that came while its buffer was full, and those with a wrong checksum or that
    `answer_unicast_only` keeps away: one counter has them all (SO_MEMINFO, Linux 4.12).
    """
    try:
        answer = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        drops: int = _MEMINFO.unpack(answer)[-1]
    except (OSError, struct.error):
        return 0
    return drops


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


def has_finished(descriptor: int) -> bool:
    """Whether the peer of a stream socket has finished sending, read or not (poll(2))."""
    poll = select.poll()
    poll.register(descriptor, select.POLLRDHUP)
    return bool(poll.poll(0))


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
