"""Open non-blocking TCP connections, and say what became of each."""

from __future__ import annotations

import errno
import ipaddress
import itertools
import select
import socket
from collections.abc import Callable, Iterator
from time import perf_counter_ns

from compare.driver.load import TICK_NS, Load
from compare.host.machine import ephemeral_ports

AT_ONCE = 256  # handshakes under way; more would overflow a backlog of ordinary size
CONNECT_TIMEOUT_NS = 3_000_000_000  # past two retransmissions of a SYN (1 s, then 2 s)
SOURCES = 250  # addresses 127.0.1.1 ... that short connections come from
# Linux: choose the port at connect(), where only the whole four-tuple must be free.
_IP_BIND_ADDRESS_NO_PORT = 24


def sources(host: str) -> Iterator[str] | None:
    """Addresses to connect from in turn, where the server is on IPv4 loopback.

    A closed connection holds its port for 60 s (TIME_WAIT). From one address to one server
    there are 28,232 ports as a rule; each further source address brings as many again.
    """
    if host not in ("localhost", "") and not ipaddress.ip_address(host).is_loopback:
        return None
    if ":" in host:
        return None
    return itertools.cycle([f"127.0.1.{last}" for last in range(1, SOURCES + 1)])


def open_socket(address: tuple[str, int], source: str | None) -> socket.socket:
    """A socket that has begun to connect."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    if source is not None:
        sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((source, 0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    error = sock.connect_ex(address)
    if error not in (0, errno.EINPROGRESS):
        sock.close()
        raise OSError(error, errno.errorcode.get(error, "?"))
    return sock


def count_failure(load: Load, error: int) -> None:
    """Sort a failed connection under refused, reset, timed_out or its own name."""
    if error == errno.ECONNREFUSED:
        load.counts.refused += 1
    elif error in (errno.ECONNRESET, errno.EPIPE):
        load.counts.reset += 1
    elif error == errno.ETIMEDOUT:
        load.counts.timed_out += 1
    else:
        load.errors[errno.errorcode.get(error, str(error))] += 1


def connect_all(load: Load, on_connected: Callable[[socket.socket], None]) -> None:
    """Open `spec.connections` connections and hand over each that is connected."""
    opening: dict[int, tuple[socket.socket, int]] = {}
    # Half of one address's ports, because others may have some of them.
    many = load.spec.connections > ephemeral_ports() // 2
    addresses = sources(load.target.host) if many else None

    def start_more() -> None:
        while load.counts.attempted < load.spec.connections and len(opening) < AT_ONCE:
            load.counts.attempted += 1
            started = perf_counter_ns()
            try:
                sock = open_socket(load.address, next(addresses) if addresses else None)
            except OSError as error:
                count_failure(load, error.errno or 0)
                continue
            fd = sock.fileno()
            opening[fd] = (sock, started)
            load.watch(fd, lambda fd=fd: settle(fd), select.EPOLLOUT)  # type: ignore[misc]

    def settle(fd: int) -> None:
        sock, started = opening.pop(fd)
        load.connect_samples.append(perf_counter_ns() - started)
        load.epoll.unregister(fd)
        del load.handlers[fd]
        if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            load.connect_samples.pop()
            count_failure(load, error)
            sock.close()
        else:
            load.counts.connected += 1
            on_connected(sock)
        start_more()

    def give_up(now: int) -> None:
        for fd, (sock, started) in list(opening.items()):
            if now - started > CONNECT_TIMEOUT_NS:
                del opening[fd], load.handlers[fd]
                sock.close()
                load.counts.timed_out += 1
        start_more()

    start_more()
    while opening:
        load.run(TICK_NS / 1e9, give_up, done=lambda: not opening)
