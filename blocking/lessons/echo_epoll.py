"""Echo, one thread for all, with epoll(7): poll() whose list is kept by the kernel.

A wait costs as much as there is to do, however many are watched. To change what is watched for is a
system call, so it is done only where it changes. A descriptor that is closed leaves the list by
itself, unless another one stands for the same connection (dup(2), fork(2)). Its number goes to the
next newcomer at once: where an event of one may close another, as in a chat, a later event of the
same batch may be about a number that is somebody else by now. `blocking/on_epoll.py` is the poller
of `blocking/readiness.py`, which has what this lacks, as in `echo_select`.
"""

import select
import socket
import sys
from select import EPOLLIN, EPOLLOUT

epoll = select.epoll()
connections: dict[int, socket.socket] = {}  # by descriptor
rests: dict[int, bytes] = {}  # of each, what could not be sent yet


def main(port: int = 7007) -> None:
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    listener.setblocking(False)
    epoll.register(listener, EPOLLIN)
    while True:
        for fd, _ in epoll.poll():
            if fd == listener.fileno():
                accept(listener)
            else:
                go_on(fd)


def accept(listener: socket.socket) -> None:
    try:
        conn, _ = listener.accept()
    except (BlockingIOError, ConnectionError):
        return
    conn.setblocking(False)
    connections[conn.fileno()], rests[conn.fileno()] = conn, b""
    epoll.register(conn, EPOLLIN)


def go_on(fd: int) -> None:
    """Read if there is nothing to be sent, and send; then wait for what is due next."""
    watched = EPOLLOUT if rests[fd] else EPOLLIN
    try:
        if not rests[fd] and not read(fd):
            close(fd)
            return
        rests[fd] = rests[fd][connections[fd].send(rests[fd]) :]
    except BlockingIOError:
        pass
    except OSError:
        close(fd)
        return
    due = EPOLLOUT if rests[fd] else EPOLLIN
    if due != watched:
        epoll.modify(fd, due)


def read(fd: int) -> bytes:
    rests[fd] = connections[fd].recv(65536)
    return rests[fd]


def close(fd: int) -> None:
    del rests[fd]
    connections.pop(fd).close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
