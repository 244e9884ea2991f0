"""Echo on gevent's StreamServer: recv() and sendall(), which wait without blocking others."""

from __future__ import annotations

import socket
import sys

from gevent.server import StreamServer


def echo(conn: socket.socket, address: tuple[str, int]) -> None:
    while data := conn.recv(64 * 1024):
        conn.sendall(data)


StreamServer(("127.0.0.1", int(sys.argv[1])), echo).serve_forever()
