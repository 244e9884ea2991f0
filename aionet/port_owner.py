"""Who has the port that we want: read from /proc, as `ss -p` does."""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path

from aionet.address import Address

_TCP_LISTEN = "0A"  # TCP_LISTEN in include/net/tcp_states.h
_UNIX_LISTEN = "00010000"  # SO_ACCEPTCON in linux/net.h, among the flags


def port_owner(address: Address) -> str | None:
    """`"nginx (process 4711)"`, or None where that cannot be known."""
    for inode in _inodes(address):
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if any(_is_socket(entry, inode) for entry in (process / "fd").iterdir()):
                    name = (process / "comm").read_bytes().decode(errors="replace").strip()
                    return f"{name} (process {process.name})"
            except OSError:  # not ours to look at, or gone
                continue
    return None


def _is_socket(descriptor: Path, inode: str) -> bool:
    try:
        return os.readlink(descriptor) == f"socket:[{inode}]"
    except FileNotFoundError:  # closed since; the process may have the socket all the same
        return False


def _inodes(address: Address) -> list[str]:
    if address.scheme == "unix":
        # proc(5): flags are the fourth column, the inode the seventh; a path may have spaces.
        table = [row.split(maxsplit=7) for row in _rows("unix")]
        return [
            columns[6]
            for columns in table
            if columns[3] == _UNIX_LISTEN and columns[7:] == [address.path]
        ]
    # proc(5): local_address is the second column, inode the tenth. A dual-stack socket has its
    # row in the second file alone.
    table = [row.split() for suffix in ("", "6") for row in _rows(f"{address.scheme}{suffix}")]
    return [
        columns[9]
        for columns in table
        if (address.scheme == "udp" or columns[3] == _TCP_LISTEN)
        and _is_in_the_way(columns[1], address)
    ]


def _is_in_the_way(local_address: str, address: Address) -> bool:
    host, _, port = local_address.partition(":")
    if int(port, 16) != address.port:
        return False
    try:
        wanted = ipaddress.ip_address(address.host.partition("%")[0])
    except ValueError:  # a name, or every interface
        return True
    # Words of 32 bits, each as a number of this machine.
    words = (int(host[start : start + 8], 16) for start in range(0, len(host), 8))
    bound = ipaddress.ip_address(b"".join(word.to_bytes(4, sys.byteorder) for word in words))
    return bound == wanted or bound.is_unspecified or wanted.is_unspecified


def _rows(name: str) -> list[str]:
    try:
        text = Path(f"/proc/net/{name}").read_text(errors="surrogateescape")
    except OSError:
        return []
    return [row for row in text.split("\n")[1:] if row]
