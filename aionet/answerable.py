"""Whom a UDP server may send to: nobody who would answer back, and so on for ever.

A datagram tells who sent it, and anybody can write another there. If that is a server which answers
anything, too, the two of them talk without end, for the price of one datagram (CERT CA-1996-01,
CVE-2024-2169). So nothing goes to the ports below 1024, where such services are (echo, RFC 862;
chargen, RFC 864; DNS, TFTP), nor to the server itself; nor to port 0, where nobody is. Two servers
on other ports are slowed down by a limit on their rate, and stopped by nothing: an echo looks like
a question.
"""

from __future__ import annotations

import errno
import socket
import time
from functools import lru_cache
from typing import Any

from aionet.limits import Limits
from aionet.pktinfo import WILDCARDS

PRIVILEGED = 1024
_REMEMBERED = 256  # addresses that were looked up in this second


class Answerable:
    """Contains the addresses, (host, port, ...), to which a server on `socks` may send.

    lowest: port. ports: of its own; to these an address `is_ours` or not.
    """

    def __init__(self, limits: Limits, *socks: Any) -> None:
        self.lowest = 1 if limits.udp_low_ports else PRIVILEGED
        self.ports: set[int] = set()
        self._own: list[Any] = []
        for sock in socks:
            self.add(sock)

    def add(self, sock: Any) -> None:
        """The server has this one, too."""
        name = sock.getsockname()
        self._own.append(name)
        self.ports.add(name[1])

    def __contains__(self, peer: Any) -> bool:
        port = peer[1]
        return port >= self.lowest and (port not in self.ports or not self.is_ours(peer))

    def is_ours(self, peer: Any) -> bool:
        """Whether the server gets what is sent there."""
        host, _, _ = peer[0].partition("%")
        for name in self._own:
            if name[1] == peer[1]:
                if name[0] in WILDCARDS:
                    scope = peer[3] if len(peer) > 3 else 0
                    if _is_local(host, scope, int(time.monotonic())):
                        return True
                elif name[0].partition("%")[0] == host and name[3:] == peer[3:]:
                    return True
        return False


@lru_cache(_REMEMBERED)
def _is_local(host: str, scope: int, second: int) -> bool:
    """Whether `host` is an address of this machine in this `second`, as only the kernel knows.

    It lets bind() have no other (EADDRNOTAVAIL in ip(7)), unless net.ipv4.ip_nonlocal_bind is set;
    then every host is taken for this one.
    """
    six = ":" in host
    with socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        if six:  # or it takes no IPv4 address inside an IPv6 one
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            probe.bind((host, 0, 0, scope) if six else (host, 0))
        except OSError as error:
            return error.errno != errno.EADDRNOTAVAIL
    return True
