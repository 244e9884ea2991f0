"""The PROXY protocol: a balancer says, before all else, for whom it connects.

HAProxy's proxy-protocol.txt, versions 1 (a line of text) and 2 (binary).
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any, NamedTuple

LONGEST_LINE = 107  # bytes of a header of version 1, with its line end (section 2.1)
LONGEST = 4096  # bytes that version 2 may have beyond its fixed part; 216 without extensions
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED = 16  # bytes: signature, version and command, family, length
_V2 = {0x11: (socket.AF_INET, 4), 0x21: (socket.AF_INET6, 16)}  # TCP over IPv4, over IPv6
_LOCAL, _PROXY = 0x20, 0x21


class ProxyHeaderError(ValueError):
    """What came is no header of the PROXY protocol."""


class ProxyHeader(NamedTuple):
    """source: as a socket gives it, or None for a connection of the proxy's own, such as a health
    check, and where it cannot say. size: bytes of the header; what follows is the client's.
    """

    source: tuple[Any, ...] | None
    size: int


def parse(data: bytes) -> ProxyHeader | None:
    """The header at the beginning of `data`; None if it is not whole yet.

    Raises ProxyHeaderError as soon as it cannot become one.
    """
    if data.startswith(_SIGNATURE[: len(data)]) and data[:1] != b"P":
        return _parse_binary(data) if len(data) >= _FIXED else None
    if data.startswith(b"PROXY "[: len(data)]):
        return _parse_line(data)
    raise ProxyHeaderError(f"it begins with {data[:8]!r}")


def _parse_line(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, LONGEST_LINE)
    if end < 0:
        if len(data) >= LONGEST_LINE:
            raise ProxyHeaderError(f"there is no line end within {LONGEST_LINE} bytes")
        return None
    words = data[:end].split(b" ")
    size = end + 2
    if words[1] == b"UNKNOWN":
        return ProxyHeader(None, size)
    try:
        _, family, source, destination, port, other_port = (word.decode("ascii") for word in words)
        kind = {"TCP4": ipaddress.IPv4Address, "TCP6": ipaddress.IPv6Address}[family]
        host, _ = str(kind(source)), kind(destination)
        number, _ = _port(port), _port(other_port)
    except (ValueError, KeyError):
        raise ProxyHeaderError(f"it is {data[:end]!r}") from None
    return ProxyHeader(_name(family == "TCP6", host, number), size)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 65536 and str(int(text)) == text):
        raise ValueError(text)
    return int(text)


def _parse_binary(data: bytes) -> ProxyHeader | None:
    command, family = data[12], data[13]
    length = int.from_bytes(data[14:_FIXED], "big")
    if command not in (_LOCAL, _PROXY):
        raise ProxyHeaderError(f"its version and command are {command:#04x}")
    if length > LONGEST:
        raise ProxyHeaderError(f"it says that it has {length} bytes")
    size = _FIXED + length
    if command == _LOCAL or family not in _V2:  # datagrams and unix sockets say nothing of use here
        return ProxyHeader(None, size) if len(data) >= size else None
    kind, width = _V2[family]
    if length < 2 * width + 4:
        raise ProxyHeaderError(f"{length} bytes are too few for its addresses")
    if len(data) < size:
        return None
    host = socket.inet_ntop(kind, data[_FIXED : _FIXED + width])
    port = int.from_bytes(data[_FIXED + 2 * width : _FIXED + 2 * width + 2], "big")
    return ProxyHeader(_name(kind == socket.AF_INET6, host, port), size)


def _name(is_six: bool, host: str, port: int) -> tuple[Any, ...]:
    return (host, port, 0, 0) if is_six else (host, port)


class Trusted:
    """Who may say for whom it connects: addresses, networks, and `unix`.

    Raises ValueError for what is none of these.
    """

    def __init__(self, sources: tuple[str, ...]) -> None:
        if not isinstance(sources, tuple | list):
            raise ValueError(f"proxies is {sources!r}; it must be such as ('10.0.0.0/8',)")
        self._unix = "unix" in sources
        self._networks = []
        for source in sources:
            if source != "unix":
                try:
                    self._networks.append(ipaddress.ip_network(source))
                except ValueError as error:
                    raise ValueError(f"proxies has {source!r}: {error}") from None

    def __contains__(self, address: Any) -> bool:
        """Whether `address`, as a socket gives it, is one of them."""
        if not isinstance(address, tuple):
            return self._unix
        host = ipaddress.ip_address(str(address[0]).partition("%")[0])
        host = getattr(host, "ipv4_mapped", None) or host
        return any(host in network for network in self._networks)
