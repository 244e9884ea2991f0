"""Lines that are answered when they are due: one thread, and epoll."""

import contextlib
import heapq
import itertools
import re
import select
import socket
import sys
import time

LONGEST = 1006  # bytes of a line
LINE = re.compile(rb"\A(\d{1,4}|[0-5]\d{4}|60000) (.{0,1000})\Z", re.DOTALL)
clients = {}  # by descriptor: the connection, and what has come of a line
due = []  # a heap of (when, number, connection, text): what is due first is due[0]
number = itertools.count()  # so that two of the same time are in the order of asking


def receive(conn, data):
    """Ask for what is in whole lines, and return the rest. Raises ValueError."""
    *lines, rest = data.split(b"\n")
    for line in lines:
        [(ms, text)] = LINE.findall(line)  # none in a line of another form
        when = time.monotonic() + int(ms) / 1000
        heapq.heappush(due, (when, next(number), conn, text + b"\n"))
    if len(rest) > LONGEST:
        raise ValueError("a line without an end")
    return rest


def leave(poller, fd):
    conn, _ = clients.pop(fd)
    poller.unregister(fd)
    conn.close()
    due[:] = [each for each in due if each[2] is not conn]
    heapq.heapify(due)


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


def answer():
    """All that is due by now; who does not read what the kernel keeps for it is sent away."""
    while due and due[0][0] <= time.monotonic():
        _, _, conn, text = heapq.heappop(due)
        with contextlib.suppress(OSError):
            if conn.send(text) < len(text):
                conn.shutdown(socket.SHUT_RDWR)


def run(listener):
    poller = select.epoll()
    poller.register(listener, select.EPOLLIN)
    while True:
        timeout = max(0, due[0][0] - time.monotonic()) if due else None
        for fd, _ in poller.poll(timeout):
            if fd == listener.fileno():
                conn, _ = listener.accept()
                conn.setblocking(False)
                clients[conn.fileno()] = conn, b""
                poller.register(conn, select.EPOLLIN)
            else:
                turn(poller, fd)
        answer()


try:
    listener = socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=4096)
except OSError as error:
    sys.exit(f"port {sys.argv[2]}: {error.strerror}")
run(listener)
