"""A fixed number of threads: who comes when all are taken waits in a queue.

Threads are made once, and memory and switching have a bound. But a thread is taken for as long as
its peer stays, whether that talks or not: THREADS silent peers stop the server for all others. It
suits short conversations; where they are long, it is the one-at-a-time server some times over.

Who waits has no thread that would see its end, so the main thread looks after the queue, and closes
whoever has left it meanwhile, or was expired by the hub.
"""

from __future__ import annotations

import contextlib
import queue
import select
import socket
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from aionet.core import State
from aionet.limits import Limits, Timeouts
from aionet.protocol import Service
from blocking import threaded
from blocking.threaded import LOOK_S, Connection

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = ["StreamServer"]

THREADS = 32
QUEUE = 32  # accepted and waiting for a thread; the rest wait in the kernel
_GONE = select.POLLHUP | select.POLLERR


class StreamServer(threaded.StreamServer):
    """Serves `service` on a listening TCP socket with THREADS threads."""

    def __init__(
        self,
        listener: socket.socket,
        service: Service,
        limits: Limits,
        timeouts: Timeouts,
        tls: SSLContext | None = None,
    ) -> None:
        super().__init__(listener, service, limits, timeouts, tls)
        self._queue: deque[Connection] = deque()
        self._work_for: queue.SimpleQueue[bool] = queue.SimpleQueue()  # one of those, or the end
        self._look_at = 0.0

    def _places(self, limits: Limits) -> int:
        return min(super()._places(limits), THREADS + QUEUE)

    def serve_forever(self) -> None:
        """Serve until `drain` is called and every peer is gone."""
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        super().serve_forever()
        for _ in threads:
            self._work_for.put(False)
        for thread in threads:
            thread.join()

    def _start(self, conn: Connection) -> None:
        self._see_to_other(conn)  # it may be greeted before there is a thread for it
        self._queue.append(conn)
        self._work_for.put(True)

    def _work(self) -> None:
        while self._work_for.get():
            try:
                conn = self._queue.popleft()
            except IndexError:  # who was in it has left
                continue
            self._serve(conn)

    # What the main thread does for those who wait.

    def _tick(self) -> float:
        delay = super()._tick()
        if not self._queue:
            return delay
        if time.monotonic() >= self._look_at:
            self._look_after_queue()
            self._look_at = time.monotonic() + LOOK_S
        return min(delay, LOOK_S)

    def _look_after_queue(self) -> None:
        """Close who is gone, and let the hub know who has finished sending without a word."""
        poll, waiting = select.poll(), {}
        for conn in tuple(self._queue):
            if (fd := conn.sock.fileno()) >= 0:  # a thread may have taken it, and closed it
                poll.register(fd, select.POLLRDHUP)
                waiting[fd] = conn
        events = dict(poll.poll(0))
        for fd, conn in waiting.items():
            if conn.state is State.GONE or (fd in events and _has_ended(conn, events[fd])):
                self._end(conn, events.get(fd, 0))
        self._see_to_others()

    def _end(self, conn: Connection, events: int) -> None:
        try:
            self._queue.remove(conn)  # nobody else has it from now on
        except ValueError:  # a thread has taken it
            return
        with contextlib.suppress(queue.Empty):  # or one is about to look for it, in vain
            self._work_for.get_nowait()
        if events & _GONE:
            number = conn.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self._lose(conn, OSError(number, "hung up"))
        elif conn.state is State.OPEN:
            with self._lock:
                self._hub.receive_eof(conn)
            self._see_to_other(conn)
        if conn.state is State.GONE:
            self._finish(conn)
        else:  # its service has something to say to it
            self._queue.appendleft(conn)
            self._work_for.put(True)


def _has_ended(conn: Connection, events: int) -> bool:
    """Whether it is reset, or its end is all that there is to be read."""
    if events & _GONE or conn.state is not State.OPEN:
        return bool(events & _GONE)
    try:
        return not conn.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except OSError:
        return False
