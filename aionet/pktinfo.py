"""Answers that come from the address that was asked, also on a socket that has all of them.

What is sent from a UDP socket on a wildcard gets the address that the kernel prefers for that way,
and who had asked another one takes the answer for a stranger's. So the kernel tells with each
datagram where it was sent, and is told the same with its answer: IP_PKTINFO in ip(7), and
IPV6_PKTINFO in RFC 3542, 6, which on a dual-stack socket is for IPv4 as well.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from functools import lru_cache, partial
from typing import Any, NamedTuple

_IP_PKTINFO = 8  # linux/in.h; the socket module has no name for it
_IN_PKTINFO = struct.Struct(
    "I4s4s"
)  # the interface, the address to answer from, that in the header
_IN6_PKTINFO = struct.Struct("16sI")  # the address in the header, and the interface

WILDCARDS = frozenset(("0.0.0.0", "::", "::ffff:0.0.0.0"))
# Room for what else the owner of a socket may have asked the kernel to tell.
_ROOM = socket.CMSG_SPACE(_IN6_PKTINFO.size) + 256
_REMEMBERED = 256  # addresses of this machine

Ancillary = tuple[int, int, bytes]  # level, type and data, as recvmsg() and sendmsg() have it


class Asked(NamedTuple):
    """Where a datagram was sent. ancillary: has an answer come from there."""

    address: Any  # as sockets write it: (host, port), or (host, port, 0, scope)
    ancillary: tuple[Ancillary]


def read_pktinfo(ancillary: Iterable[Ancillary], port: int) -> Asked | None:
    """Where a datagram was sent that came with this, to `port`; None where it does not say."""
    for level, kind, info in ancillary:
        if level == socket.IPPROTO_IP and kind == _IP_PKTINFO and len(info) == _IN_PKTINFO.size:
            _, _, four = _IN_PKTINFO.unpack(info)
            # No interface: the way back may be another one.
            answer = _IN_PKTINFO.pack(0, four, bytes(4))
            return Asked((socket.inet_ntoa(four), port), ((level, kind, answer),))
        if (
            level == socket.IPPROTO_IPV6
            and kind == socket.IPV6_PKTINFO
            and len(info) == _IN6_PKTINFO.size
        ):
            six, interface = _IN6_PKTINFO.unpack(info)
            if six[0] != 0xFE or six[1] & 0xC0 != 0x80:
                interface = 0
            # Or it is fe80::/10, an address of one link, which means nothing without that.
            host = socket.inet_ntop(socket.AF_INET6, six)
            answer = _IN6_PKTINFO.pack(six, interface)
            return Asked((host, port, 0, interface), ((level, kind, answer),))
    return None


def answering(sock: socket.socket) -> socket.socket | Wildcard:
    """What to recvfrom() and sendto() with on a UDP socket, in one thread.

    That is the socket itself where it is bound to one address: it answers from no other.
    """
    return Wildcard(sock) if sock.getsockname()[0] in WILDCARDS else sock


class Wildcard:
    """recvfrom() and sendto() of a UDP socket that is bound to a wildcard, for one thread.

    asked: where what came last was sent. What is sent to whoever sent that comes from there; what
    is sent to others, from where the kernel likes.
    """

    def __init__(self, sock: socket.socket) -> None:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        self._recvmsg = sock.recvmsg
        self._sendmsg = sock.sendmsg
        self._sendto = sock.sendto
        self._read = lru_cache(_REMEMBERED)(partial(read_pktinfo, port=sock.getsockname()[1]))
        self._sender: Any = None
        self.asked: Asked | None = None

    def recvfrom(self, size: int) -> tuple[bytes, Any]:
        """As socket.recvfrom(); see `asked` then."""
        data, ancillary, _, self._sender = self._recvmsg(size, _ROOM)
        self.asked = self._read(tuple(ancillary))
        return data, self._sender

    def sendto(self, data: bytes, peer: Any) -> int:
        """As socket.sendto()."""
        if self.asked is not None and peer == self._sender:
            return self._sendmsg((data,), self.asked.ancillary, 0, peer)
        return self._sendto(data, peer)

    def answer(self, asked: Asked, data: bytes, peer: Any) -> int:
        """Send it from where `peer` has `asked`, some time ago."""
        return self._sendmsg((data,), asked.ancillary, 0, peer)
