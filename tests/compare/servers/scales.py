"""Echoes so many times a second, as the law of scalability has it for so many cores.

    scales.py PORT CORES ONE CONTENTION COHERENCY

It has them all on one: what is planted is the law, and not the work.
"""

from __future__ import annotations

import selectors
import signal
import socket
import sys
import time
from collections import deque

PORT, CORES = map(int, sys.argv[1:3])
ONE, CONTENTION, COHERENCY = map(float, sys.argv[3:])
RATE = ONE * CORES / (1 + CONTENTION * (CORES - 1) + COHERENCY * CORES * (CORES - 1))

signal.signal(signal.SIGTERM, lambda *ignored: sys.exit(0))
selector = selectors.DefaultSelector()
listener = socket.create_server(("127.0.0.1", PORT), backlog=128)
selector.register(listener, selectors.EVENT_READ)
waiting: deque[tuple[socket.socket, bytes]] = deque()
free_at = 0.0  # when the next one is done, if there is one

while True:
    timeout = max(0.0, free_at - time.monotonic()) if waiting else None
    for key, _ in selector.select(timeout):
        sock = key.fileobj
        assert isinstance(sock, socket.socket)
        if sock is listener:
            accepted, _ = listener.accept()
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(accepted, selectors.EVENT_READ)
        elif data := sock.recv(65536):
            if not waiting:
                free_at = max(free_at, time.monotonic()) + 1 / RATE
            waiting.append((sock, data))
        else:
            selector.unregister(sock)
            waiting = deque(each for each in waiting if each[0] is not sock)
            sock.close()
    while waiting and free_at <= time.monotonic():
        sock, data = waiting.popleft()
        sock.sendall(data)
        free_at += 1 / RATE
