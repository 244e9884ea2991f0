"""Lines that are answered later: one thread, and epoll."""

import select
import socket
import sys
import time

LONGEST = 1006  # bytes of a line
clients = {}  # by descriptor: the connection, and what has come of a line


def receive(conn, data):
    """Answer whole lines, and return the rest. Raises ValueError."""
    *lines, rest = data.split(b"\n")
    for line in lines:
        ms, text = line.split(b" ", 1)
        time.sleep(int(ms) / 1000)
        conn.send(text + b"\n")
    if len(rest) > LONGEST:
        raise ValueError("a line without an end")
    return rest


def leave(poller, fd):
    conn, _ = clients.pop(fd)
    poller.unregister(fd)
    conn.close()


def turn(poller, fd):
    conn, unread = clients[fd]
    try:
        data = conn.recv(65536)
        if data:
            clients[fd] = conn, receive(conn, unread + data)
            return
    except (OSError, ValueError):
        pass
    leave(poller, fd)


def run(listener):
    poller = select.epoll()
    poller.register(listener, select.EPOLLIN)
    while True:
        for fd, _ in poller.poll():
            if fd == listener.fileno():
                conn, _ = listener.accept()
                conn.setblocking(False)
                clients[conn.fileno()] = conn, b""
                poller.register(conn, select.EPOLLIN)
            else:
                turn(poller, fd)


try:
    listener = socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=4096)
except OSError as error:
    sys.exit(f"port {sys.argv[2]}: {error.strerror}")
run(listener)
