"""Sockets that somebody else opened: known by a descriptor, checked before they are used."""

from __future__ import annotations

import errno
import os
import socket

from aionet.unicast import answer_unicast_only

# What a server can serve: streams, and datagrams over UDP.
_KINDS = frozenset(
    (
        (socket.AF_INET, socket.SOCK_STREAM),
        (socket.AF_INET, socket.SOCK_DGRAM),
        (socket.AF_INET6, socket.SOCK_STREAM),
        (socket.AF_INET6, socket.SOCK_DGRAM),
        (socket.AF_UNIX, socket.SOCK_STREAM),
    )
)


def inherit(descriptor: int, *, backlog: int) -> socket.socket:
    """The socket at `descriptor`: bound, blocking, closed by exec, listening if it is a stream.

    Raises OSError, and leaves the descriptor as it was, where that cannot be.
    """
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        reason = "is not open" if error.errno == errno.EBADF else "is not a socket"
        raise OSError(
            error.errno, f"descriptor {descriptor} {reason}; start the server with a bound socket"
        ) from None
    try:
        _check(sock)
        if sock.type == socket.SOCK_DGRAM:
            answer_unicast_only(sock)
        elif not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            sock.listen(backlog)
        sock.set_inheritable(False)
        sock.setblocking(True)  # O_NONBLOCK came with it, if it was set
    except BaseException:
        sock.detach()
        raise
    return sock


def inherit_all(descriptors: list[int], *, backlog: int) -> list[socket.socket]:
    """As `inherit`, for each of `descriptors`; all are closed where one cannot be used."""
    sockets: list[socket.socket] = []
    try:
        for descriptor in descriptors:
            sockets.append(inherit(descriptor, backlog=backlog))  # noqa: PERF401  see below
    except BaseException:
        for sock in sockets:
            sock.close()
        # A listener that nobody reads would leave its clients waiting.
        for descriptor in descriptors[len(sockets) :]:
            os.close(descriptor)
        raise
    return sockets


def check_kind(sock: socket.socket) -> None:
    """Raises ValueError for what is not a socket that can be served."""
    if (sock.family, sock.type) not in _KINDS:
        raise ValueError(
            f"descriptor {sock.fileno()} is a socket of family {sock.family!r} and type "
            f"{sock.type!r}; TCP, UDP and unix stream sockets can be served"
        )


def _check(sock: socket.socket) -> None:
    what = f"descriptor {sock.fileno()}"
    try:
        check_kind(sock)
    except ValueError as error:
        raise OSError(errno.EPROTONOSUPPORT, str(error)) from None
    name = sock.getsockname()
    if not (name if sock.family == socket.AF_UNIX else name[1]):
        raise OSError(errno.EINVAL, f"{what} is a socket that is not bound; bind it first")
    try:
        sock.getpeername()
    except OSError:  # nobody is at the other end, as it should be
        return
    raise OSError(errno.EISCONN, f"{what} is a connection; pass the listening socket instead")
