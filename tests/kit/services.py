"""Services that do what a test tells them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aionet.protocol import CLOSE, Answer, Echo, Service

PIECE = 4096
FAREWELL = b"".join(b"%08d" % number * (PIECE // 8) for number in range(1000))  # 4 MB


class Commands(Echo):
    """Does what it is told, to show what a shell makes of it."""

    def __init__(self) -> None:
        self.peers: list[Any] = []
        self.ended: list[Any] = []

    def connect(self, peer: Any) -> Answer:
        self.peers.append(peer)
        return None

    def receive_data(self, peer: Any, data: bytes) -> Answer:
        if data == b"fail":
            raise LookupError("as told")
        if data == b"flood":
            return [(each, bytes(1 << 20)) for each in self.peers if each is not peer]
        if data == b"flood me":
            return [(peer, bytes(1 << 20))] * 16
        if data == b"quit":
            return [(peer, b"bye"), (peer, CLOSE), (peer, b"never said")]
        return [(peer, data)]

    def receive_eof(self, peer: Any) -> Answer:
        self.ended.append(peer)
        return [(peer, CLOSE)]


class Noting(Echo):
    """An echo that notes what it is told, and quits when asked to."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def connect(self, peer: Any) -> Answer:
        self.calls.append("connect")
        return None

    def receive_data(self, peer: Any, data: bytes) -> Answer:
        self.calls.append(data)
        if data == b"quit":
            return [(peer, b"bye"), (peer, CLOSE)]
        return [(peer, data)]

    def receive_eof(self, peer: Any) -> Answer:
        self.calls.append("eof")
        return [(peer, CLOSE)]


class Parting(Service):
    """Gives whoever says so, or has said nothing and finishes, all of FAREWELL, and closes."""

    def __init__(self) -> None:
        self.left: set[Any] = set()

    def receive_data(self, peer: Any, data: bytes) -> Answer:
        self.left.add(peer)
        return self._part(peer)

    def receive_eof(self, peer: Any) -> Answer:
        return CLOSE if peer in self.left else self._part(peer)

    def _part(self, peer: Any) -> Iterator[tuple[Any, Any]]:
        for start in range(0, len(FAREWELL), PIECE):
            yield peer, FAREWELL[start : start + PIECE]
        yield peer, CLOSE
