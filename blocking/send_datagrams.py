"""Clients for UDP: one that asks again when no answer comes, and one that only listens.

    python -m blocking send udp://127.0.0.1:7007
    python -m blocking receive udp://224.0.0.251:7007

UDP promises nothing: a datagram may be lost, come twice, or come late. Who needs an answer has to
wait for it only so long, ask again, and give up at some time (RFC 8085, 3.1.1, which also wants the
wait to be doubled each time). That an answer is missing does not mean that nothing has arrived: the
answer may be what was lost. So what is asked for twice had better be harmless to do twice.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import struct
import time
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

from aionet.address import Address
from aionet.command import announce, fail, show
from aionet.signals import end_at_once
from aionet.sockets import RECV_SIZE

LOOPBACK = "127.0.0.1"


def send(
    host: str, port: int, source: int, timeout: float, retries: int, *, broadcast: bool = False
) -> int:
    """Send each line that can be read from `source` as a datagram, and show what is answered.

    An answer is waited for `timeout` seconds, then twice as long after each of `retries` more
    sendings. 0 if all were answered, else 1 and a line on stderr that says which were not. To a
    broadcast or multicast address each is sent once, and all who answer in time are shown.
    """
    signal.signal(signal.SIGINT, end_at_once)
    lost = []
    several = broadcast or _is_multicast(host)
    with _connected(host, port, broadcast=broadcast) as sock:
        for line in _lines(source):
            if several:
                answered = _ask_all(sock, (host, port), line, timeout)
            else:
                answered = _ask(sock, line, timeout, retries)
            if not answered:
                lost.append(line)
    if lost:
        told = ", ".join(repr(line.decode("utf-8", "replace")) for line in lost[:3])
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        times = f"{retries + 1} sendings" if retries and not several else "one sending"
        fail(f"no answer to {told}{more}, after {times} each: lost on the way there or back")
    return 0


def receive(host: str, port: int, count: int | None, interface: str | None) -> int:
    """Show datagrams to this port, with their senders: all, or so many.

    A group (224.0.0.0/4, ff00::/8) is joined on the interface that has the address `interface`, for
    IPv6 on the one of that name; on loopback, if that is None.
    """
    signal.signal(signal.SIGINT, end_at_once)
    family, address = _look_up(host or LOOPBACK, port)
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        # Others on this machine may listen to the same group, each on a socket of its own.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(_is_multicast(host)))
        try:
            if family == socket.AF_INET6 and _is_multicast(host):
                index = socket.if_nametoindex(interface or "lo")
                sock.bind((*address[:3], index))  # ff02::/16 means nothing without
                _join_v6(sock, host, index)
            else:
                sock.bind(address)
                if _is_multicast(host):
                    _join(sock, host, interface)
        except OSError as error:
            fail(f"cannot receive at {Address('udp', host, port)}: {error.strerror or error}")
        announce([Address("udp", host or LOOPBACK, sock.getsockname()[1])])
        left = count if count is not None else -1
        while left:
            data, sender = sock.recvfrom(RECV_SIZE)
            show(f"{sender[0]} {sender[1]}: ".encode() + data + b"\n")
            left -= 1
    return 0


# One who answers.


def _ask(sock: socket.socket, line: bytes, timeout: float, retries: int) -> bool:
    """Send until there is an answer; whether there was one."""
    with contextlib.suppress(ConnectionRefusedError):
        while _receive(sock, 0.0) is not None:
            pass  # it came too late for the last question, and is no answer to this one
    for attempt in range(retries + 1):
        try:
            sock.send(line)
            answer = _receive(sock, timeout * 2**attempt)
        except ConnectionRefusedError:  # ICMP: the machine is there, and nobody at that port
            time.sleep(timeout)
            continue
        except OSError as error:
            fail(_explain(error, line))
        if answer is not None:
            show(answer + b"\n")
            return True
    return False


def _receive(sock: socket.socket, timeout: float) -> bytes | None:
    """The next datagram, or None after so long. Raises ConnectionRefusedError."""
    sock.settimeout(timeout)
    try:
        return sock.recv(RECV_SIZE)
    except (TimeoutError, BlockingIOError):
        return None


# Several who may.


def _ask_all(sock: socket.socket, to: tuple[str, int], line: bytes, timeout: float) -> bool:
    """Send once; whether anybody has answered in time."""
    try:
        sock.sendto(line, to)
    except OSError as error:
        fail(_explain(error, line))
    answered = False
    until = time.monotonic() + timeout
    while (left := until - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            data, sender = sock.recvfrom(RECV_SIZE)
        except TimeoutError:
            break
        show(f"{sender[0]} {sender[1]}: ".encode() + data + b"\n")
        answered = True
    return answered


def _explain(error: OSError, line: bytes) -> str:
    if error.errno == errno.EACCES:
        return "that is a broadcast address; --broadcast says that this is meant"
    if error.errno == errno.EMSGSIZE:
        return f"{len(line)} bytes are too many for a datagram; 65507 is the most over IPv4"
    return f"cannot send: {error.strerror}"


# Sockets.


def _connected(host: str, port: int, *, broadcast: bool) -> socket.socket:
    """connect() sends nothing: it sets whom send() is for, and keeps what others send away."""
    family, address = _look_up(host or LOOPBACK, port)
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if broadcast:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        elif not _is_multicast(host):
            sock.connect(address)
        elif family == socket.AF_INET:
            loopback = socket.inet_aton(LOOPBACK)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, loopback)
        else:
            index = struct.pack("@I", socket.if_nametoindex("lo"))
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    except OSError as error:
        sock.close()
        fail(_explain(error, b""))
    return sock


def _look_up(host: str, port: int) -> tuple[socket.AddressFamily, Any]:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    except OSError as error:
        fail(f"the name {host!r} is not known: {error.strerror or error}")
    return family, address


def _is_multicast(host: str) -> bool:
    try:
        return ip_address(host).is_multicast
    except ValueError:
        return False


def _join(sock: socket.socket, group: str, interface: str | None) -> None:
    """IP_ADD_MEMBERSHIP, ip(7): from now on what is sent to the group comes here, too."""
    request = socket.inet_aton(group) + socket.inet_aton(interface or LOOPBACK)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)


def _join_v6(sock: socket.socket, group: str, index: int) -> None:
    """The same of IPv6, by the number of an interface."""
    request = socket.inet_pton(socket.AF_INET6, group) + struct.pack("@I", index)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)


def _lines(source: int) -> Iterator[bytes]:
    """What can be read, by lines, each as soon as it is there."""
    rest = b""
    while data := os.read(source, RECV_SIZE):
        *lines, rest = (rest + data).split(b"\n")
        yield from lines
    if rest:
        yield rest
