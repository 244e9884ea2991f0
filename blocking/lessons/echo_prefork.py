"""Echo, processes that were made before: all wait in accept() on the same socket.

Nobody waits for a fork, and as many are served at a time as there are processes. The kernel gives a
newcomer to one of them. Told to end, the parent kills them, in the midst of what they do.
`blocking/prefork.py` has what this lacks: it replaces a child that dies, ends without losing
anything, and its children also end when it is killed itself, which these survive.
"""

import os
import signal
import socket
import sys

PROCESSES = 8


def main(port: int = 7007) -> None:
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    children: list[int] = []

    def end(number: int, frame: object) -> None:
        for child in children:
            os.kill(child, signal.SIGKILL)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    for _ in range(PROCESSES):
        if (child := os.fork()) == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent ends us
            work(listener)
        children.append(child)
    while True:
        signal.pause()


def work(listener: socket.socket) -> None:
    while True:
        conn, _ = listener.accept()
        serve(conn)


def serve(conn: socket.socket) -> None:
    with conn:
        try:
            while data := conn.recv(65536):
                conn.sendall(data)
        except OSError:
            pass


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
