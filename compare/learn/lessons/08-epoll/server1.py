"""Echo, one thread and epoll: python server.py HOST PORT."""

import select
import socket
import sys
from select import EPOLLIN, EPOLLOUT

epoll = select.epoll()
conns = {}  # by descriptor
unsent = {}  # of each, what has come and is not sent back yet


def accept(listener):
    try:
        conn, _ = listener.accept()
    except OSError:  # EAGAIN: who was there has gone again
        return
    conn.setblocking(False)
    conns[conn.fileno()], unsent[conn.fileno()] = conn, b""
    epoll.register(conn, EPOLLIN | EPOLLOUT)


def serve(fd):
    """Send what is unsent, or read and send."""
    try:
        if not unsent[fd]:
            unsent[fd] = conns[fd].recv(65536)
            if not unsent[fd]:  # the end, and all has been sent back
                close(fd)
                return
        sent = conns[fd].send(unsent[fd])  # maybe a part of it
        unsent[fd] = unsent[fd][sent:]
    except BlockingIOError:  # EAGAIN: there is no room, or nothing has come
        pass
    except OSError:
        close(fd)


def close(fd):
    del unsent[fd]
    conns.pop(fd).close()


def main(host, port):
    try:
        listener = socket.create_server((host, port), backlog=4096)
    except OSError as error:
        sys.exit(f"cannot listen at {host} port {port}: {error.strerror}")
    listener.setblocking(False)
    epoll.register(listener, EPOLLIN)
    while True:
        for fd, _ in epoll.poll():
            if fd == listener.fileno():
                accept(listener)
            else:
                serve(fd)


main(sys.argv[1], int(sys.argv[2]))
