"""Echo, one thread that asks everybody in turn: python server.py HOST PORT."""

import contextlib
import socket
import sys

conns = {}  # by descriptor
unsent = {}  # of each, what has come and is not sent back yet
ended = set()  # those that will say no more


def accept(listener):
    try:
        conn, _ = listener.accept()
    except OSError:  # EAGAIN: nobody has come
        return
    conn.setblocking(False)
    conns[conn.fileno()], unsent[conn.fileno()] = conn, bytearray()


def serve(fd):
    try:
        with contextlib.suppress(BlockingIOError):  # EAGAIN: nothing has come
            if fd not in ended:
                read(fd)
        with contextlib.suppress(BlockingIOError):  # EAGAIN: there is no room
            send(fd)
    except OSError:
        close(fd)
        return
    if fd in ended and not unsent[fd]:
        close(fd)


def read(fd):
    if data := conns[fd].recv(65536):
        unsent[fd] += data
    else:
        ended.add(fd)


def send(fd):
    if unsent[fd]:
        sent = conns[fd].send(unsent[fd])  # maybe a part of it
        del unsent[fd][:sent]


def close(fd):
    ended.discard(fd)
    del unsent[fd]
    conns.pop(fd).close()


def main(host, port):
    try:
        listener = socket.create_server((host, port), backlog=4096)
    except OSError as error:
        sys.exit(f"cannot listen at {host} port {port}: {error.strerror}")
    listener.setblocking(False)
    while True:
        accept(listener)
        for fd in list(conns):
            serve(fd)


main(sys.argv[1], int(sys.argv[2]))
