"""The least that echoes on epoll, and burns so many ns of CPU more for each message.

`costly.py 300`: as the loop below takes it, whose speed is measured before READY.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import time

TURNS = range(50)  # of the loop, as often as about a message takes
TIMES = 2000
TRIES = 5  # of which the quickest counts


def burn(turns: range) -> None:
    for _ in turns:
        pass


def turn_ns() -> float:
    """CPU time of one turn of the loop in burn()."""

    def once() -> float:
        began = time.thread_time_ns()
        for _ in range(TIMES):
            burn(TURNS)
        return (time.thread_time_ns() - began) / TIMES / len(TURNS)

    return min(once() for _ in range(TRIES))


def serve(turns: range) -> None:
    conns: dict[int, socket.socket] = {}
    epoll = select.epoll()
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        epoll.register(listener, select.EPOLLIN)
        os.write(1, b"READY tcp://127.0.0.1:%d\n" % listener.getsockname()[1])
        while True:
            for fd, _ in epoll.poll():
                if fd == listener.fileno():
                    conn, _ = listener.accept()
                    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    conns[conn.fileno()] = conn
                    epoll.register(conn, select.EPOLLIN)
                elif message := conns[fd].recv(65536):
                    burn(turns)
                    conns[fd].send(message)
                else:
                    conns.pop(fd).close()


serve(range(round(float(sys.argv[1]) / turn_ns())))
