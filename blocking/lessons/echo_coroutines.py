"""Echo on an event loop of one's own: what stands between epoll and asyncio.

`serve` reads from top to bottom, as with threads. Where it would have to wait, it says for what:
the `yield` in `can` hands that to the loop, and leaves the whole stack of `await`s above it as it
is; the loop goes on with somebody else until epoll says that it can. No thread, no table of rests:
the rest is a local variable again.

`blocking/coroutines.py` has what this lacks: timers, and with them deadlines; limits, and a way to
end. asyncio has futures at the place of the `yield` (PEP 492, PEP 3156).
"""

import select
import socket
import sys
import types
from collections import deque
from collections.abc import Coroutine, Generator
from select import EPOLLIN, EPOLLONESHOT, EPOLLOUT
from typing import Any

Task = Coroutine[Any, Any, None]

epoll = select.epoll()
ready: deque[Task] = deque()  # who can go on
waiting: dict[int, Task] = {}  # who waits, by the descriptor that it waits for


@types.coroutine
def can(sock: socket.socket, event: int) -> Generator[tuple[int, int], None, None]:
    """Let others go on until `sock` can be read from, or written to."""
    yield sock.fileno(), event


def run() -> None:
    """The event loop."""
    while ready or waiting:
        while ready:
            task = ready.popleft()
            try:
                fd, event = task.send(None)  # to its next `yield`
            except StopIteration:  # it has ended
                continue
            waiting[fd] = task
            epoll.modify(fd, event | EPOLLONESHOT)  # reported once
        for fd, _ in epoll.poll():
            ready.append(waiting.pop(fd))


async def accept_all(listener: socket.socket) -> None:
    epoll.register(listener, 0)
    while True:
        await can(listener, EPOLLIN)
        try:
            conn, _ = listener.accept()
        except (BlockingIOError, ConnectionError):
            continue
        conn.setblocking(False)
        epoll.register(conn, 0)
        ready.append(serve(conn))


async def serve(conn: socket.socket) -> None:
    with conn:
        try:
            while data := await recv(conn):
                await send_all(conn, data)
        except OSError:
            pass


async def recv(conn: socket.socket) -> bytes:
    while True:
        await can(conn, EPOLLIN)
        try:
            return conn.recv(65536)
        except BlockingIOError:
            pass


async def send_all(conn: socket.socket, data: bytes) -> None:
    while data:
        try:
            data = data[conn.send(data) :]
        except BlockingIOError:
            await can(conn, EPOLLOUT)


def main(port: int = 7007) -> None:
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    listener.setblocking(False)
    ready.append(accept_all(listener))
    run()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
