"""Servers that answer later, with one mistake each: `later.py MISTAKE PORT`; `none` makes none.

One thread on epoll, with a heap of what is due; it waits until the first of that is, or until
something comes. Some mistakes (MODELS) are other ways to do all of it.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import select
import signal
import socket
import sys
import threading
import time

MISTAKE, PORT = sys.argv[1], int(sys.argv[2])
LONGEST_MS, LONGEST = 60_000, 1000  # of a time, and of a text in bytes
TICK_S = 0.01


class Client:
    def __init__(self, conn: socket.socket) -> None:
        self.conn = conn
        self.unread = b""
        self.unsent = b""
        self.there = True


def parse(line: bytes) -> tuple[float, bytes] | None:
    """In how many seconds, and which text; None where that is no line of this protocol."""
    ms, blank, text = line.partition(b" ")
    if not (blank and ms.isdigit() and int(ms) <= LONGEST_MS and len(text) <= LONGEST):
        return None
    seconds = int(ms) / 1000
    if MISTAKE == "early":
        seconds *= 0.9
    return seconds, text + b"\n"


class Server:
    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._epoll = select.epoll()
        self._epoll.register(listener, select.EPOLLIN)
        self._clients: dict[int, Client] = {}
        self._due: list[tuple[float, int, Client, bytes]] = []
        self._asked = 0
        self._ticks = 0

    def run(self) -> None:
        while True:
            for fd, event in self._epoll.poll(self._timeout()):
                if fd == self._listener.fileno():
                    self._welcome()
                else:
                    self._turn(self._clients[fd], event)
            self._answer()

    def now(self) -> float:
        """Seconds, of which the mistake counts too few."""
        return self._ticks * TICK_S if MISTAKE == "drifts" else time.monotonic()

    def _timeout(self) -> float | None:
        if MISTAKE == "drifts":
            time.sleep(TICK_S * 1.2)
            self._ticks += 1
            return 0
        if not self._due:
            return None
        left = max(0.0, self._due[0][0] - time.monotonic())
        if MISTAKE == "sleeps-until-the-first":
            time.sleep(left)
        if MISTAKE == "looks-all-the-time":
            return 0
        return left

    def _welcome(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                conn, _ = self._listener.accept()
                conn.setblocking(False)
                conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._clients[conn.fileno()] = Client(conn)
                self._epoll.register(conn, select.EPOLLIN)

    def _turn(self, client: Client, event: int) -> None:
        if event & select.EPOLLOUT:
            self._send(client)
        if not client.there or not event & ~select.EPOLLOUT:
            return
        try:
            data = client.conn.recv(65536)
        except OSError:
            data = b""
        *lines, client.unread = (client.unread + data).split(b"\n")
        if MISTAKE == "lines-are-reads":
            client.unread = b""
        asked = [parse(line) for line in lines]
        if MISTAKE == "passes-over-what-is-no-line":
            asked = [each for each in asked if each]
        if not data or None in asked or len(client.unread) > LONGEST + 6:
            self._close(client)
            return
        for seconds, text in filter(None, asked):
            self._asked += 1
            due = self.now() + seconds
            heapq.heappush(self._due, (due, self._asked, client, text))
            if MISTAKE == "twice" and seconds > 1 and len(self._due) > 500:
                heapq.heappush(self._due, (due, -self._asked, client, text))

    def _answer(self) -> None:
        while self._due and self._due[0][0] <= self.now():
            _, _, client, text = heapq.heappop(self._due)
            if client.there:
                client.unsent += text
                self._send(client)
            elif MISTAKE == "writes-to-who-left":
                client.conn.send(text)

    def _send(self, client: Client) -> None:
        try:
            client.unsent = client.unsent[client.conn.send(client.unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self._close(client)
            return
        self._epoll.modify(client.conn, select.EPOLLIN | bool(client.unsent) * select.EPOLLOUT)

    def _close(self, client: Client) -> None:
        client.there = False
        del self._clients[client.conn.fileno()]
        client.conn.close()
        if MISTAKE in ("keeps-what-is-due", "writes-to-who-left"):
            return
        self._due = [each for each in self._due if each[2] is not client]
        heapq.heapify(self._due)


def lines_of(conn: socket.socket) -> list[tuple[float, bytes]]:
    """The next ones; none at the end."""
    data = conn.recv(65536)
    while data and not data.endswith(b"\n") and (more := conn.recv(65536)):
        data += more
    return [each for each in map(parse, data.splitlines()) if each]


def sleeps(listener: socket.socket) -> None:
    """One thread for all, which sleeps."""
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
                if asked := lines_of(conns[fd]):
                    for seconds, text in asked:
                        time.sleep(seconds)
                        conns[fd].sendall(text)
                    continue
            except OSError:
                pass
            conns.pop(fd).close()


def threads_that_sleep(listener: socket.socket) -> None:
    """A thread for each connection, which sleeps for what is due at the head of its queue."""

    def serve(conn: socket.socket) -> None:
        with conn, contextlib.suppress(OSError):
            while asked := lines_of(conn):
                now = time.monotonic()
                for seconds, text in asked:
                    time.sleep(max(0.0, now + seconds - time.monotonic()))
                    conn.sendall(text)

    while True:
        conn, _ = listener.accept()
        threading.Thread(target=serve, args=(conn,), daemon=True).start()


MODELS = {"sleeps": sleeps, "threads-that-sleep": threads_that_sleep}


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *ignored: os._exit(0))
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", PORT))
    except OSError as error:
        sys.exit(f"port {PORT} cannot be had: {error.strerror}")
    listener.listen(4096)
    if MISTAKE in MODELS:
        MODELS[MISTAKE](listener)
    listener.setblocking(False)
    Server(listener).run()


main()
