"""What the kernel says of its sockets, most of all those of TCP, by netlink: sock_diag(7)."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

_NAMES = (  # include/net/tcp_states.h
    *("ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT"),
    *("CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING"),
)
STATES = dict(enumerate(_NAMES, 1))
# A connection that a listener has been asked for is no socket yet; the kernel tells of it as in
# SYN_RECV, and keeps it under a number of its own.
_NEW_SYN_RECV = 12
_ESTABLISHED, _TIME_WAIT, _LISTEN = 1 << 1, 1 << 6, 1 << 10
_ALL = sum(1 << state for state in (*STATES, _NEW_SYN_RECV))
_TIMERS = {1: "retransmit", 2: "keepalive", 3: "time-wait", 4: "probe"}

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port id: netlink(7)
# struct inet_diag_req_v2 with its socket id: ports are in network order, the rest zero is "any".
_REQUEST = struct.Struct("=BBBxI2s2s44x")
_EXACT = struct.Struct("=BBBxI2s2s16s16s4x8s")  # the same, of one connection
_ANY_COOKIE = b"\xff" * 8  # INET_DIAG_NOCOOKIE
_MESSAGE = struct.Struct("=4B2s2s16s16s4x8s5I")  # struct inet_diag_msg; attributes follow
_SOURCE_AT, _DESTINATION_AT = 8, 24  # in it, after four bytes and two ports
_ID = slice(4, 52)  # ports, addresses, interface, and a cookie that no other socket ever has
_MAPPED = bytes(10) + b"\xff\xff"  # before an address of IPv4 in one of IPv6
_ATTRIBUTE = struct.Struct("=HH")
_SKMEMINFO = 7  # INET_DIAG_SKMEMINFO
_MEMINFO = struct.Struct("=8I")
_RECEIVE = 1 << 18
_CODE = struct.Struct("=BBH")  # struct inet_diag_bc_op: what, and how far on if so, and if not
_JUMP, _SOURCE_IS, _DESTINATION_IS = 1, 11, 12  # INET_DIAG_BC_JMP, _S_EQ, _D_EQ
_BYTECODE = 1  # INET_DIAG_REQ_BYTECODE


class Address(NamedTuple):
    """One end of a connection; of IPv4 also where the socket is of IPv6."""

    host: str
    port: int


class Socket(NamedTuple):
    """A TCP socket as the kernel has it, whoever holds it.

    receive_queue and send_queue: bytes that were not read, and not acknowledged; of one in
    LISTEN, how many wait to be accepted, and its backlog. timer: which one runs, and due_ms, when.
    inode: 0 where no process has a descriptor of it: not accepted yet, or closed. cookie: no other
    socket ever has it.
    """

    state: str
    local: Address
    remote: Address
    receive_queue: int
    send_queue: int
    timer: str | None
    due_ms: int
    inode: int
    cookie: bytes


Pair = tuple[Address, Address]  # local and remote
_FAMILIES = (socket.AF_INET, socket.AF_INET6)


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
        server = _dump(self._host, _TIME_WAIT, sport=self._port)
        client = _dump(self._host, _TIME_WAIT, dport=self._port)
        return {message[_ID] for message in server}, {message[_ID] for message in client}


def sockets(port: int, families: Collection[int] = _FAMILIES) -> list[Socket]:
    """Every TCP socket that has `port` at either end, in whatever state, of every process.

    One in CLOSE is in none of the kernel's tables: it is not among them. The kernel goes through
    all that there are, some 40 ns each. Raises OSError.
    """
    code = _of_either_end(port)
    return [parse(message) for family in families for message in _ask(family, _ALL, bytecode=code)]


def listeners(port: int, families: Collection[int] = _FAMILIES) -> list[Socket]:
    """The sockets that listen at `port`, at whatever address. Raises OSError."""
    return [parse(message) for family in families for message in _ask(family, _LISTEN, sport=port)]


def connections(ends: Iterable[Pair]) -> dict[Pair, Socket]:
    """Those sockets which have such a local and remote address, asked for one by one.

    That takes about 10 us each, however many others there are. Raises OSError.
    """
    found: dict[Pair, Socket] = {}
    with _opened() as sock:
        for local, remote in ends:
            family = socket.AF_INET6 if ":" in local.host else socket.AF_INET
            ports = (each.port.to_bytes(2, "big") for each in (local, remote))
            hosts = (socket.inet_pton(family, each.host) for each in (local, remote))
            wanted = _EXACT.pack(family, socket.IPPROTO_TCP, 0, _ALL, *ports, *hosts, _ANY_COOKIE)
            sock.send(_framed(wanted, _NLM_F_REQUEST))
            for kind, message in split(sock.recv(_RECEIVE)):
                if kind != _NLMSG_ERROR:
                    each = parse(message)
                    # Of a connection that is gone the kernel tells who listens at its port.
                    found |= {(local, remote): each} if each.state != "LISTEN" else {}
                elif (error := _error(message)) not in (0, errno.ENOENT):
                    raise OSError(error, "sock_diag refused")
    return found


def parse(message: bytes) -> Socket:
    """What struct inet_diag_msg says. Raises ValueError where `message` is none."""
    if len(message) < _MESSAGE.size:
        raise ValueError(f"{len(message)} bytes are no inet_diag_msg, which has {_MESSAGE.size}")
    fields = _MESSAGE.unpack_from(message)
    family, state, timer, _, sport, dport, source, destination, cookie, due = fields[:10]
    receive, send, _, inode = fields[10:]
    return Socket(
        STATES.get(3 if state == _NEW_SYN_RECV else state, f"state {state}"),
        Address(_host(family, source), int.from_bytes(sport, "big")),
        Address(_host(family, destination), int.from_bytes(dport, "big")),
        receive,
        send,
        _TIMERS.get(timer),
        due,
        inode,
        cookie,
    )


def _host(family: int, address: bytes) -> str:
    if family == socket.AF_INET:
        return socket.inet_ntop(family, address[:4])
    if address.startswith(_MAPPED):
        return socket.inet_ntop(socket.AF_INET, address[12:])
    return socket.inet_ntop(socket.AF_INET6, address)


def state_of(sock: socket.socket) -> str:
    """Of a socket of ours, CLOSE among them: tcp(7), TCP_INFO. Raises OSError."""
    number = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return STATES.get(number, f"state {number}")


def buffered_kb(host: str, port: int) -> int:
    """What the kernel holds in the buffers of a server's established connections, in KB.

    Data with its overhead, and what is allocated ahead; not the sockets' own structures.
    Raises OSError.
    """
    total = 0
    for message in _dump(host, _ESTABLISHED, sport=port, memory=True):
        memory = _attribute(message[_MESSAGE.size :])
        received, _, _, _, ahead, queued, options, backlog = _MEMINFO.unpack_from(memory)
        total += received + ahead + queued + options + backlog
    return total // 1024


def receive_buffers(port: int) -> list[int]:
    """Bytes of the receive buffer of each UDP socket at `port`, as SO_RCVBUF has it: socket(7).

    In them counts what a datagram takes with all that the kernel keeps of it. Raises OSError.
    """
    found = []
    for family in _FAMILIES:
        for message in _ask(family, _ALL, sport=port, memory=True, datagrams=True):
            memory = _attribute(message[_MESSAGE.size :])
            found.append(_MEMINFO.unpack_from(memory)[1])
    return found


def _dump(
    host: str, states: int, *, sport: int = 0, dport: int = 0, memory: bool = False
) -> Iterator[bytes]:
    """The message on every TCP socket with that end, with its memory if that was asked for.

    A listener of both versions has its connections of IPv4 among those of IPv6: RFC 4291, 2.5.5.2.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    address = socket.inet_pton(family, "127.0.0.1" if host == "localhost" else host)
    asked = [(family, address)]
    if family == socket.AF_INET and any(address):
        asked.append((socket.AF_INET6, _MAPPED + address))
    at = _SOURCE_AT if sport else _DESTINATION_AT
    for family, address in asked:
        anywhere = not any(address)  # a server on all addresses
        for message in _ask(family, states, sport=sport, dport=dport, memory=memory):
            if anywhere or message[at : at + len(address)] == address:
                yield message


def _ask(
    family: int,
    states: int,
    *,
    sport: int = 0,
    dport: int = 0,
    memory: bool = False,
    bytecode: bytes = b"",
    datagrams: bool = False,
) -> Iterator[bytes]:
    """The kernel's message on every socket of the kind. Raises OSError."""
    extension = 1 << (_SKMEMINFO - 1) if memory else 0
    ports = sport.to_bytes(2, "big"), dport.to_bytes(2, "big")
    protocol = socket.IPPROTO_UDP if datagrams else socket.IPPROTO_TCP
    request = _REQUEST.pack(family, protocol, extension, states, *ports)
    if bytecode:
        request += _ATTRIBUTE.pack(_ATTRIBUTE.size + len(bytecode), _BYTECODE) + bytecode
    with _opened() as sock:
        sock.send(_framed(request, _NLM_F_REQUEST | _NLM_F_DUMP))
        while True:
            for kind, message in split(sock.recv(_RECEIVE)):
                if kind in (_NLMSG_DONE, _NLMSG_ERROR):
                    if error := _error(message):
                        raise OSError(error, "sock_diag refused")
                    return
                yield message


def _opened() -> socket.socket:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)


def _framed(request: bytes, flags: int) -> bytes:
    length = _HEADER.size + len(request)
    return _HEADER.pack(length, _SOCK_DIAG_BY_FAMILY, flags, 1, 0) + request


def _error(message: bytes) -> int:
    """The number of the error that a message of the end tells; 0 where there is none."""
    return -int(struct.unpack_from("=i", message)[0])


def split(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The messages in one read, each with its type: netlink(7). Raises ValueError."""
    while data:
        length, kind = _HEADER.unpack_from(data)[:2] if len(data) >= _HEADER.size else (0, 0)
        if not _HEADER.size <= length <= len(data):
            raise ValueError(f"{len(data)} bytes begin with no message of netlink")
        yield kind, data[_HEADER.size : length]
        data = data[(length + 3) & ~3 :]


def _of_either_end(port: int) -> bytes:
    """A program for the kernel: inet_diag_bc_sk() takes a socket when it comes to the end of it.

    Who comes beyond is left out.
    """
    operations = [
        *((_SOURCE_IS, 8, 12), (0, 0, port)),  # the port is where the next operation would be
        (_JUMP, 4, 12),
        *((_DESTINATION_IS, 8, 12), (0, 0, port)),
    ]
    return b"".join(_CODE.pack(*each) for each in operations)


def _attribute(data: bytes) -> bytes:
    """The value of _SKMEMINFO among attributes; zeros where it is missing."""
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if kind == _SKMEMINFO:
            return data[_ATTRIBUTE.size : length]
        data = data[(length + 3) & ~3 :]
    return bytes(_MEMINFO.size)
