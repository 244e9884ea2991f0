"""A TCP echo server of one thread whose timing is known: `timing.py HOW [MS [AFTER_MS]]`.

service: each message takes MS of the one thread, from when it was read until its reply is sent.
accept: each connection is accepted MS after the one before, and then served at once.
stall: AFTER_MS from the first message on, the thread does nothing for MS.

On SIGTERM it says on stdout, as JSON, what it did; times in ns of the monotonic clock.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time
from time import perf_counter_ns as clock

HOW = sys.argv[1]
NS = int(float(sys.argv[2]) * 1e6) if len(sys.argv) > 2 else 0
AFTER_NS = int(float(sys.argv[3]) * 1e6) if len(sys.argv) > 3 else 0

did: dict[str, int] = {"received": 0}
conns: dict[int, socket.socket] = {}
epoll = select.epoll()


def wait_until(time_ns: int) -> None:
    """Busily: a sleep ends when the kernel thinks fit."""
    while clock() < time_ns:
        pass


def serve(conn: socket.socket) -> None:
    began = clock()
    try:
        data = conn.recv(65536)
        if data and HOW == "service":
            wait_until(began + NS)
        if data:
            did["received"] += 1
            conn.sendall(data)
            return
    except ConnectionError:
        pass
    del conns[conn.fileno()]
    conn.close()


def stall() -> None:
    did["began"] = clock()
    time.sleep(NS / 1e9)
    did["ended"] = clock()


def report(*signal_and_frame: object) -> None:
    os.write(1, json.dumps(did).encode())
    os._exit(0)


def main() -> None:
    signal.signal(signal.SIGTERM, report)
    stall_at = 0
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        epoll.register(listener, select.EPOLLIN)
        os.write(1, b"READY tcp://127.0.0.1:%d\n" % listener.getsockname()[1])
        while True:
            for fd, _ in epoll.poll(0.001 if stall_at else -1):
                if fd != listener.fileno():
                    serve(conns[fd])
                    continue
                began = clock()
                conn, _ = listener.accept()
                if HOW == "accept":
                    wait_until(began + NS)
                conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                conns[conn.fileno()] = conn
                epoll.register(conn, select.EPOLLIN)
            if HOW == "stall" and "began" not in did and did["received"]:
                stall_at = stall_at or clock() + AFTER_NS
                if clock() >= stall_at:
                    stall()
                    stall_at = 0


main()
