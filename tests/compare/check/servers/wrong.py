"""TCP echo with one mistake, as people make them: `wrong.py MISTAKE PORT`."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import sys
import threading
import time
from typing import Any

MISTAKE, PORT = sys.argv[1], int(sys.argv[2])
BACKLOG = 5 if MISTAKE in ("short-backlog", "in-turn") else 4096
EDGE = select.EPOLLET if MISTAKE in ("edge-missed", "edge-of-listener") else 0
LOCK = threading.Lock()


def on_epoll(listener: socket.socket) -> None:
    """One thread for all; without a mistake it is right."""
    conns: dict[int, socket.socket] = {}
    unsent: dict[int, bytes] = {}
    epoll = select.epoll()
    listener.setblocking(False)
    epoll.register(listener, select.EPOLLIN | (EDGE if MISTAKE == "edge-of-listener" else 0))

    def close(fd: int) -> None:
        conns.pop(fd).close()
        unsent.pop(fd)

    def watch(fd: int) -> None:
        if MISTAKE == "always-out":
            epoll.modify(fd, select.EPOLLIN | select.EPOLLOUT)
        elif MISTAKE == "edge-missed":
            return
        elif MISTAKE == "interest-lost":
            epoll.modify(fd, select.EPOLLOUT if unsent[fd] else 0)
        else:
            epoll.modify(fd, select.EPOLLOUT if unsent[fd] else select.EPOLLIN)

    def accept() -> None:
        while True:
            try:
                conn, _ = listener.accept()
            except BlockingIOError:
                return
            conn.setblocking(MISTAKE == "blocking-send")
            conns[conn.fileno()], unsent[conn.fileno()] = conn, b""
            epoll.register(conn, select.EPOLLIN | (EDGE if MISTAKE == "edge-missed" else 0))
            if MISTAKE in ("edge-of-listener", "in-turn"):
                return

    def serve(fd: int) -> None:
        if not unsent[fd]:
            data = conns[fd].recv(4096 if MISTAKE == "edge-missed" else 65536)
            if MISTAKE == "decodes":
                data = data.decode().encode()
            if not data and MISTAKE == "asks-at-the-end":
                return
            if not data and MISTAKE == "keeps-open":
                epoll.modify(fd, 0)
                return
            if not data:
                close(fd)
                return
            unsent[fd] = data
        sent = conns[fd].send(unsent[fd])
        while MISTAKE == "again-is-an-error" and sent < len(unsent[fd]):
            sent += conns[fd].send(unsent[fd][sent:])
        if MISTAKE == "drops-the-rest":
            unsent[fd] = b""
        elif MISTAKE != "sends-again" or sent == len(unsent[fd]):
            unsent[fd] = unsent[fd][sent:]
        watch(fd)

    while True:
        for fd, _ in epoll.poll(0 if MISTAKE == "spins" else -1):
            if fd == listener.fileno():
                accept()
                continue
            if MISTAKE == "sleeps":
                time.sleep(3)
            try:
                serve(fd)
            except BlockingIOError:
                if MISTAKE == "again-is-an-error":
                    raise
            except OSError:
                if MISTAKE == "dies-of-a-reset":
                    raise
                if MISTAKE == "dies-of-sigpipe":
                    conns[fd].send(b"goodbye")
                close(fd)


def locked_in_recv(conn: socket.socket) -> None:
    while True:
        with LOCK:
            data = conn.recv(65536)
        if not data:
            conn.close()
            return
        conn.sendall(data)


def locked_twice(conn: socket.socket) -> None:
    while data := conn.recv(65536):
        with LOCK, LOCK:
            conn.sendall(data)
    conn.close()


def echo(conn: socket.socket) -> None:
    """Until the end, with calls that block."""
    with conn:
        while data := conn.recv(65536):
            conn.sendall(data)


def waits_for_one(conn: socket.socket) -> None:
    while select.select([conn], [], [])[0] and (data := conn.recv(65536)):
        conn.sendall(data)
    conn.close()


def locked(conn: socket.socket) -> None:
    with conn:
        while data := conn.recv(65536):
            with LOCK:
                conn.sendall(data)


def on_select(listener: socket.socket) -> None:
    conns = {listener}
    while True:
        for sock in select.select(conns, [], [])[0]:
            if sock is listener:
                conns.add(listener.accept()[0])
            elif MISTAKE == "heeds-no-result" and (data := sock.recv(65536)):
                with contextlib.suppress(BlockingIOError):
                    sock.send(data, socket.MSG_DONTWAIT)
            elif data := sock.recv(65536):
                sock.sendall(data)
            else:
                conns.discard(sock)
                sock.close()


def calls_that_block(listener: socket.socket) -> None:
    while True:
        conn, _ = listener.accept()
        if MISTAKE == "one-at-a-time":
            echo(conn)
        elif MISTAKE == "once":
            with conn:
                conn.sendall(conn.recv(65536))
        elif MISTAKE == "next-one":
            conn.sendall(conn.recv(65536))
            KEPT.append(conn)
        elif MISTAKE == "resets-at-the-end":
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            echo(conn)
        elif MISTAKE == "serves-one-and-ends":
            echo(conn)
            return
        elif MISTAKE == "one-wait-at-a-time":
            waits_for_one(conn)
        elif MISTAKE == "exits":
            echo(conn)
            sys.exit(3)
        else:
            target = LOCKED.get(MISTAKE, echo)
            given: Any = conn if MISTAKE == "no-tuple" else (conn,)
            thread = threading.Thread(target=target, args=given, daemon=True)
            thread.start()
            if MISTAKE == "joins":
                thread.join()


KEPT: list[socket.socket] = []
LOCKED = {"one-lock": locked, "lock-in-recv": locked_in_recv, "lock-twice": locked_twice}
BLOCKING = {
    *("one-at-a-time", "once", "next-one", "resets-at-the-end", "serves-one-and-ends", "one-lock"),
    *("short-backlog", "exits", "lock-in-recv", "lock-twice", "no-tuple", "joins"),
    "one-wait-at-a-time",
}
if MISTAKE == "dies-of-sigpipe":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
server = socket.create_server(("127.0.0.1", PORT), backlog=BACKLOG)
if MISTAKE in ("select", "heeds-no-result"):
    on_select(server)
elif MISTAKE in BLOCKING:
    calls_that_block(server)
else:
    on_epoll(server)
