"""TCP echo servers, each with one thing planted: `planted.py WHAT PORT`.

Most are faults that show only in some texts, far into a stream, after many clients, or in the CPU
time of who waits; some (RIGHT) are what right servers do and a hasty check takes for a fault.
"""

from __future__ import annotations

import collections
import contextlib
import os
import select
import signal
import socket
import struct
import sys
import threading
import time

RIGHT = ("none", "collector", "cached-pipes", "slow-connections", "dual-stack")
WHAT, PORT = sys.argv[1], int(sys.argv[2])
MIB = 1024 * 1024
kept: list[object] = []
connections = 0
waiting = threading.Event()
places = threading.Semaphore(1500)
newest: collections.deque[socket.socket] = collections.deque()


def changed(data: bytes, at: int) -> bytes:
    """What comes back for a piece that begins at that offset of its connection."""
    lost = {"loses-byte-65536": 65536, "loses-a-byte-at-9-mib": 9 * MIB}.get(WHAT)
    if lost is not None and at <= lost < at + len(data):
        return data[: lost - at] + data[lost - at + 1 :]
    if WHAT == "folds-nuls":
        return data.replace(b"\0\0\0\0", b"\0\0\0")
    if WHAT == "loses-every-third":
        return data[:2] + data[3:]
    if WHAT == "drops-4096" and len(data) == 4096:
        return b""
    if WHAT == "adds-a-nul":
        return data + b"\0"
    if not data.isascii():
        return data
    return {
        "raises-lower-case": data.upper(),
        "strips": data.strip(b" \r"),
        "mends-line-ends": data.replace(b"\r\n", b"\n"),
        "escapes": data.replace(b"<", b"&lt;"),
        "expands": data.replace(b"%s", b"(null)"),
    }.get(WHAT, data)


def serve(conn: socket.socket) -> None:
    at = reads = 0
    held = b""
    if WHAT == "greets":
        conn.sendall(b"Welcome\r\n")
    if WHAT == "asks-who-it-is":
        time.sleep(0.5)
    if WHAT == "ends-the-silent":
        conn.settimeout(2)
    if WHAT == "ends-who-does-not-read":
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 1, 0))
    while data := received(conn):
        reads += 1
        if WHAT == "waits-for-a-line-end":
            whole, _, held = (held + data).rpartition(b"\n")
            data = whole + b"\n" if whole else b""
        if WHAT == "closes-after-64-kib" and at + len(data) > 65536:
            return
        if WHAT == "four-closes" and data == b"\x04":
            return
        if WHAT == "quit-closes" and data.strip() in (b"quit", b"QUIT"):
            return
        if WHAT == "ends-after-2000-reads" and reads > 2000:
            return
        if WHAT == "delays":
            time.sleep(0.02)
        if WHAT == "keeps-what-was-said":
            kept.append(data)
        if WHAT == "keeps-a-little-of-each-message":
            kept.append(bytearray(1000))
        if WHAT == "waits-unread":  # as who polls a non-blocking socket that is full
            send_spinning(conn, data)
        elif WHAT == "two-writes":
            conn.sendall(data[:1])
            conn.sendall(data[1:])
        elif WHAT == "holds-4096-back" and len(data) == 4096:
            conn.send(data, socket.MSG_MORE)
        else:
            conn.sendall(changed(data, at))
        at += len(data)


def received(conn: socket.socket) -> bytes:
    if WHAT != "looks-every-20-ms":
        return conn.recv(4096 if WHAT == "holds-4096-back" else 65536)
    conn.settimeout(0.02)
    while True:
        with contextlib.suppress(TimeoutError):
            data = conn.recv(65536)
            conn.settimeout(None)
            return data


def send_spinning(conn: socket.socket, data: bytes) -> None:
    while data:
        with contextlib.suppress(BlockingIOError):
            data = data[conn.send(data, socket.MSG_DONTWAIT) :]


def thread(conn: socket.socket) -> None:
    if WHAT == "slow-connections":
        time.sleep(0.07)
    with conn, contextlib.suppress(OSError):
        serve(conn)
        if WHAT == "keeps-places-of-the-reset":
            places.release()
        if WHAT == "never-closes":
            waiting.wait()
        while WHAT == "talks-on":
            conn.sendall(b"and on")
            time.sleep(0.01)
        if WHAT == "resets-at-the-end":
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, *[0] * 7]))
    if WHAT == "keeps-threads":
        waiting.wait()


def accepted(conn: socket.socket) -> None:
    """What there is to do for each connection beside serving it."""
    global connections
    connections += 1
    if WHAT == "takes-2000-clients" and connections > 2000:
        conn.close()
        return
    if WHAT == "children-listen-on":
        if os.fork() == 0:
            thread(conn)
            waiting.wait()
        conn.close()
        return
    if WHAT == "keeps-places-of-the-reset":
        places.acquire()
    if WHAT == "replaces-the-oldest":
        newest.append(conn)
        if len(newest) > 4096:
            with contextlib.suppress(OSError):
                newest.popleft().shutdown(socket.SHUT_RDWR)
    if WHAT == "keeps-one-in-a-hundred" and connections % 100 == 0:
        kept.append(os.dup(conn.fileno()))
    if WHAT == "collector" and connections < 20_000:  # takes a heap, and then keeps to it
        kept.append(bytearray(2000))
    if WHAT == "cached-pipes" and len(kept) < 7 and connections % 25 == 0:
        kept.append(os.pipe())
    if WHAT != "two-writes":
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if WHAT == "leaves-zombies":
        if os.fork() == 0:
            thread(conn)
            os._exit(0)
        conn.close()
        return
    threading.Thread(target=thread, args=(conn,), daemon=True).start()


def accept_all(listener: socket.socket) -> None:
    while True:
        accepted(listener.accept()[0])


def asks_for_ever(listener: socket.socket) -> None:
    """Every socket in turn, without waiting."""
    listener.setblocking(False)
    conns: list[socket.socket] = []
    while True:
        with contextlib.suppress(BlockingIOError):
            conns.append(listener.accept()[0])
        for conn in list(conns):
            conn.setblocking(False)
            with contextlib.suppress(BlockingIOError, OSError):
                if data := conn.recv(65536):
                    conn.setblocking(True)
                    conn.sendall(data)
                    continue
                conns.remove(conn)
                conn.close()


def on_select(listener: socket.socket) -> None:
    conns: set[socket.socket] = set()
    while True:
        try:
            ready, _, _ = select.select([listener, *conns], [], [])
        except ValueError:  # what in C is a write where something else is
            os.kill(os.getpid(), signal.SIGSEGV)
        for each in ready:
            if each is listener:
                conns.add(listener.accept()[0])
                continue
            with contextlib.suppress(OSError):
                if data := each.recv(65536):
                    each.sendall(data)
                    continue
            conns.remove(each)
            each.close()


class Loop:
    """One thread on epoll, and what each connection still is to be sent."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._epoll = select.epoll()
        self._conns: dict[int, socket.socket] = {}
        self._unsent: dict[int, memoryview] = {}
        self._ended: set[int] = set()
        self._shared = bytearray(65536)
        self._epoll.register(listener, select.EPOLLIN)

    def run(self) -> None:
        while True:
            for fd, event in self._epoll.poll():
                if fd == self._listener.fileno():
                    conn, _ = self._listener.accept()
                    conn.setblocking(False)
                    self._conns[conn.fileno()] = conn
                    self._watch(conn.fileno(), new=True)
                    continue
                try:
                    self._turn(fd, event)
                except BlockingIOError:
                    continue
                except OSError:
                    self._close(fd)

    def _turn(self, fd: int, event: int) -> None:
        conn = self._conns[fd]
        if event & (select.EPOLLERR | select.EPOLLHUP) and WHAT != "stays-after-a-reset":
            self._close(fd)
            return
        if event & select.EPOLLIN and fd not in self._unsent and fd not in self._ended:
            if WHAT == "shares-a-buffer":
                size = conn.recv_into(self._shared)
                data = memoryview(self._shared)[:size]
            else:
                data = memoryview(conn.recv(65536))
            if not data:
                self._ended.add(fd)
            else:
                self._unsent[fd] = data
        if WHAT == "pending-by-port" and fd in self._unsent:
            port = conn.getpeername()[1]  # whose, in the table
            same = [each for each in self._conns if self._conns[each].getpeername()[1] == port]
            self._unsent.update(dict.fromkeys(same, self._unsent[fd]))
        if fd in self._unsent:
            with contextlib.suppress(BlockingIOError):
                self._unsent[fd] = self._unsent[fd][conn.send(self._unsent[fd]) :]
            if not self._unsent[fd]:
                del self._unsent[fd]
        if fd in self._ended and fd not in self._unsent:
            self._close(fd)
        else:
            self._watch(fd)

    def _watch(self, fd: int, *, new: bool = False) -> None:
        out = fd in self._unsent or (WHAT == "leaves-epollout-on" and not new)
        wanted = out * select.EPOLLOUT
        if fd not in self._unsent or WHAT == "asks-for-input-while-full":
            wanted |= select.EPOLLIN
        if WHAT == "leaves-urgent-data":
            wanted |= select.EPOLLPRI
        (self._epoll.register if new else self._epoll.modify)(fd, wanted)

    def _close(self, fd: int) -> None:
        if WHAT == "stays-after-a-reset":
            return
        if WHAT != "keeps-what-was-unsent":
            self._unsent.pop(fd, None)
        self._ended.discard(fd)
        self._conns.pop(fd).close()


def on_epoll(listener: socket.socket) -> None:
    Loop(listener).run()


MODELS = {
    "asks-for-ever": asks_for_ever,
    "select": on_select,
    **dict.fromkeys(
        (
            *("shares-a-buffer", "leaves-epollout-on", "asks-for-input-while-full"),
            *("leaves-urgent-data", "stays-after-a-reset", "keeps-what-was-unsent"),
            "pending-by-port",
        ),
        on_epoll,
    ),
}


def main() -> None:
    if WHAT == "dies-of-eintr":
        signal.signal(signal.SIGCONT, lambda *ignored: sys.exit("poll: Interrupted system call"))
    if WHAT == "ignores-sigterm":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    dual = WHAT == "dual-stack"
    listener = socket.socket(socket.AF_INET6 if dual else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if dual:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    try:
        listener.bind(("::" if dual else "127.0.0.1", PORT))
    except OSError as error:
        sys.exit(f"port {PORT} cannot be had: {error.strerror}")
    listener.listen(5 if WHAT == "short-backlog" else 4096)
    if WHAT == "ends-when-nobody-comes":
        listener.settimeout(2)
    MODELS.get(WHAT, accept_all)(listener)


main()
