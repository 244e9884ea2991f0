"""The least that echoes on epoll, and does so many empty turns of a loop for each message.

`costly.py 600`: on most machines between 4 and 10 us. Without a number it says how many us a turn
takes here, and ends.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import timeit


def burn(turns: range) -> None:
    for _ in turns:
        pass


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


if len(sys.argv) > 1:
    serve(range(int(sys.argv[1])))
else:
    # As timeit's documentation advises: what is above the least is other programs' doing. The first
    # 257 numbers are made already, and their turns cost half.
    took_s = min(timeit.repeat(lambda: burn(range(1000, 2000)), number=10, repeat=200))
    os.write(1, b"%f\n" % (took_s / 10_000 * 1e6))
