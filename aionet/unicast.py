"""Unicast only: a UDP socket that broadcasts and multicasts never reach."""

from __future__ import annotations

import array
import contextlib
import fcntl
import ipaddress
import socket
import struct
from collections.abc import Iterable

# linux/in.h and linux/in6.h; the socket module has no names for them.
_IP_MULTICAST_ALL = 49
_IPV6_MULTICAST_ALL = 29

# The instructions of linux/bpf_common.h that are used here.
_LOAD_WORD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_LOAD_BYTE = 0x30  # BPF_LD | BPF_B | BPF_ABS
_AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
_IF_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K: how many bytes to keep, 0 drops the packet

# linux/filter.h: a UDP socket's filter sees the packet from its UDP header on, and reaches the
# rest by offsets from these.
_PACKET_TYPE = 2**32 - 0x1000 + 4  # SKF_AD_OFF + SKF_AD_PKTTYPE
_IP_HEADER = 2**32 - 0x100000  # SKF_NET_OFF
# linux/if_packet.h. The last one is a copy, for this machine, of a broadcast or a multicast
# that it sends itself.
_BROADCAST, _MULTICAST, _LOOPBACK = 1, 2, 5

_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
_SIOCGIFADDR, _SIOCGIFBRDADDR = 0x8915, 0x8919  # netdevice(7)
# The kernel charges the program to net.core.optmem_max, 20 KiB on older kernels.
_MAX_ADDRESSES = 256

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand


def answer_unicast_only(sock: socket.socket) -> None:
    """Keep from a UDP socket, best before it is bound, what is sent to more than one machine.

    An answer to a broadcast goes to whom its source address names, once from every machine
    that heard it: that makes an amplifier. The kernel drops them, so it costs nothing here.
    An interface's own broadcast address is looked up now; one that an interface gets later
    is known by its frames, which are broadcast too. Where the kernel has no such option or
    filter, the socket stays as it was.
    """
    # ip(7): by default a socket bound to a wildcard gets every group that anybody on the
    # machine joined. An IPv6 socket has the IPv4 option too, for what is mapped.
    for level, option in (
        (socket.IPPROTO_IP, _IP_MULTICAST_ALL),
        (socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL),
    ):
        with contextlib.suppress(OSError):
            sock.setsockopt(level, option, 0)
    program = array.array("B", _filter(_broadcast_addresses()))
    address, length = program.buffer_info()
    with contextlib.suppress(OSError):
        # struct sock_fprog. The kernel copies the program, so it may go afterwards.
        fprog = struct.pack("HP", length // 8, address)
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)


def _filter(broadcast_addresses: Iterable[int]) -> bytes:
    """A classic BPF program, for IPv4 and IPv6: a dual-stack socket gets packets of both."""
    program: list[Instruction] = [
        (_LOAD_BYTE, 0, 0, _PACKET_TYPE),
        *_drop_if(_BROADCAST),
        *_drop_if(_MULTICAST),
        *_drop_if(_LOOPBACK),
        # The packet type is the link layer's word: on a tunnel, or on the loopback
        # interface, a broadcast comes as if it were for this machine alone. So look at where
        # it is sent as well. The version comes first in either header.
        (_LOAD_BYTE, 0, 0, _IP_HEADER),
        (_AND, 0, 0, 0xF0),
        (_IF_EQUAL, 0, 4, 0x60),  # or else past the four of IPv6
        (_LOAD_BYTE, 0, 0, _IP_HEADER + 24),
        *_drop_if(0xFF),  # ff00::/8
        (_RETURN, 0, 0, 2**32 - 1),
        (_LOAD_WORD, 0, 0, _IP_HEADER + 16),
    ]
    for address in broadcast_addresses:
        program += _drop_if(address)
    program += [
        (_AND, 0, 0, 0xF0000000),
        *_drop_if(0xE0000000),  # 224.0.0.0/4
        (_RETURN, 0, 0, 2**32 - 1),
    ]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in program)


def _drop_if(value: int) -> list[Instruction]:
    # A jump reaches 255 instructions; one that goes over the next one never needs to.
    return [(_IF_EQUAL, 0, 1, value), (_RETURN, 0, 0, 0)]


def _broadcast_addresses() -> list[int]:
    own: set[int] = set()
    broadcast = {0xFFFFFFFF, int(ipaddress.ip_address("127.255.255.255"))}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, name in socket.if_nameindex():
            for request, found in ((_SIOCGIFADDR, own), (_SIOCGIFBRDADDR, broadcast)):
                with contextlib.suppress(OSError):  # it has no IPv4 address
                    # struct ifreq: the name, then a sockaddr_in with the address at its 4.
                    ifreq = fcntl.ioctl(sock, request, struct.pack("16s24x", name.encode()))
                    found.add(int.from_bytes(ifreq[20:24], "big"))
    # Some clouds give a machine a /32, whose broadcast address is its own.
    return sorted(broadcast - own - {0}, reverse=True)[:_MAX_ADDRESSES]
