"""A transport without a socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aionet.testing.clock import ClockLoop

if TYPE_CHECKING:
    from aionet.testing.peer import Peer


class MemoryTransport(asyncio.Transport):
    """What a loop's transport does, without a socket. It takes whatever its peer reads."""

    def __init__(self, loop: ClockLoop, peer: Peer, address: tuple[str, int]) -> None:
        super().__init__({"peername": address, "sockname": ("192.0.2.0", 7)})
        self._loop = loop
        self._peer = peer
        self._arrived: list[bytes] = []  # not read yet; b"" is the end
        self._buffer = bytearray()
        self._high = 64 * 1024
        self._reading = True
        self._paused = False
        self._eof = False
        self._closing = False
        self.lost = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol: Any = protocol

    # The peer's side.

    def arrive(self, data: bytes) -> None:
        self._arrived.append(data)
        self._read()

    def push(self) -> None:
        """Hand over what is buffered, should the peer read."""
        if self._peer._reads:
            data = bytes(self._buffer)
            self._buffer.clear()
            self._peer.read(data, at_eof=self._eof)
        if self._buffer:
            if len(self._buffer) > self._high and not self._paused:
                self._paused = True
                self._protocol.pause_writing()
        elif self._closing:
            self.break_off(None)
        elif self._paused:
            self._paused = False
            self._protocol.resume_writing()

    def break_off(self, error: Exception | None) -> None:
        if not self.lost:
            self.lost = self._closing = True
            self._buffer.clear()
            self._loop.call_soon(self._protocol.connection_lost, error)

    # The server's side.

    def _read(self) -> None:
        while self._arrived and self._reading and not self._closing:
            data = self._arrived.pop(0)
            if data:
                self._protocol.data_received(data)
            elif not self._protocol.eof_received():
                self.close()

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self._loop.call_soon(self._read)

    def is_reading(self) -> bool:
        return self._reading

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = self._high if high is None else high

    def get_write_buffer_size(self) -> int:
        return len(self._buffer)

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if not self._closing and not self._eof:
            self._buffer += data
            self.push()

    def write_eof(self) -> None:
        self._eof = True
        self.push()

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = self._eof = True
            self.push()

    def abort(self) -> None:
        self._peer.was_reset = True
        self.break_off(None)
