"""A UDP socket in memory."""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from typing import Any

from aionet.testing.clock import InMemory

LARGEST = 65507  # bytes of a datagram over IPv4


class MemorySocket(InMemory):
    """What a DatagramEndpoint needs of one. sent: datagrams, each with its destination."""

    family = socket.AF_INET
    type = socket.SOCK_DGRAM

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Any]] = []
        self._arrived: deque[tuple[bytes, Any]] = deque()
        self._open = True

    def arrive(self, data: bytes, sender: Any) -> None:
        self._arrived.append((data, sender))

    def getsockname(self) -> tuple[str, int]:
        return ("192.0.2.0", 7)

    def recvfrom(self, size: int) -> tuple[bytes, Any]:
        if not self._arrived:
            raise BlockingIOError
        data, sender = self._arrived.popleft()
        return data[:size], sender

    def sendto(self, data: bytes, peer: Any) -> int:
        if len(data) > LARGEST:
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
        self.sent.append((bytes(data), peer))
        return len(data)

    def fileno(self) -> int:
        return 0 if self._open else -1

    def getsockopt(self, level: int, option: int, size: int = 0) -> Any:
        return bytes(size) if size else 64 * 1024

    def close(self) -> None:
        self._open = False
