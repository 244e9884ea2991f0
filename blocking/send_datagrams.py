"""Clients for UDP: one that asks again when no answer comes, and one that only listens.

    python -m blocking send udp://127.0.0.1:7007
    python -m blocking receive udp://224.0.0.251:7007

UDP promises nothing: a datagram may be lost, come twice, or come late. Who needs an answer has to
wait for it only so long, ask again, and give up at some time (RFC 8085, 3.1.1, which also wants the
wait to be doubled each time). That an answer is missing does not mean that nothing has arrived: the
answer may be what was lost. So what is asked for twice had better be harmless to do twice. And an
answer that comes late is taken for that to the next question, if nothing in it says which one it
answers; so real protocols number their questions, as DNS does. To an echo, which is told by --echo,
a question says it by itself: the answer is the same.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

from aionet.address import Address
from aionet.cli.chat_client import Screen
from aionet.command import STDOUT, announce, fail, show
from aionet.signals import end_at_once
from aionet.sockets import RECV_SIZE

LOOPBACK = "lo"
LARGEST = 65_527  # over IPv6; over IPv4 20 less


def send(
    host: str,
    port: int,
    source: int,
    timeout: float,
    retries: int,
    *,
    echo: bool,
    broadcast: bool,
    interface: str,
) -> int:
    """Send each line that can be read from `source` as a datagram, and show what is answered.

    An answer is waited for `timeout` seconds, then twice as long after each of `retries` more
    sendings; of an `echo`, what is not the same as the question is none. 0 if all were answered;
    else 1, and a line on stderr for each that was not. To a broadcast address and to a group,
    reached by `interface`, each is sent once, and all who answer in time are shown; nobody need.
    """
    signal.signal(signal.SIGINT, end_at_once)
    several = broadcast or _is_multicast(host)
    lines = lost = 0
    with _socket(host, port, broadcast, interface) as sock:
        for line in _lines(source):
            lines += 1
            if several:
                _ask_all(sock, _look_up(host, port)[1], line, timeout)
            elif why := _ask(sock, line, timeout, retries, echo=echo):
                lost += 1
                sys.stderr.write(f"no answer to {line.decode('utf-8', 'replace')!r}: {why}\n")
    if lost:
        fail(f"{lost} of {lines} were not answered")
    return 0


def receive(host: str, port: int, count: int | None, interface: str) -> int:
    """Show datagrams to this port, with their senders: all, or so many.

    A group (224.0.0.0/4, ff00::/8) is joined on `interface`, where it is sent to others.
    """
    signal.signal(signal.SIGINT, end_at_once)
    family, address = _look_up(host, port)
    with _of(family, host) as sock:
        try:
            if _is_multicast(host):
                # Others on this machine may listen to the same group, each on its own socket.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                index = _index(host, interface)
                if family == socket.AF_INET6:
                    address = (*address[:3], index)  # ff02::/16 means nothing without
                _join(sock, host, index)
            sock.bind(address)
        except OSError as error:
            fail(f"cannot receive at {Address('udp', host, port)}: {_explain(error, interface)}")
        announce([Address("udp", host, sock.getsockname()[1])])
        left = count if count is not None else -1
        while left:
            _show(*sock.recvfrom(RECV_SIZE))
            left -= 1
    return 0


def _show(data: bytes, sender: Any = None) -> None:
    who = f"{sender[0]} {sender[1]}: ".encode() if sender is not None else b""
    show(who + Screen(terminal=os.isatty(STDOUT)).show(data) + b"\n")


# One who answers.


def _ask(sock: socket.socket, line: bytes, timeout: float, retries: int, *, echo: bool) -> str:
    """Send until there is an answer; why there was none."""
    with contextlib.suppress(ConnectionRefusedError):
        while _receive(sock, 0.0) is not None:
            pass  # it came too late for the last question, and is no answer to this one
    for attempt in range(retries + 1):
        try:
            sock.send(line)
            until = time.monotonic() + timeout * 2**attempt
            answer = _receive(sock, timeout * 2**attempt)
            while echo and answer not in (line, None):
                answer = _receive(sock, max(0.0, until - time.monotonic()))
        except ConnectionRefusedError:  # ICMP, port unreachable
            return "nobody is at that port"
        except OSError as error:
            fail(_explain(error))
        if answer is not None:
            _show(answer)
            return ""
    return f"lost on the way there or back, {retries + 1} times"


def _receive(sock: socket.socket, timeout: float) -> bytes | None:
    """The next datagram, or None after so long. Raises ConnectionRefusedError."""
    sock.settimeout(timeout)
    try:
        return sock.recv(RECV_SIZE)
    except (TimeoutError, BlockingIOError):
        return None


# Several who may.


def _ask_all(sock: socket.socket, to: Any, line: bytes, timeout: float) -> None:
    """Send once, and show who answers in time."""
    try:
        sock.sendto(line, to)
    except OSError as error:
        fail(_explain(error))
    until = time.monotonic() + timeout
    while (left := until - time.monotonic()) > 0:
        sock.settimeout(left)
        with contextlib.suppress(TimeoutError):
            _show(*sock.recvfrom(RECV_SIZE))


def _explain(error: OSError, interface: str = "") -> str:
    if error.errno == errno.EACCES:
        return "that is a broadcast address; --broadcast says that this is meant"
    if error.errno == errno.EMSGSIZE:
        return "too many bytes for a datagram: 65507 is the most over IPv4"
    if interface and (error.errno == errno.ENODEV or error.errno is None):
        return f"there is no interface {interface!r} here; ip link shows them"
    return error.strerror or str(error)


# Sockets.


def _socket(host: str, port: int, broadcast: bool, interface: str) -> socket.socket:
    """connect() sends nothing: it sets whom send() is for, and keeps what others send away."""
    family, address = _look_up(host, port)
    sock = _of(family, host)
    try:
        if broadcast:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        elif not _is_multicast(host):
            sock.connect(address)
        elif family == socket.AF_INET:
            index = _index(host, interface)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, _mreqn("0.0.0.0", index))
        else:
            request = struct.pack("@I", _index(host, interface))
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, request)
    except BaseException as error:
        sock.close()
        if not isinstance(error, OSError):
            raise
        fail(f"cannot send to {Address('udp', host, port)}: {_explain(error, interface)}")
    return sock


def _of(family: int, host: str) -> socket.socket:
    try:
        return socket.socket(family, socket.SOCK_DGRAM)
    except OSError as error:  # a kernel without IPv6
        fail(f"there is no way to {host} from this machine: {error.strerror}")


def _index(host: str, interface: str) -> int:
    """The number of the interface for a group. Raises OSError where there is none."""
    if ":" in host and interface == LOOPBACK:
        fail(f"{host} is a group of IPv6, and loopback carries none: --interface NAME")
    return socket.if_nametoindex(interface)


def _look_up(host: str, port: int) -> tuple[socket.AddressFamily, Any]:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    except OSError as error:
        fail(f"the name {host!r} is not known: {error.strerror}")
    return family, address


def _is_multicast(host: str) -> bool:
    try:
        return ip_address(host).is_multicast
    except ValueError:
        return False


def _mreqn(group: str, index: int) -> bytes:
    """struct ip_mreqn, ip(7): a group, no address, and the number of an interface."""
    return socket.inet_aton(group) + bytes(4) + struct.pack("@i", index)


def _join(sock: socket.socket, group: str, index: int) -> None:
    """IP_ADD_MEMBERSHIP, ip(7): from now on what is sent to the group comes here, too."""
    if sock.family == socket.AF_INET6:
        request = socket.inet_pton(socket.AF_INET6, group) + struct.pack("@I", index)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, _mreqn(group, index))


def _lines(source: int) -> Iterator[bytes]:
    """What can be read, by lines, each as soon as it is there."""
    rest = b""
    while data := os.read(source, RECV_SIZE):
        *lines, rest = (rest + data).split(b"\n")
        yield from lines
        if len(rest) > LARGEST:
            fail(f"a line of more than {LARGEST} bytes is too long for a datagram")
    if rest:
        yield rest
