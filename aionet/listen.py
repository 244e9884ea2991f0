"""Listening sockets, for every kind of address."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from operator import attrgetter, itemgetter
from typing import Any

from aionet.address import Address
from aionet.inherited import inherit, inherit_all
from aionet.systemd import take_sockets
from aionet.unicast import answer_unicast_only
from aionet.unix_path import bind_unix, remove_unix_path

log = logging.getLogger("aionet")

# What the kernel may complete before anybody accepts; it cuts this to net.core.somaxconn.
BACKLOG = 4096
# A free port of one address may be taken on another: how often to try a different one.
_PORT_TRIES = 10
# The machine has no such address, or not even the family: a name may have others.
_NOT_HERE = frozenset((errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT))

# A family, and what bind() takes there.
Place = tuple[int, tuple[Any, ...]]


class Sharing(Enum):
    """Who may bind a port as well, if it is this user's (SO_REUSEPORT, socket(7))."""

    NO = "nobody"
    YES = "all who say so, too"
    FROM_NOW_ON = "as YES, but nobody may have it yet"


@contextmanager
def _naming(address: Address) -> Iterator[None]:
    """Within it, an OSError tells which of several addresses it is about."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(address)
        raise


def listen(
    address: Address, *, reuse_port: bool = False, write_timeout: float | None = None
) -> socket.socket:
    """A blocking socket bound to `address`, listening if it is a stream. Raises OSError.

    As `listen_all`, for who has use for one socket: a name's IPv4 address is preferred, and
    socket activation must have passed exactly one.
    """
    if address.scheme in ("tcp", "udp"):
        sharing = Sharing.YES if reuse_port else Sharing.NO
        with _naming(address):
            place = _places(address.scheme, address)[0]
            return _bind(address.scheme, place, sharing, write_timeout)
    first, *others = listen_all(address)
    if others:
        for sock in (first, *others):
            sock.close()
        raise OSError(
            errno.EINVAL, f"{len(others) + 1} sockets were passed; choose one by systemd:NAME"
        )
    return first


def listen_all(
    address: Address,
    *,
    reuse_port: bool = False,
    exclusive: bool = False,
    write_timeout: float | None = None,
    backlog: int = BACKLOG,
    mode: int | None = None,
) -> list[socket.socket]:
    """Every socket that `address` means, blocking and listening, or none. Raises OSError.

    A name is bound on each of its addresses, with one port for all of them also where the
    port is 0; what this machine does not have is left out unless nothing remains. An empty
    host and `::` are one socket for IPv4 and IPv6. `reuse_port` (tcp and udp) lets others of
    this user bind the port as well, and the kernel spread clients over them (socket(7));
    `exclusive` with it refuses a port that somebody has already, who may say the same.
    `write_timeout` (tcp): as `set_write_timeout`, before anybody can connect. UDP sockets get
    unicast only. `mode` is that of a unix socket's file, from its first moment on.
    """
    with _naming(address):
        if address.scheme == "unix":
            return [_listen_unix(address.unix_name, mode, backlog)]
        if address.scheme == "fd":
            return [inherit(int(address.path), backlog=backlog)]
        if address.scheme == "systemd":
            return inherit_all(take_sockets(address.path), backlog=backlog)
        sharing = Sharing.NO
        if reuse_port:
            sharing = Sharing.FROM_NOW_ON if exclusive else Sharing.YES
        # Datagrams first: who can connect may send those, too.
        schemes = sorted(address.scheme.split("+"), reverse=True)
        places = [(scheme, *place) for scheme in schemes for place in _places(scheme, address)]
        for _ in range(_PORT_TRIES - 1):
            try:
                return _bind_each(places, sharing, write_timeout, backlog)
            except OSError as error:
                if error.errno != errno.EADDRINUSE or address.port != 0:
                    raise
        return _bind_each(places, sharing, write_timeout, backlog)


def listen_beside(
    sock: socket.socket, write_timeout: float | None, backlog: int = BACKLOG
) -> socket.socket:
    """Another socket where `sock` is, which lets others bind its port; with the scope of IPv6."""
    scheme = "tcp" if sock.type == socket.SOCK_STREAM else "udp"
    place = sock.family, sock.getsockname()
    return _bind(scheme, place, Sharing.YES, write_timeout, backlog)


def _places(scheme: str, address: Address) -> list[Place]:
    kind = socket.SOCK_STREAM if scheme == "tcp" else socket.SOCK_DGRAM
    found = socket.getaddrinfo(
        address.host or "::", address.port, type=kind, flags=socket.AI_PASSIVE
    )
    # /etc/hosts may tell an address twice. IPv4 first: more clients try it.
    places: Iterable[Place] = dict.fromkeys((family, where) for family, *_, where in found)
    return sorted(places, key=itemgetter(0))


def _bind_each(
    places: list[tuple[str, int, tuple[Any, ...]]],
    sharing: Sharing,
    write_timeout: float | None,
    backlog: int,
) -> list[socket.socket]:
    bound: list[socket.socket] = []
    missing: OSError | None = None
    with contextlib.ExitStack() as opened:
        for scheme, family, where in places:
            # The kernel chooses a port for the first; the others have to take the same.
            port = bound[0].getsockname()[1] if bound else where[1]
            try:
                place = family, (where[0], port, *where[2:])
                sock = _bind(scheme, place, sharing, write_timeout, backlog)
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                missing = error
                log.info("not listening on %s: %s", where[0], error.strerror)
            else:
                bound.append(opened.enter_context(sock))
        if missing and not bound:
            raise missing
        opened.pop_all()
    return sorted(bound, key=attrgetter("type"))


def _bind(
    scheme: str,
    place: Place,
    sharing: Sharing,
    write_timeout: float | None,
    backlog: int = BACKLOG,
) -> socket.socket:
    family, where = place
    # asyncio sets TCP_NODELAY only where the protocol is named, and accept() inherits it.
    kind, protocol = (
        (socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if scheme == "tcp"
        else (socket.SOCK_DGRAM, socket.IPPROTO_UDP)
    )
    try:
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        if error.errno != errno.EAFNOSUPPORT or where[0] != "::":
            raise
        anywhere = socket.AF_INET, ("0.0.0.0", where[1])
        return _bind(scheme, anywhere, sharing, write_timeout, backlog)
    try:
        if kind == socket.SOCK_STREAM:
            # Lets a restarted server bind while old connections are in TIME_WAIT. On UDP it
            # would let two servers share a port, and one of them would starve.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            answer_unicast_only(sock)
        if sharing is Sharing.YES:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            # The default is a sysctl (net.ipv6.bindv6only).
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, where[0] != "::")
        if write_timeout is not None:
            set_write_timeout(sock, write_timeout)
        sock.bind(where)
        if sharing is Sharing.FROM_NOW_ON:
            # Whoever bound before without saying so refuses all others, and is refused by all.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if kind == socket.SOCK_STREAM:
            sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def _listen_unix(path: str, mode: int | None, backlog: int) -> socket.socket:
    sock = bind_unix(path, mode)
    try:
        sock.listen(backlog)
    except BaseException:
        remove_unix_path(sock)
        sock.close()
        raise
    return sock


def set_write_timeout(listener: socket.socket, seconds: float) -> None:
    """Give up on a peer of `listener` that takes nothing of what is sent to it for `seconds`.

    The kernel does it, to a peer that acknowledges nothing and to one that keeps its window
    closed, and also after close(), so that nothing stays in FIN_WAIT1. Whoever writes or
    reads gets ETIMEDOUT. Connections accepted from now on inherit it; no socket other than
    TCP has it (TCP_USER_TIMEOUT: tcp(7), RFC 5482).
    """
    if listener.family in (socket.AF_INET, socket.AF_INET6) and listener.type == socket.SOCK_STREAM:
        # 0 would mean the system's default, a quarter of an hour and more.
        milliseconds = max(1, round(seconds * 1000))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
