"""Who is counted as one."""

from __future__ import annotations

import ipaddress
from typing import Any


def source_of(address: Any) -> str | None:
    """Who is counted as one: an IPv4 address, or the /64 of an IPv6 one; None on Unix sockets.

    `address` is a socket's peer name. An IPv4 address inside an IPv6 one is that address.
    """
    if not isinstance(address, tuple):
        return None
    host = str(address[0])
    if ":" not in host:
        return host
    six = ipaddress.IPv6Address(host.partition("%")[0])
    if six.ipv4_mapped is not None:
        return str(six.ipv4_mapped)
    return six.exploded[:19]
