"""The least that echoes, for other instruments too: `pong.py tcp|udp plain|sockperf`.

sockperf knows a reply from a request by a bit of its header, which its server clears; `sockperf`
clears it in every message, `plain` sends back what came.
"""

from __future__ import annotations

import os
import select
import socket
import sys

PROTOCOL, HOW = sys.argv[1:3]
FLAGS_AT, IS_REQUEST = 9, 1  # the low byte of the flags, after a sequence number of 8 bytes


def reply_to(message: bytes) -> bytes:
    if HOW == "plain":
        return message
    changed = bytearray(message)
    changed[FLAGS_AT] &= ~IS_REQUEST
    return bytes(changed)


def serve_datagrams() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        os.write(1, b"READY udp://127.0.0.1:%d\n" % sock.getsockname()[1])
        while True:
            message, client = sock.recvfrom(65536)
            sock.sendto(reply_to(message), client)


def serve_stream() -> None:
    conns: dict[int, socket.socket] = {}
    epoll = select.epoll()
    with socket.create_server(("127.0.0.1", 0)) as listener:
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
                    conns[fd].sendall(reply_to(message))
                else:
                    conns.pop(fd).close()


if PROTOCOL == "udp":
    serve_datagrams()
else:
    serve_stream()
