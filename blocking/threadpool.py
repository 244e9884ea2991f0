"""A fixed number of threads: who comes when all are taken waits in a queue.

Threads are made once, and memory and switching have a bound. But a thread is taken for as long as
its peer stays, whether that talks or not: THREADS silent peers stop the server for all others. It
suits short conversations; where they are long, it is the one-at-a-time server some times over.
"""

from __future__ import annotations

import queue
import socket
import threading

from aionet.limits import Limits, Timeouts
from aionet.protocol import Service
from blocking import threaded
from blocking.threaded import Connection

__all__ = ["StreamServer"]

THREADS = 32
QUEUE = 32  # accepted and waiting for a thread; the rest wait in the kernel


class StreamServer(threaded.StreamServer):
    """Serves `service` on a listening TCP socket with THREADS threads."""

    def __init__(
        self, listener: socket.socket, service: Service, limits: Limits, timeouts: Timeouts
    ) -> None:
        super().__init__(listener, service, limits, timeouts)
        self._accepted: queue.SimpleQueue[Connection | None] = queue.SimpleQueue()

    def _places(self, limits: Limits) -> int:
        return min(super()._places(limits), THREADS + QUEUE)

    def serve_forever(self) -> None:
        """Serve until `drain` is called and every peer is gone."""
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        super().serve_forever()
        for _ in threads:
            self._accepted.put(None)
        for thread in threads:
            thread.join()

    def _start(self, conn: Connection) -> None:
        self._see_to_other(conn)  # it may be greeted before there is a thread for it
        self._accepted.put(conn)

    def _work(self) -> None:
        while conn := self._accepted.get():
            self._serve(conn)
