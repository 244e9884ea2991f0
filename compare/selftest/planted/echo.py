"""A TCP echo server with a fault: `echo.py FAULT [SIZE [EVERY]]`.

SIZE: bytes of a message. EVERY: the fault shows in every so many messages, counted over all
connections. On SIGTERM it says on stdout, as JSON, how often it did what.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import struct
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator

FAULT = sys.argv[1]
SIZE = int(sys.argv[2]) if len(sys.argv) > 2 else 100
EVERY = int(sys.argv[3]) if len(sys.argv) > 3 else 1
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST

did: Counter[str] = Counter()
numbers = itertools.count(1)
latest: dict[socket.socket, bytes] = {}


def messages(conn: socket.socket) -> Iterator[bytes]:
    while True:
        message = b""
        while len(message) < SIZE:
            data = conn.recv(SIZE - len(message))
            if not data:
                return
            message += data
        did["received"] += 1
        yield message


def is_due() -> bool:
    if next(numbers) % EVERY:
        return False
    did["faults"] += 1
    return True


def correct(conn: socket.socket) -> None:
    while data := conn.recv(65536):
        did["received"] += 1
        conn.sendall(data)


def flipped(conn: socket.socket) -> None:
    for message in messages(conn):
        changed = message[:-1] + bytes([message[-1] ^ 1])
        conn.sendall(changed if is_due() else message)


def cut(conn: socket.socket) -> None:
    for message in messages(conn):
        if is_due():
            conn.sendall(message[:-1])
            return
        conn.sendall(message)


def extra(conn: socket.socket) -> None:
    for message in messages(conn):
        conn.sendall(message + b"!" if is_due() else message)


def doubled(conn: socket.socket) -> None:
    for message in messages(conn):
        conn.sendall(message * 2 if is_due() else message)


def pieces(conn: socket.socket) -> None:
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for message in messages(conn):
        for start in range(0, SIZE, -(-SIZE // 3)):
            conn.sendall(message[start : start + -(-SIZE // 3)])


def stale(conn: socket.socket) -> None:
    before = None
    for message in messages(conn):
        if before is not None and is_due():
            conn.sendall(before)
        else:
            conn.sendall(message)
        before = message


def crossed(conn: socket.socket) -> None:
    for message in messages(conn):
        others = [each for other, each in list(latest.items()) if other is not conn]
        latest[conn] = message
        conn.sendall(others[-1] if others and is_due() else message)


def reset(conn: socket.socket) -> None:
    for message in messages(conn):
        if is_due():
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            return
        conn.sendall(message)


def eof(conn: socket.socket) -> None:
    for message in messages(conn):
        if is_due():
            return
        conn.sendall(message)


def silent(conn: socket.socket) -> None:
    threading.Event().wait()


def slams(conn: socket.socket) -> None:
    did["faults"] += 1


def greets(conn: socket.socket) -> None:
    did["faults"] += 1
    conn.sendall(b"welcome")
    correct(conn)


def logs(conn: socket.socket) -> None:
    for message in messages(conn):
        if is_due():
            os.write(2, b"Traceback (most recent call last):\n  ...\nOSError: ouch\n")
        conn.sendall(message)


def dies(conn: socket.socket) -> None:
    for message in messages(conn):
        if is_due():
            os.write(2, b"out of luck\n")
            os._exit(3)
        conn.sendall(message)


def serve(conn: socket.socket, fault: Callable[[socket.socket], None]) -> None:
    try:
        with conn:
            fault(conn)
    except OSError:
        did["broken"] += 1
    finally:
        latest.pop(conn, None)


def report(*signal_and_frame: object) -> None:
    os.write(1, json.dumps(did).encode())
    os._exit(0)


def main() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN if FAULT == "stubborn" else report)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if FAULT != "refuses":
            listener.listen(1024)
        os.write(1, b"READY tcp://127.0.0.1:%d\n" % listener.getsockname()[1])
        if FAULT in ("refuses", "accepts-nobody"):
            threading.Event().wait()
        while True:
            conn, _ = listener.accept()
            if FAULT == "one-at-a-time":
                serve(conn, correct)
                continue
            arguments = (conn, correct if FAULT == "stubborn" else globals()[FAULT])
            threading.Thread(target=serve, args=arguments, daemon=True).start()


main()
