"""Services that do what a test tells them."""

from __future__ import annotations

from typing import Any

from aionet.protocol import CLOSE, Answer, Echo


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
