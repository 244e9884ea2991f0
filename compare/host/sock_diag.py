"""What the kernel says of its TCP sockets, by netlink: sock_diag(7)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

ESTABLISHED, TIME_WAIT, LISTEN = 1, 6, 10  # include/net/tcp_states.h

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port id: netlink(7)
# struct inet_diag_req_v2 with its socket id: ports are in network order, the rest zero is "any".
_REQUEST = struct.Struct("=BBBxI2s2s44x")
_MESSAGE_SIZE = 72  # struct inet_diag_msg; attributes follow
_SOURCE_AT, _DESTINATION_AT = 8, 24  # in it, after four bytes and two ports
_QUEUES_AT = 56  # in it: for who listens those who wait to be accepted, and how many may
_ID = slice(4, 52)  # ports, addresses, interface, and a cookie that no other socket ever has
_MAPPED = bytes(10) + b"\xff\xff"  # before an address of IPv4 in one of IPv6
_ATTRIBUTE = struct.Struct("=HH")
_SKMEMINFO = 7  # INET_DIAG_SKMEMINFO
_MEMINFO = struct.Struct("=8I")
_RECEIVE = 1 << 18


class Ends(NamedTuple):
    """Sockets in TIME_WAIT by who has them: the one that closed first; None where unknown."""

    server: int
    client: int | None


class TimeWait:
    """The sockets of a server's connections that come into TIME_WAIT from now on.

    Those that are in it already are left of others who had the port: the kernel keeps one for a
    minute, and may give its port to the next server. Raises OSError.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._before = self._sockets()

    def ends(self) -> Ends:
        """How many there are. Raises OSError."""
        now = self._sockets()
        return Ends(*(len(each - old) for each, old in zip(now, self._before, strict=True)))

    def _sockets(self) -> tuple[set[bytes], set[bytes]]:
        server = _dump(self._host, TIME_WAIT, sport=self._port)
        client = _dump(self._host, TIME_WAIT, dport=self._port)
        return {message[_ID] for message in server}, {message[_ID] for message in client}


def buffered_kb(host: str, port: int) -> int:
    """What the kernel holds in the buffers of a server's established connections, in KB.

    Data with its overhead, and what is allocated ahead; not the sockets' own structures.
    Raises OSError.
    """
    total = 0
    for message in _dump(host, ESTABLISHED, sport=port, memory=True):
        memory = _attribute(message[_MESSAGE_SIZE:])
        received, _, _, _, ahead, queued, options, backlog = _MEMINFO.unpack_from(memory)
        total += received + ahead + queued + options + backlog
    return total // 1024


def accept_queue(port: int) -> tuple[int, int]:
    """Connections that wait to be accepted at a port, and how many may, of all who listen there.

    Raises OSError.
    """
    messages = [each for host in ("0.0.0.0", "::") for each in _dump(host, LISTEN, sport=port)]
    queues = [struct.unpack_from("=II", each, _QUEUES_AT) for each in messages]
    return sum(waiting for waiting, _ in queues), sum(backlog for _, backlog in queues)


def _dump(
    host: str, state: int, *, sport: int = 0, dport: int = 0, memory: bool = False
) -> Iterator[bytes]:
    """The message on every TCP socket with that end, with its memory if that was asked for.

    A listener of both versions has its connections of IPv4 among those of IPv6: RFC 4291, 2.5.5.2.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    address = socket.inet_pton(family, "127.0.0.1" if host == "localhost" else host)
    yield from _dump_of(family, address, state, sport=sport, dport=dport, memory=memory)
    if family == socket.AF_INET and any(address):
        yield from _dump_of(
            socket.AF_INET6, _MAPPED + address, state, sport=sport, dport=dport, memory=memory
        )


def _dump_of(
    family: int, address: bytes, state: int, *, sport: int, dport: int, memory: bool
) -> Iterator[bytes]:
    anywhere = not any(address)  # a server on all addresses
    at = _SOURCE_AT if sport else _DESTINATION_AT
    extension = 1 << (_SKMEMINFO - 1) if memory else 0
    ports = sport.to_bytes(2, "big"), dport.to_bytes(2, "big")
    request = _REQUEST.pack(family, socket.IPPROTO_TCP, extension, 1 << state, *ports)
    length = _HEADER.size + len(request)
    header = _HEADER.pack(length, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST | _NLM_F_DUMP, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as sock:
        sock.send(header + request)
        while True:
            data = sock.recv(_RECEIVE)
            while data:
                length, kind, *_ = _HEADER.unpack_from(data)
                if kind in (_NLMSG_DONE, _NLMSG_ERROR):
                    (error,) = struct.unpack_from("=i", data, _HEADER.size)
                    if error:
                        raise OSError(-error, "sock_diag refused")
                    return
                message = data[_HEADER.size : length]
                if anywhere or message[at : at + len(address)] == address:
                    yield message
                data = data[(length + 3) & ~3 :]


def _attribute(data: bytes) -> bytes:
    """The value of _SKMEMINFO among attributes; zeros where it is missing."""
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if kind == _SKMEMINFO:
            return data[_ATTRIBUTE.size : length]
        data = data[(length + 3) & ~3 :]
    return bytes(_MEMINFO.size)
