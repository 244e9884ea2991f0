"""Echo on an event loop of one's own: generators that say what they wait for."""

import collections
import selectors
import socket
import sys

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Loop:
    """Runs tasks: each is a generator, which yields the socket and the event that it waits for."""

    def __init__(self):
        self.ready = collections.deque()  # who can go on
        self.waiting = selectors.DefaultSelector()  # who waits, by socket

    def spawn(self, task):
        self.ready.append(task)

    def run(self):
        while True:
            while self.ready:
                self.step(self.ready.popleft())
            for key, _ in self.waiting.select():
                self.waiting.unregister(key.fileobj)
                self.ready.append(key.data)

    def step(self, task):
        """Let it go on until it waits again, or ends."""
        try:
            sock, event = next(task)
        except StopIteration:
            return
        except OSError:
            return  # a reset is an ordinary end, and that of this task alone
        self.waiting.register(sock, event, task)


def recv(conn):
    yield conn, READ
    return conn.recv(65536)


def send_all(conn, data):
    while data:
        try:
            data = data[conn.send(data) :]
        except BlockingIOError:
            yield conn, WRITE


def echo(conn):
    with conn:
        while data := (yield from recv(conn)):
            yield from send_all(conn, data)


def serve(loop, listener):
    while True:
        yield listener, READ
        conn, _ = listener.accept()
        conn.setblocking(False)
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
