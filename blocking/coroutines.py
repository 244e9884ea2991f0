"""An event loop of one's own, on epoll, and coroutines: what asyncio is, in a page.

A server on readiness turns its program inside out: instead of "read, answer, read again" there is a
table of half-done conversations. Coroutines turn it back. Each connection is served by a function
that reads from top to bottom, as in `sequential`; where that would block, here it says what it
waits for (`await`), and the loop goes on with somebody else until the poller says that it can.

An `await` ends at the one `yield` below. What stands there goes to the loop: a descriptor and the
events that this coroutine waits for. asyncio has futures at this place, and callbacks in the place
of our table; its streams, locks and timeouts are made of nothing else (PEP 492, PEP 3156).
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import socket
import time
import types
from collections import deque
from collections.abc import Coroutine, Generator
from typing import Any

from aionet.core import Hub, State, Todo
from aionet.descriptors import descriptor_room, warn_cannot_accept
from aionet.limits import Limits, Timeouts
from aionet.protocol import Service
from aionet.sockets import ACCEPT_RETRY_S, RECV_SIZE, AcceptPaused, accept
from blocking.connection import Connection
from blocking.on_epoll import Poller
from blocking.poller import IN, OUT
from blocking.wakeup import Wakeup

__all__ = ["Loop", "StreamServer"]

Task = Coroutine[Any, Any, None]

NOBODY = -1
STILL_S = 0.1  # between two looks at who is not to be read from


@types.coroutine
def _pause(fd: int, what: float) -> Generator[tuple[int, float], None, None]:
    """Until there are events `what` on `fd`; where that is NOBODY, for `what` seconds."""
    yield fd, what


class Loop:
    """Runs coroutines, each until it waits for something.

    A descriptor is waited for by one task for reading and one for writing.
    """

    def __init__(self) -> None:
        self._poller = Poller()
        self._ready: deque[Task] = deque()
        self._waiting: dict[int, dict[float, Task]] = {}  # by descriptor, and by IN or OUT
        self._sleeping: list[tuple[float, int, Task]] = []  # a heap
        self._number = itertools.count()  # so that tasks are never compared

    def spawn(self, task: Task) -> None:
        """Have `task` run beside the others."""
        self._ready.append(task)

    def run(self) -> None:
        """Until no task is left."""
        while self._ready or self._waiting or self._sleeping:
            for _ in range(len(self._ready)):
                self._step(self._ready.popleft())
            for fd, events in self._poller.poll(self._timeout()):
                tasks = self._waiting[fd]
                # A hang-up is for both: the next call says what has happened.
                for kind in [each for each in tasks if events & int(each) or not events & (IN | OUT)]:
                    self._ready.append(tasks.pop(kind))
                self._watch(fd, tasks)
            now = time.monotonic()
            while self._sleeping and self._sleeping[0][0] <= now:
                self._ready.append(heapq.heappop(self._sleeping)[2])
        self._poller.close()

    def _timeout(self) -> float | None:
        if self._ready:
            return 0.0
        if not self._sleeping:
            return None
        return max(0.0, self._sleeping[0][0] - time.monotonic())

    def _step(self, task: Task) -> None:
        """Let it run to where it waits next."""
        try:
            fd, what = task.send(None)
        except StopIteration:
            return
        if fd == NOBODY:
            due = time.monotonic() + what
            heapq.heappush(self._sleeping, (due, next(self._number), task))
        else:
            self._watch(fd, {**self._waiting.get(fd, {}), what: task})

    def _watch(self, fd: int, tasks: dict[float, Task]) -> None:
        """Ask the poller for what these tasks wait for."""
        if not tasks:
            self._poller.unregister(fd)
            del self._waiting[fd]
        elif fd in self._waiting:
            self._poller.modify(fd, int(sum(tasks)))
            self._waiting[fd] = tasks
        else:
            self._poller.register(fd, int(sum(tasks)))
            self._waiting[fd] = tasks

    def forget(self, fd: int) -> None:
        """It is about to be closed: wake who waits for it."""
        if tasks := self._waiting.get(fd):
            self._ready.extend(tasks.values())
            self._watch(fd, {})

    # What may be awaited.

    async def readable(self, fd: int) -> None:
        await _pause(fd, IN)

    async def recv(self, sock: socket.socket, size: int) -> bytes:
        """Raises OSError, as socket.recv()."""
        while True:
            try:
                return sock.recv(size)
            except BlockingIOError:
                await _pause(sock.fileno(), IN)

    async def sendall(self, sock: socket.socket, data: bytes) -> None:
        """Raises OSError, as socket.sendall()."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[sock.send(rest) :]
            except BlockingIOError:
                await _pause(sock.fileno(), OUT)

    async def sleep(self, seconds: float) -> None:
        await _pause(NOBODY, seconds)


class StreamServer:
    """Serves `service` on a listening TCP socket, each connection in a coroutine of its own."""

    def __init__(
        self, listener: socket.socket, service: Service, limits: Limits, timeouts: Timeouts
    ) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._loop = Loop()
        self._wakeup = Wakeup()
        self._accepting = True
        self._sending: set[Connection] = set()
        self._draining = self._aborted = False
        places = limits.connections or descriptor_room()
        self._hub = Hub(service, limits, timeouts, self, places=places, now=time.monotonic())

    def serve_forever(self) -> None:
        """Serve until `drain` is called and every peer is gone."""
        with self._listener, contextlib.closing(self._wakeup):
            for task in (self._accept(), self._tick(), self._stop()):
                self._loop.spawn(task)
            self._loop.run()

    # What coroutines do.

    async def _accept(self) -> None:
        while not self._draining:
            try:
                while self._accepting:
                    self._begin(accept(self._listener))
            except BlockingIOError:
                await self._loop.readable(self._listener.fileno())
                continue
            except AcceptPaused as error:
                warn_cannot_accept("%s; trying again in %g s", error, ACCEPT_RETRY_S)
            await self._loop.sleep(ACCEPT_RETRY_S)

    def _begin(self, sock: socket.socket) -> None:
        conn = Connection(self._hub, sock)
        sock.setblocking(False)
        self._hub.admit(conn)
        self._loop.spawn(self._serve(conn))

    async def _serve(self, conn: Connection) -> None:
        """Serve one connection to its end."""
        hub, loop, sock = self._hub, self._loop, conn.sock
        await self._see_to(conn)
        while conn.state is not State.GONE:
            try:
                if not conn.reads:
                    await loop.sleep(STILL_S)
                elif not (data := await loop.recv(sock, RECV_SIZE)):
                    hub.receive_eof(conn)
                elif out := hub.receive_data(conn, data):
                    conn.buffer += out
            except OSError as error:  # a reset ends its own conversation and nothing else
                hub.lost(conn, error)
            if conn.buffer or conn.dirty:
                await self._see_to(conn)
            if hub.dirty:
                self._see_to_others()
        loop.forget(sock.fileno())
        sock.close()

    async def _see_to(self, conn: Connection) -> None:
        """Send what there is, and do what is to be done; for one coroutine at a time."""
        if conn in self._sending:  # it will see what has come meanwhile
            return
        self._sending.add(conn)
        hub = self._hub
        while conn.buffer or conn.dirty:
            data, conn.buffer = conn.buffer, b""
            if not data:
                conn.dirty = False
                data = hub.take(conn)
            try:
                if data:
                    await self._loop.sendall(conn.sock, data)
                    hub.sent(conn, 0)
            except OSError as error:
                hub.lost(conn, error)
            if (todo := conn.todo) is not None and not conn.buffer and not conn.outbox:
                conn.todo = None
                conn.do(todo)
                if todo is Todo.CLOSE:
                    hub.lost(conn, None)
        self._sending.discard(conn)

    def _see_to_others(self) -> None:
        dirty, self._hub.dirty = self._hub.dirty, []
        for peer in dirty:
            self._loop.spawn(self._see_to(peer))

    async def _tick(self) -> None:
        while not self._hub.draining or self._hub.open:
            delay = self._hub.tick(time.monotonic())
            self._see_to_others()
            await self._loop.sleep(delay)
        self._loop.forget(self._wakeup.fileno())

    async def _stop(self) -> None:
        hub = self._hub
        while not hub.draining or hub.open:
            await self._loop.readable(self._wakeup.fileno())
            self._wakeup.clear()
            if self._draining and not hub.draining:
                with contextlib.suppress(BlockingIOError, AcceptPaused):
                    while True:  # who was connected before
                        self._begin(accept(self._listener))
                self._loop.forget(self._listener.fileno())
                self._listener.close()
                hub.drain()
            if self._aborted:
                hub.end()
            self._see_to_others()

    # What the hub wants, and the end.

    def wake(self) -> None:
        """As Shell.wake: who called the hub sees to it."""

    def accept(self, more: bool) -> None:
        """As Shell.accept."""
        self._accepting = more

    def drain(self) -> None:
        """Accept no more, and treat every peer as having finished sending.

        May be called by a signal handler, in the midst of everything else.
        """
        self._draining = True
        self._wakeup.set()

    def abort(self) -> None:
        """Reset every peer, whatever is pending. May be called as `drain`."""
        self._aborted = True
        self._wakeup.set()
