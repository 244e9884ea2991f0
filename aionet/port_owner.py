"""Who has the port that we want: read from /proc, as `ss -p` does."""

from __future__ import annotations

import os
from pathlib import Path

from aionet.address import Address

_TCP_LISTEN = "0A"  # TCP_LISTEN in include/net/tcp_states.h


def port_owner(address: Address) -> str | None:
    """`"nginx (process 4711)"`, or None where that cannot be known."""
    for inode in _inodes(address):
        for process in Path("/proc").glob("[0-9]*"):
            try:
                links = [os.readlink(entry) for entry in (process / "fd").iterdir()]
                if f"socket:[{inode}]" in links:
                    return f"{(process / 'comm').read_text().strip()} (process {process.name})"
            except OSError:  # not ours to look at, or gone
                continue
    return None


def _inodes(address: Address) -> list[str]:
    found = []
    for suffix in ("", "6"):
        try:
            rows = Path(f"/proc/net/{address.scheme}{suffix}").read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:  # proc(5): local_address is the second column, inode the tenth
            columns = row.split()
            port = int(columns[1].rpartition(":")[2], 16)
            listening = address.scheme == "udp" or columns[3] == _TCP_LISTEN
            if port == address.port and listening:
                found.append(columns[9])
    return found
