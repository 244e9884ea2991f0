"""Several processes, forked before anybody comes, each serving one client at a time.

No fork while somebody waits, and the cores are used without a lock between them; but it serves as
many clients at a time as there are processes. They accept in one of two ways:

- on one socket: the kernel gives a connection to one of those that wait for it, so whoever is free
  comes next.
- on a socket each (SO_REUSEPORT): the kernel deals them out by a hash of the addresses as they
  arrive (socket(7)). Nothing is contended for, but who is dealt to a busy process waits for it,
  though others be free.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from aionet.limits import Timeouts
from aionet.signals import carry_on, stop_on_signals
from aionet.supervised import Supervised
from aionet.workers import supervise

PROCESSES = 8
STOP_S = 2.0  # after the drain timeout; who has not stopped then hangs


class Server(Protocol):
    """One that serves a client at a time."""

    def serve_forever(self) -> None: ...

    def drain(self) -> None: ...

    def abort(self) -> None: ...


def run(
    make_server: Callable[[socket.socket], Server],
    sockets: Sequence[socket.socket],
    timeouts: Timeouts,
    on_ready: Callable[[], None],
) -> int:
    """Serve in PROCESSES processes until SIGTERM or SIGINT; returns the exit status.

    sockets: one for all, or one for each. A process that ends unasked is replaced.
    """

    def work(worker: Supervised) -> int:
        _end_with_parent(worker)
        sock = sockets[worker.number % len(sockets)]
        for other in sockets:
            if other is not sock:
                other.close()
        server = make_server(sock)
        with stop_on_signals(server.drain, server.abort, timeouts.drain, second=carry_on):
            worker.ready()
            server.serve_forever()
        return 0

    def close() -> None:  # or the kernel would go on connecting who is never served
        for sock in sockets:
            sock.close()

    stop_s = timeouts.drain + STOP_S
    return supervise(work, PROCESSES, on_ready=on_ready, on_stop=close, stop_timeout=stop_s)


def _end_with_parent(worker: Supervised) -> None:
    def wait() -> None:
        os.read(worker.parent_gone, 1)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
