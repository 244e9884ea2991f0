"""The least that echoes on epoll, and does so many empty turns of a loop for each message.

`costly.py 3000`: on most machines between 20 and 60 us.
"""

from __future__ import annotations

import os
import select
import socket
import sys


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


serve(range(int(sys.argv[1])))
