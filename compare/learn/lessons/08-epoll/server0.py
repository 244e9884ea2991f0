"""Echo, one thread and select(): python server.py HOST PORT."""

import select
import socket
import sys

conns = {}  # by descriptor
unsent = {}  # of each, what has come and is not sent back yet


def accept(listener):
    try:
        conn, _ = listener.accept()
    except OSError:  # EAGAIN: who was there has gone again
        return
    conn.setblocking(False)
    conns[conn.fileno()], unsent[conn.fileno()] = conn, b""


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
    while True:
        readers = [fd for fd in conns if not unsent[fd]]
        writers = [fd for fd in conns if unsent[fd]]
        readable, writable, _ = select.select([listener.fileno(), *readers], writers, [])
        for fd in readable + writable:
            if fd == listener.fileno():
                accept(listener)
            else:
                serve(fd)


main(sys.argv[1], int(sys.argv[2]))
