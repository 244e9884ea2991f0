"""Echo, processes that were made before: all wait in accept() on the same socket.

Nobody waits for a fork, and as many are served at a time as there are processes. The kernel gives a
newcomer to one of them. They end with the parent, which sends them what ends itself.
`blocking/prefork.py` has what this lacks: it replaces who dies, and ends without losing anything.
"""

import os
import signal
import socket
import sys

PROCESSES = 8


def main(port: int = 7007) -> None:
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    children = []
    for _ in range(PROCESSES):
        if (child := os.fork()) == 0:
            work(listener)
        children.append(child)

    def end(number: int, frame: object) -> None:
        for child in children:
            os.kill(child, signal.SIGKILL)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
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
        except ConnectionError:
            pass


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
