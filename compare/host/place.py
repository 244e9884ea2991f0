"""Where a server listens, and whether somebody does."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import random
import socket
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from compare.host.machine import client_ports

_LISTEN = "0A"  # tcp_states.h, as /proc/net/tcp has it
LOOPBACKS = ("127.0.0.1", "::1")
LOOPBACK_S = 5.0  # for what takes a fraction of a millisecond
ANYWHERE = ("0.0.0.0", "::")
PORTS = 100  # that are tried: half of them may be in TIME_WAIT
LOWEST = 10_000  # below which many programs have theirs


class Bound(NamedTuple):
    """A socket that waits for whoever comes: its address, and its inode."""

    host: str
    inode: int


class Place(NamedTuple):
    """Where a server was told to listen; `scheme` is tcp or udp."""

    scheme: str
    host: str
    port: int

    def is_taken(self) -> bool:
        """Whether somebody listens there now."""
        if self.scheme == "udp":
            return self.is_bound()  # only who has the port can know whether it answers
        try:
            socket.create_connection((self.host, self.port), 1).close()
        except OSError as error:
            # No port is left for us, or its queue is full, such as of those who asked before.
            unclear = error.errno == errno.EADDRNOTAVAIL or isinstance(error, TimeoutError)
            return unclear and self.is_bound()
        return True

    def is_bound(self) -> bool:
        """Whether somebody has a socket there that waits, as the tables say."""
        family = ipaddress.ip_address(self.host).version
        return any(_hears(each.host, self.host, family) for each in self.bound())

    def other(self) -> Place:
        """The same of the other protocol."""
        return self._replace(scheme="tcp" if self.scheme == "udp" else "udp")

    def loopbacks(self) -> list[Place]:
        """Where a program may be that was told to listen here: `localhost` is either."""
        alike = next((each for each in (LOOPBACKS, ANYWHERE) if self.host in each), ())
        return [self, *(self._replace(host=each) for each in alike if each != self.host)]

    def is_in_a_table(self) -> bool:
        """Whether somebody listens there, without that being noticed."""
        return bool(self.bound())

    def bound(self) -> list[Bound]:
        """Every socket that waits at this port, at whatever address: proc_net(5)."""
        found = []
        for row in map(str.split, socket_rows(self.scheme, waiting=True)):
            address, _, port = row[1].partition(":")
            if int(port, 16) == self.port:
                found.append(Bound(_address(address), int(row[9])))
        return found

    def remembers(self, remote: int) -> bool:
        """Whether the kernel has this end of a connection with port `remote`, be it closed."""
        here, there = f":{self.port:04X}", f":{remote:04X}"
        return any(
            ends[1].endswith(here) and ends[2].endswith(there)
            for ends in map(str.split, socket_rows(self.scheme))
        )

    def resolved(self) -> Place:
        """With an address in place of a name: the first of its own at which somebody listens.

        Raises OSError where nobody knows the name.
        """
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(self.host.partition("%")[0])
            return self
        kind = socket.SOCK_DGRAM if self.scheme == "udp" else socket.SOCK_STREAM
        found = socket.getaddrinfo(self.host, self.port, type=kind)
        hosts = [str(each[4][0]) for each in found]
        if set(hosts) & set(LOOPBACKS):  # what else listens there may know the other one
            hosts += LOOPBACKS
        places = [self._replace(host=each) for each in hosts]
        return next((each for each in places if each.is_taken()), places[0])


def _hears(bound: str, host: str, version: int) -> bool:
    """Whether a socket at the address `bound` gets what is sent to `host`."""
    address, wanted = ipaddress.ip_address(bound), ipaddress.ip_address(host)
    if address.is_unspecified or wanted.is_unspecified:
        return address.version == version  # one at :: may hear IPv4, too, and need not
    return address == wanted


def _address(text: str) -> str:
    """An address as the kernel's tables have it: words in the machine's own order.

    One of IPv4 may belong to a socket of IPv6, as all of Java's are; it is the same address.
    """
    words = [int(text[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(text), 8)]
    address = ipaddress.ip_address(b"".join(words))
    return str(getattr(address, "ipv4_mapped", None) or address)


def socket_rows(scheme: str, *, waiting: bool = False) -> Iterator[str]:
    """What the kernel tells of all its sockets, of IPv4 and of IPv6, a row each: proc_net(5).

    The second word of a row is the local end and the third the remote one, as hexadecimal
    ADDRESS:PORT. A listener of both versions has its connections of IPv4 among those of IPv6.
    waiting: only of those that wait for whoever comes, as listeners do. They stand first, before
    what may be thousands in TIME_WAIT: net/ipv4/tcp_ipv4.c, tcp_get_idx().
    """
    for version in ("", "6"):
        rows = _rows(Path(f"/proc/net/{scheme}{version}"))
        yield from takewhile(_listens, rows) if waiting and scheme == "tcp" else rows


def _listens(row: str) -> bool:
    return row.split(maxsplit=4)[3] == _LISTEN


def _rows(table: Path) -> Iterator[str]:
    with contextlib.suppress(OSError), table.open() as rows:
        next(rows, None)
        yield from rows


def loopback_fault() -> str | None:
    """Why nobody can talk to anybody on this machine; None if they can."""
    try:
        with socket.create_server((LOOPBACKS[0], 0)) as listener:
            socket.create_connection(listener.getsockname(), LOOPBACK_S).close()
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL):
            return (
                "no port is left for a client here: wait until who has them has ended, or "
                "sysctl -w net.ipv4.ip_local_port_range='1024 65535' (as root)"
            )
        return f"nothing can connect to 127.0.0.1 here ({error.strerror}): ip link set lo up"
    return None


def free_port(scheme: str, host: str = "127.0.0.1") -> int:
    """A port that nobody has at the moment, by the other protocol neither, if one can be found.

    A server of that other protocol is then seen to be one. It is none of those from which clients
    get theirs (net.ipv4.ip_local_port_range), or one of them might have it before the server does.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    kinds = [socket.SOCK_DGRAM, socket.SOCK_STREAM]
    wanted, other = kinds if scheme == "udp" else kinds[::-1]
    first = client_ports()[0]
    for attempt in range(PORTS):
        with socket.socket(family, wanted) as sock, socket.socket(family, other) as second:
            asked = random.randrange(LOWEST, first) if first > LOWEST and attempt < PORTS - 1 else 0
            with contextlib.suppress(OSError):
                sock.bind((host, asked))
                port: int = sock.getsockname()[1]
                second.bind((host, port))
                break
    return port
