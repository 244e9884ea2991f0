"""Test a service or a handler without sockets and without waiting: memory and a fake clock.

    with MemoryServer(Room()) as server:
        ann, bob = server.connect(), server.connect()
        ann.send(b"ann\\n")
        bob.send(b"bob\\n")
        ann.send(b"hello\\n")
        assert bob.received.endswith(b"[ann] hello\\n")
        ann.finish()
        assert ann.closed is CloseReason.EOF
        server.advance(310)  # 300 is the default, and noticed a little later
        assert bob.closed is CloseReason.IDLE

It is the code that serves real connections, limits and timeouts included; only the transport
and the clock are made up. Every call returns when all that it causes has happened.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, TypeVar

from aionet import throttle
from aionet.connection import Connection
from aionet.connections import Connections
from aionet.handlers import shell_of
from aionet.hooks import Hooks
from aionet.limits import CloseReason, Limits, Timeouts
from aionet.server import Serves
from aionet.stats import DrainReport, Stats

__all__ = ["MemoryServer", "Peer"]

T = TypeVar("T")

MANY = 1_000_000  # connections, where no limit is given
REST_S = 10.0


class _FakeClockLoop(asyncio.SelectorEventLoop):
    """A loop whose time stands still until it is moved."""

    def __init__(self) -> None:
        self._now = 0.0
        self._due: list[float] = []  # a heap of when timers ring
        self._busy = False
        super().__init__()

    def time(self) -> float:
        return self._now

    def call_at(  # type: ignore[override]
        self, when: float, *args: Any, **kwargs: Any
    ) -> asyncio.TimerHandle:
        heapq.heappush(self._due, when)
        return super().call_at(when, *args, **kwargs)

    def call_soon(  # type: ignore[override]
        self, *args: Any, **kwargs: Any
    ) -> asyncio.Handle:
        self._busy = True
        return super().call_soon(*args, **kwargs)

    def settle(self) -> None:
        """Turn until nothing is left to be done at this time.

        Raises RuntimeError if there always is.
        """
        self._busy = True
        began = time.monotonic()
        while self._busy:
            if time.monotonic() - began > REST_S:
                raise RuntimeError(
                    f"it has not come to rest in {REST_S:g} s: does a handler send for ever to a "
                    "peer that reads? See connect(reads=False)"
                )
            self._busy = False
            super().call_soon(self.stop)
            self.run_forever()

    def advance(self, seconds: float) -> None:
        until = self._now + seconds
        while self._due and self._due[0] <= until:
            self._now = max(self._now, heapq.heappop(self._due))
            self.settle()
        self._now = until
        self.settle()

    def complete(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`; time moves from timer to timer while it waits."""
        task = self.create_task(work)
        self.settle()
        while not task.done():
            if not self._due:
                raise RuntimeError("it waits for something that never happens here")
            self.advance(max(0.0, self._due[0] - self._now))
        return task.result()


class Peer:
    """The far end of a connection in memory.

    received: all the bytes it has read so far. at_eof: the server has finished sending.
    was_reset: the server has reset it. closed: why, once the connection has ended.
    """

    def __init__(self, server: MemoryServer, address: tuple[str, int], reads: bool) -> None:
        self._server = server
        self._reads = reads
        self.received = b""
        self.at_eof = False
        self.was_reset = False
        self._transport = _MemoryTransport(server._loop, self, address)
        self._connection = server._new_connection()
        self._transport.set_protocol(self._connection)
        self._connection.connection_made(self._transport)

    @property
    def closed(self) -> CloseReason | None:
        return self._connection.reason if self._transport.lost else None

    def send(self, data: bytes) -> None:
        """Send `data` in one piece."""
        self._transport.arrive(data)
        self._server._loop.settle()

    def finish(self) -> None:
        """Finish sending, and go on reading."""
        self._transport.arrive(b"")
        self._server._loop.settle()

    def reset(self) -> None:
        self._transport.break_off(ConnectionResetError("reset by the peer"))
        self._server._loop.settle()

    def take(self) -> bytes:
        """What was received since this was last called."""
        data, self.received = self.received, b""
        return data

    def stop_reading(self) -> None:
        """Read nothing more, so that what is sent piles up at the server."""
        self._reads = False

    def start_reading(self) -> None:
        self._reads = True
        self._transport.push()
        self._server._loop.settle()


class MemoryServer:
    """A server in memory, as a context manager. Time is in seconds, from 0 on."""

    def __init__(
        self,
        service: Serves,
        *,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        hooks: Hooks | None = None,
        cancel_on_close: bool = True,
    ) -> None:
        served, self._kind = shell_of(service, cancel=cancel_on_close)
        self._loop = _FakeClockLoop()
        limits = limits or Limits()
        self._timeouts = timeouts or Timeouts()
        self._report: DrainReport | None = None
        self._connections = Connections(
            self._loop,
            served,
            limits,
            self._timeouts,
            limit=limits.connections or MANY,
            hooks=hooks,
        )

    def __enter__(self) -> MemoryServer:
        asyncio.set_event_loop(None)
        throttle.forget()  # what another test was told is no reason to leave it out in this one
        self._connections.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.drain(0)
        self._loop.close()

    def _new_connection(self) -> Connection:
        return self._kind(self._connections.hub)

    @property
    def now(self) -> float:
        return self._loop.time()

    @property
    def stats(self) -> Stats:
        return self._connections.stats()

    def connect(
        self, address: tuple[str, int] = ("192.0.2.1", 40000), *, reads: bool = True
    ) -> Peer:
        """A new connection from `address`. reads: from the start; else see `start_reading`."""
        peer = Peer(self, address, reads)
        self._loop.settle()
        return peer

    def advance(self, seconds: float) -> None:
        """Let time pass: all timers that are due ring, in order."""
        self._loop.advance(seconds)

    def drain(self, timeout: float | None = None) -> DrainReport:
        """Stop as a real server does; time passes while it waits for its peers."""
        if self._report is None:
            self._connections.gate.close()
            limit = self._timeouts.drain if timeout is None else timeout
            self._report = self._loop.complete(self._connections.drain(limit))
        return self._report


class _MemoryTransport(asyncio.Transport):
    """What a loop's transport does, without a socket. It takes whatever its peer reads."""

    def __init__(self, loop: _FakeClockLoop, peer: Peer, address: tuple[str, int]) -> None:
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
            self._peer.received += bytes(self._buffer)
            self._buffer.clear()
            self._peer.at_eof |= self._eof
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
