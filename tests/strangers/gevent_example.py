"""The echo of gevent's examples without its greeting and its "quit": lines, on a StreamServer."""

from __future__ import annotations

import socket
import sys

from gevent.server import StreamServer


def echo(conn: socket.socket, address: tuple[str, int]) -> None:
    lines = conn.makefile(mode="rb")
    while line := lines.readline():
        conn.sendall(line)
    lines.close()


StreamServer(("127.0.0.1", int(sys.argv[1])), echo).serve_forever()
