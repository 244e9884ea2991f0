"""A TCP connection as the kernel tells it; sock_diag(7)."""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import NamedTuple

_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, _NLMSG_ERROR = 4, 20, 1, 2
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port id: netlink(7)
_SOCKET_ID = "4s12x4s12xI8s"  # after the ports; no interface, and any cookie
_REQUEST = struct.Struct("=BBBxI2s2s" + _SOCKET_ID)  # struct inet_diag_req_v2
_MESSAGE = struct.Struct("=xB2x48x5I")  # struct inet_diag_msg, without its socket id
_LOCALHOST = socket.inet_aton("127.0.0.1")
_LISTEN = 10  # include/net/tcp_states.h


class KernelSocket(NamedTuple):
    """One end of a TCP connection as the kernel tells it, whoever has it, if anybody has."""

    state: int
    unacknowledged: int  # bytes
    unread: int
    inode: int


def kernel_socket(local: int, remote: int) -> KernelSocket | None:
    """The end at port `local` of the connection with port `remote`, both of 127.0.0.1.

    It is asked for alone: to read the table of all takes long where there are many.
    """
    ports = local.to_bytes(2, "big"), remote.to_bytes(2, "big")
    where = (*ports, _LOCALHOST, _LOCALHOST, 0, b"\xff" * 8)
    request = _REQUEST.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, 0xFFFFFFFF, *where)
    length = _HEADER.size + len(request)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as sock:
        sock.send(_HEADER.pack(length, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0) + request)
        answer = sock.recv(4096)
    _, kind, *_ = _HEADER.unpack_from(answer)
    if kind == _NLMSG_ERROR:
        (error,) = struct.unpack_from("=i", answer, _HEADER.size)
        assert error == -errno.ENOENT, f"sock_diag says {os.strerror(-error)}"
        return None
    state, _, unread, unacknowledged, _, inode = _MESSAGE.unpack_from(answer, _HEADER.size)
    # Of a connection that is gone the kernel tells who listens at its port.
    return None if state == _LISTEN else KernelSocket(state, unacknowledged, unread, inode)
