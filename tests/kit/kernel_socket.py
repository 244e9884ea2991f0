"""A TCP connection as the kernel tells it; proc(5)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class KernelSocket(NamedTuple):
    """One end of a TCP connection as the kernel tells it, whoever has it, if anybody has."""

    state: str
    unacknowledged: int  # bytes
    unread: int
    inode: int


def kernel_socket(local: int, remote: int) -> KernelSocket | None:
    """The end at port `local` of the IPv4 connection with port `remote` on this machine."""
    here, there = f":{local:04X} ", f":{remote:04X} "
    for _ in range(3):  # the table may change while it is read, and a row be left out
        for line in Path("/proc/net/tcp").read_text().splitlines():
            if here in line and there in line:
                _, left, right, state, queues, _, _, _, _, inode, *_ = line.split()
                if f"{left} ".endswith(here) and f"{right} ".endswith(there):
                    unacknowledged, unread = (int(queue, 16) for queue in queues.split(":"))
                    return KernelSocket(state, unacknowledged, unread, int(inode))
    return None
