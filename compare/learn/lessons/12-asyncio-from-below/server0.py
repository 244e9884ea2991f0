"""Echo on an event loop of one's own: generators that say what they wait for."""

import collections
import select
import socket
import sys


class Loop:
    """Runs tasks: each is a generator, which yields the socket that it waits for."""

    def __init__(self):
        self.ready = collections.deque()  # who can go on
        self.waiting = []  # (socket, task)

    def spawn(self, task):
        self.ready.append(task)

    def run(self):
        while True:
            while self.ready:
                self.step(self.ready.popleft())
            sock, task = self.waiting.pop()
            select.select([sock], [], [])
            self.ready.append(task)

    def step(self, task):
        """Let it go on until it waits again, or ends."""
        try:
            sock = next(task)
        except StopIteration:
            return
        self.waiting.append((sock, task))


def recv(conn):
    yield conn
    return conn.recv(65536)


def echo(conn):
    with conn:
        while data := (yield from recv(conn)):
            conn.sendall(data)


def serve(loop, listener):
    while True:
        yield listener
        conn, _ = listener.accept()
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop.spawn(echo(conn))


def main(host, port):
    try:
        listener = socket.create_server((host, port), backlog=4096)
    except OSError as error:
        sys.exit(f"port {port}: {error.strerror}")
    loop = Loop()
    loop.spawn(serve(loop, listener))
    loop.run()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
