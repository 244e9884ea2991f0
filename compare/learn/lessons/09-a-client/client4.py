"""Sends what is typed and shows what comes: client.py HOST PORT."""

import contextlib
import errno
import os
import selectors
import socket
import sys
import time

KEYS, SCREEN = 0, 1
HOST, PORT = sys.argv[1], int(sys.argv[2])
CONNECT_S = 3
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


def check(error):
    if error not in (0, errno.EINPROGRESS):
        raise OSError(error, os.strerror(error))


def watch(selector, what, events):
    if what in selector.get_map():
        selector.unregister(what)
    if events:
        selector.register(what, events)


def talk():
    server = socket.socket()
    server.setblocking(False)
    check(server.connect_ex((HOST, PORT)))  # the kernel goes on with it by itself
    selector = selectors.PollSelector()  # epoll refuses a file, with EPERM
    deadline = time.monotonic() + CONNECT_S
    connected, typing, unsent = False, True, b""
    while True:
        watch(selector, server, (READ if connected else WRITE) | (WRITE if unsent else 0))
        watch(selector, KEYS, READ if typing and not unsent else 0)
        left = None if connected else max(0, deadline - time.monotonic())
        ready = {key.fileobj: events for key, events in selector.select(left)}
        if not ready:
            check(errno.ETIMEDOUT)
        if server in ready and not connected:
            check(server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            connected = True
        elif ready.get(server, 0) & READ:
            heard = server.recv(65536)
            if not heard:
                sys.exit(f"{HOST} {PORT} has closed the connection" if typing else 0)
            os.write(SCREEN, heard)
        if KEYS in ready:
            unsent = os.read(KEYS, 65536)
            typing = bool(unsent)
        if connected and unsent:
            with contextlib.suppress(BlockingIOError):
                unsent = unsent[server.send(unsent) :]
        if connected and not typing and not unsent:
            server.shutdown(socket.SHUT_WR)


try:
    talk()
except OSError as error:
    sys.exit(f"{HOST} {PORT}: {error.strerror}")
