"""An event loop of one's own, on epoll, and coroutines: what asyncio is, in a page.

A server on readiness turns its program inside out: instead of "read, answer, read again" there is a
table of half-done conversations. Coroutines turn it back. Each connection is served by a function
that reads from top to bottom, as in `sequential`; where that would block, here it says what it
waits for (`await`), and the loop goes on with somebody else until the poller says that it can.

An `await` ends at the one `yield` below. What is yielded there goes to the loop: a function that
puts the coroutine where it will be found when it can go on. asyncio has futures at this place, and
callbacks in the place of our tables; its streams, locks and timeouts are made of nothing else
(PEP 492, PEP 3156).
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import socket
import time
import types
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from aionet.core import State, Todo, hub_class
from aionet.descriptors import descriptor_room, warn_cannot_accept
from aionet.limits import Limits, Timeouts
from aionet.protocol import Service
from aionet.sockets import (
    ACCEPT_RETRY_S,
    BURST,
    RECV_SIZE,
    AcceptPaused,
    accept,
    waiting_to_be_accepted,
)
from aionet.throttle import throttled
from blocking.connection import Connection
from blocking.on_epoll import Poller
from blocking.poller import ERR, HUP, IN, OUT
from blocking.wakeup import Wakeup

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = ["Loop", "StreamServer"]

Task = Coroutine[Any, Any, None]
Place = Callable[[Task], None]


@types.coroutine
def _leave_to(place: Place) -> Generator[Place, None, None]:
    """Let others go on until this task is taken from `place` again."""
    yield place


class Loop:
    """Runs coroutines, each until it waits for something.

    A descriptor is waited for by one task for reading and one for writing.
    """

    def __init__(self) -> None:
        self._poller = Poller()
        self._ready: deque[Task] = deque()
        self._on_fd: dict[int, dict[int, Task]] = {}  # by descriptor, and by IN or OUT
        self._watched: dict[int, int] = {}  # what the poller knows of that
        self._asleep: list[tuple[float, int, Task]] = []  # a heap
        self._number = itertools.count()  # so that tasks are never compared
        self._parked: dict[object, Task] = {}

    def spawn(self, task: Task) -> None:
        """Have `task` run beside the others."""
        self._ready.append(task)

    def run(self) -> None:
        """Until no task is left."""
        while True:
            for _ in range(len(self._ready)):
                self._step(self._ready.popleft())
            if not (self._ready or self._on_fd or self._asleep or self._parked):
                break
            for fd, events in self._poller.poll(self._timeout()):
                self._report(fd, events)
            now = time.monotonic()
            while self._asleep and self._asleep[0][0] <= now:
                self._ready.append(heapq.heappop(self._asleep)[2])
        self._poller.close()

    def _step(self, task: Task) -> None:
        """Let it run to where it waits next, and put it there."""
        try:
            place: Place = task.send(None)
        except StopIteration:
            return
        except Exception:
            throttled(logging.ERROR, "a task failed", traceback=True)
            return
        place(task)

    def _timeout(self) -> float | None:
        if self._ready:
            return 0.0
        if self._asleep:
            return max(0.0, self._asleep[0][0] - time.monotonic())
        return None

    def _report(self, fd: int, events: int) -> None:
        """The tasks that wait for one of these events can go on."""
        tasks = self._on_fd.get(fd, {})
        if events & (ERR | HUP):  # is for both: the next call says what has happened
            events |= IN | OUT
        # Who was told is likely to wait for the same again, so it is still watched for until it is
        # reported in vain: that saves two system calls for each message.
        in_vain = self._watched[fd] & events & ~sum(tasks)
        for kind in [each for each in tasks if each & events]:
            self._ready.append(tasks.pop(kind))
        if not tasks:
            self._on_fd.pop(fd, None)
        if in_vain:
            self._watch(fd, self._watched[fd] & ~in_vain)

    def _watch(self, fd: int, events: int) -> None:
        before = self._watched.get(fd, 0)
        if not events:
            self._poller.unregister(fd)
            del self._watched[fd]
            return
        (self._poller.modify if before else self._poller.register)(fd, events)
        self._watched[fd] = events

    # What may be awaited.

    async def ready(self, fd: int, kind: int) -> None:
        """Until `fd` can be read from (IN), or written to (OUT)."""

        def place(task: Task) -> None:
            self._on_fd.setdefault(fd, {})[kind] = task
            if not (watched := self._watched.get(fd, 0)) & kind:
                self._watch(fd, watched | kind)

        await _leave_to(place)

    async def sleep(self, seconds: float) -> None:
        due = time.monotonic() + seconds
        await _leave_to(lambda task: heapq.heappush(self._asleep, (due, next(self._number), task)))

    async def park(self, where: object) -> None:
        """Until somebody calls `wake(where)`; for one task at a time."""
        await _leave_to(partial(self._parked.__setitem__, where))

    async def others(self) -> None:
        """Until all who can go on have had their turn."""
        await _leave_to(self._ready.append)

    # What others do.

    def wake(self, where: object) -> None:
        if task := self._parked.pop(where, None):
            self._ready.append(task)

    def forget(self, fd: int) -> None:
        """It is about to be closed: wake who waits for it, to find that out."""
        self._ready.extend(self._on_fd.pop(fd, {}).values())
        if fd in self._watched:
            self._watch(fd, 0)


class StreamServer:
    """Serves `service` on a listening TCP socket, each connection in a coroutine of its own."""

    def __init__(
        self,
        listener: socket.socket,
        service: Service,
        limits: Limits,
        timeouts: Timeouts,
        tls: SSLContext | None = None,
    ) -> None:
        self.tls = tls
        listener.setblocking(False)
        self._listener = listener
        self._loop = Loop()
        self._wakeup = Wakeup()
        self._accepting = True
        self._sending: set[Connection] = set()
        self._draining = self._aborted = False
        places = limits.connections or descriptor_room()
        hub = hub_class(tls is not None)
        self._hub = hub(service, limits, timeouts, self, places=places, now=time.monotonic())

    def serve_forever(self) -> None:
        """Serve until `drain` is called and every peer is gone."""
        with self._listener, contextlib.closing(self._wakeup):
            for task in (self._welcome(), self._tick(), self._stop()):
                self._loop.spawn(task)
            self._loop.run()

    # What the coroutine of a connection does.

    async def _serve(self, conn: Connection) -> None:
        """Serve one connection to its end."""
        hub, loop, sock = self._hub, self._loop, conn.sock
        await self._see_to(conn)
        while conn.state is not State.GONE:
            if not conn.reads:
                await loop.park(conn)
                continue
            await loop.ready(sock.fileno(), IN)
            try:
                data = sock.recv(RECV_SIZE)
            except BlockingIOError:  # it was woken by somebody else
                continue
            except OSError as error:  # a reset ends its own conversation and nothing else
                self._lose(conn, error)
            else:
                if not data:
                    hub.receive_eof(conn)
                elif not conn.buffer:
                    conn.buffer = hub.receive_data(conn, data)
                else:  # what others have said to it is under way, and this goes after it
                    conn.buffer += hub.receive_data(conn, data)
                    hub.sent(conn, len(conn.buffer))
            self._see_to_others()
            if conn.buffer or conn.dirty:
                await self._see_to(conn)
        loop.forget(sock.fileno())
        sock.close()

    async def _see_to(self, conn: Connection) -> None:
        """Send what there is for `conn`, and do what is to be done.

        Its own coroutine comes here, and one for what others say to it; who comes second need not
        wait, for the first will see what there is meanwhile.
        """
        conn.dirty = False
        self._do(conn, unsent=True)  # what need not wait
        if conn in self._sending:
            return
        self._sending.add(conn)
        while conn.buffer or conn.outbox or conn.todo is not None:
            conn.buffer = conn.buffer or self._hub.take(conn)
            await self._send(conn)
            if conn.todo is not None and not conn.outbox:  # over TLS there is a last word
                conn.buffer = self._hub.take(conn)
                await self._send(conn)
            self._do(conn)
            conn.dirty = False
            self._see_to_others()
        self._sending.discard(conn)
        self._loop.wake(conn)  # it may be read from again, or be gone

    async def _send(self, conn: Connection) -> None:
        """Send all that is in the buffer, waiting for the peer as long as it takes."""
        while conn.buffer and conn.state is not State.GONE:
            try:
                conn.send_buffer()
            except BlockingIOError:
                pass
            except OSError as error:
                self._lose(conn, error)
                break
            self._hub.sent(conn, len(conn.buffer))
            if conn.dirty:
                conn.dirty = False  # whoever makes it so while we wait is to send somebody here
                self._loop.wake(conn)  # it may be read from again
            if conn.buffer:
                self._see_to_others()  # the service may have told them something, too
                await self._loop.ready(conn.sock.fileno(), OUT)
            elif conn.outbox:  # there is more already; but others want to have their turn
                await self._loop.others()
        if conn.state is State.GONE:
            conn.buffer = b""

    def _do(self, conn: Connection, *, unsent: bool = False) -> None:
        if conn.todo is None or (todo := conn.pop_todo(unsent or conn.buffer)) is None:
            return
        conn.do(todo)
        if todo is Todo.RESET or todo is Todo.CLOSE:
            self._lose(conn, None)

    def _lose(self, conn: Connection, error: OSError | None) -> None:
        """It is gone: wake who waits for it."""
        self._hub.lost(conn, error)
        self._loop.forget(conn.sock.fileno())
        self._loop.wake(conn)

    def _see_to_others(self) -> None:
        dirty, self._hub.dirty = self._hub.dirty, []
        for peer in dirty:
            self._loop.spawn(self._see_to(cast(Connection, peer)))

    # What the other coroutines do.

    async def _welcome(self) -> None:
        """Accept who comes."""
        loop = self._loop
        while not self._draining:
            if not self._accepting:
                await loop.park(self)
                continue
            await loop.ready(self._listener.fileno(), IN)
            try:
                for _ in range(BURST):
                    if self._draining or not self._accepting:
                        break
                    self._begin(accept(self._listener))
            except BlockingIOError:
                pass
            except AcceptPaused as error:
                warn_cannot_accept("%s; trying again in %g s", error, ACCEPT_RETRY_S)
                await loop.sleep(ACCEPT_RETRY_S)

    def _begin(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        conn = Connection(self._hub, sock)
        self._hub.admit(conn)
        self._loop.spawn(self._serve(conn))
        self._see_to_others()

    async def _tick(self) -> None:
        """Let time pass."""
        while not self._hub.draining or self._hub.open:
            delay = self._hub.tick(time.monotonic())
            self._see_to_others()
            await self._loop.sleep(delay)
        self._loop.forget(self._wakeup.fileno())

    async def _stop(self) -> None:
        """Do what `drain` and `abort` ask for."""
        hub, loop = self._hub, self._loop
        while not hub.draining or hub.open:
            await loop.ready(self._wakeup.fileno(), IN)
            with contextlib.suppress(BlockingIOError):  # woken for all to end
                self._wakeup.clear()
            if self._draining and not hub.draining:
                with contextlib.suppress(BlockingIOError, AcceptPaused):
                    for _ in range(waiting_to_be_accepted(self._listener)):
                        self._begin(accept(self._listener))
                hub.drain()
                loop.wake(self)
                loop.forget(self._listener.fileno())
                self._listener.close()
            if self._aborted:
                hub.end()
            self._see_to_others()

    # What the hub wants, and the end.

    def wake(self) -> None:
        """As Shell.wake: who called the hub sees to it."""

    def accept(self, more: bool) -> None:
        """As Shell.accept."""
        self._accepting = more
        if more:
            self._loop.wake(self)

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
