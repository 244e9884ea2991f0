"""TCP echo servers with one mistake each: `tcp.py MISTAKE PORT`; `none` makes none.

A thread for each connection that blocks in sendall(), so that nobody is read from who does not
read; one mistake changes one thing.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import threading
import traceback
from collections import deque

MISTAKE, PORT = sys.argv[1], int(sys.argv[2])
BIG = 1000  # some mistakes show in large pieces only
leaked: list[object] = []
slots = threading.Semaphore(50)


def changed(data: bytes) -> bytes:
    """What comes back for a piece."""
    if MISTAKE == "text":
        return data.decode(errors="replace").encode()
    if len(data) >= BIG:
        if MISTAKE == "drops-the-last-byte":
            return data[:-1]
        if MISTAKE == "swaps-halves":
            return data[len(data) // 2 :] + data[: len(data) // 2]
        if MISTAKE == "doubles":
            return data + data[-1:]
    return data


def serve(conn: socket.socket) -> None:
    collected = b""
    first = True
    while data := conn.recv(65536):
        if MISTAKE == "after-the-end":
            collected += data
        elif MISTAKE == "whole-lines":
            *lines, collected = (collected + data).split(b"\n")
            for line in lines:
                conn.sendall(line + b"\n")
        elif MISTAKE == "first-message-only" and not first:
            continue
        elif MISTAKE == "partial-writes":
            with contextlib.suppress(BlockingIOError):
                conn.send(data, socket.MSG_DONTWAIT)
        elif MISTAKE == "stops-at-nul":
            conn.sendall(data.partition(b"\0")[0])
        elif MISTAKE == "dies-of-sigpipe":  # as C does that looks at no result
            for piece in (data[:1], data[1:]):
                with contextlib.suppress(OSError):
                    conn.sendall(piece)
        else:
            conn.sendall(changed(data))
        first = False
    if MISTAKE == "nul-at-the-end":
        conn.sendall(b"\0")
    if MISTAKE == "never-closes":
        leaked.append(conn)
        threading.Event().wait()
    conn.sendall(collected if MISTAKE == "after-the-end" else b"")


def thread(conn: socket.socket) -> None:
    try:
        if MISTAKE == "fifty-slots":
            slots.acquire()
        serve(conn)
    except OSError:
        if MISTAKE == "dies-of-a-reset":
            os._exit(1)
        if MISTAKE == "traceback-of-a-reset":
            traceback.print_exc()
    finally:
        if MISTAKE == "fifty-slots":
            slots.release()
        if MISTAKE == "leaks-descriptors":
            with contextlib.suppress(OSError):
                conn.shutdown(socket.SHUT_RDWR)
            leaked.append(os.dup(conn.fileno()))
        if MISTAKE == "leaks-memory":
            leaked.append(bytearray(8192))
        with contextlib.suppress(OSError):
            conn.close()


def without_bound(conn: socket.socket) -> None:
    """Reads on whatever the peer does, and keeps it."""
    unsent: deque[bytes] = deque()
    conn.setblocking(False)
    reading = True
    try:
        while reading or unsent:
            poll = select.poll()
            poll.register(conn, reading * select.POLLIN | bool(unsent) * select.POLLOUT)
            for _, event in poll.poll():
                if event & (select.POLLERR | select.POLLNVAL):
                    return
                if event & (select.POLLIN | select.POLLHUP) and reading:
                    if data := conn.recv(65536):
                        unsent.append(data)
                    else:
                        reading = False
                        if MISTAKE == "closes-at-half-close":
                            return
                if event & select.POLLOUT and unsent:
                    data = unsent.popleft()
                    if rest := data[conn.send(data) :]:
                        unsent.appendleft(rest)
            if MISTAKE == "closes-at-half-close":  # but bounded
                while reading and sum(map(len, unsent)) > 262144:
                    poll = select.poll()
                    poll.register(conn, select.POLLOUT)
                    poll.poll()
                    data = unsent.popleft()
                    if rest := data[conn.send(data) :]:
                        unsent.appendleft(rest)
    except OSError:
        pass
    finally:
        conn.close()


def one_thread(listener: socket.socket) -> None:
    """Waits for all by epoll, but blocks in sendall()."""
    epoll = select.epoll()
    epoll.register(listener, select.EPOLLIN)
    conns: dict[int, socket.socket] = {}
    while True:
        for fd, _ in epoll.poll():
            if fd == listener.fileno():
                conn, _ = listener.accept()
                conns[conn.fileno()] = conn
                epoll.register(conn, select.EPOLLIN)
                continue
            try:
                data = conns[fd].recv(65536)
                conns[fd].sendall(data)
            except OSError:
                data = b""
            if not data:
                conns.pop(fd).close()


def accept_all(listener: socket.socket) -> None:
    listener.settimeout(0.2)  # a signal that comes just before accept() is seen after it
    while True:
        try:
            conn, _ = listener.accept()
        except TimeoutError:
            continue
        conn.setblocking(True)
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if MISTAKE == "urgent-inline":
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        if MISTAKE == "one-at-a-time":
            thread(conn)
            continue
        target = thread
        if MISTAKE in ("without-bound", "closes-at-half-close"):
            target = without_bound
        threading.Thread(target=target, args=(conn,), daemon=True).start()


def end(*signal_and_frame: object) -> None:
    os._exit(1 if MISTAKE == "ends-badly" else 0)


def main() -> None:
    if MISTAKE == "dies-of-sigpipe":
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if MISTAKE == "ignores-sigterm" else end)
    listener = socket.socket()
    if MISTAKE != "no-reuseaddr":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", PORT))
    except OSError as error:
        if MISTAKE == "traceback-at-bind":
            raise
        if MISTAKE == "all-is-well-at-bind":
            sys.exit(0)
        sys.exit(f"port {PORT} cannot be had: {error.strerror}")
    listener.listen(4096)
    (one_thread if MISTAKE == "one-thread-blocks" else accept_all)(listener)


main()
