"""Servers of frames with one mistake each: `frames.py MISTAKE PORT`; `none` makes none.

`none:2,numbers` is right for that variant.

A thread for each connection, which keeps what has come until there is a whole frame.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import sys
import threading

MISTAKE, _, VARIANT = sys.argv[1].partition(":")
PORT = int(sys.argv[2])
HEAD, EACH = (2 if VARIANT.startswith("2") else 4), (4 if "numbers" in VARIANT else 1)
MOST = 1024 * 1024 if HEAD == 4 else 16384
LETTER = "I" if HEAD == 4 else "H"
ORDER = "<" if MISTAKE == "length-little-endian" else ">"
LENIENT = ("no-bound", "length-little-endian", "takes-any-length")
kept: list[object] = []
waiting = threading.Event()


class BadLengthError(Exception):
    pass


def answer(body: bytes) -> bytes:
    """The frame that answers to one with this body."""
    sign = "I" if MISTAKE == "unsigned" else "i"
    order = "<" if MISTAKE == "numbers-little-endian" else ">"
    total = sum(struct.unpack(f"{order}{len(body) // 4}{sign}", body))
    if MISTAKE == "sum-of-32-bits":
        total = (total + 2**31) % 2**32 - 2**31
    if MISTAKE == "answer-little-endian":
        return struct.pack("<Iq", 8, total)
    return struct.pack(f"{ORDER}{LETTER}q", 8 if EACH == 1 else 1, total)


def take(buffer: bytearray) -> bytes | None:
    """The body of the first frame in it, which is taken out; None where there is no whole one."""
    if len(buffer) < HEAD:
        if MISTAKE == "whole-headers" and buffer:
            del buffer[:]
        return None
    length = EACH * struct.unpack_from(f"{ORDER}{LETTER}", buffer)[0]
    if MISTAKE == "length-is-signed":
        (length,) = struct.unpack_from(f">{LETTER.lower()}", buffer)
    if (length > MOST or length % 4) and MISTAKE not in LENIENT:
        if MISTAKE == "allocates" and length < 2**30:
            kept.append(b"1" * length)
        raise BadLengthError
    if MISTAKE == "takes-any-length" and length % 4:
        length -= length % 4
    if len(buffer) < HEAD + length:
        if MISTAKE == "frames-are-reads":
            del buffer[:]
        return None
    body = bytes(buffer[HEAD : HEAD + length])
    del buffer[: HEAD + length]
    if MISTAKE == "drops-what-is-behind":
        del buffer[:]
    return body


def serve(conn: socket.socket) -> None:
    buffer = bytearray()
    while True:
        data = conn.recv(65536)
        if not data:
            if MISTAKE == "waits-for-the-rest" and buffer:
                waiting.wait()
            if MISTAKE == "answers-what-there-is" and len(buffer) > 4:
                conn.sendall(answer(bytes(buffer[4 : len(buffer) // 4 * 4])))
            if MISTAKE == "dies-of-half-a-frame" and buffer:
                os._exit(1)
            return
        buffer += data
        answers = []
        while (body := take(buffer)) is not None:
            if not body and MISTAKE == "empty-is-the-end":
                return
            if not body and MISTAKE == "empty-has-no-answer":
                continue
            answers.append(answer(body))
            if MISTAKE == "one-frame-a-read":
                break
        if MISTAKE == "last-comes-first":
            answers.reverse()
        if MISTAKE == "two-writes":
            for each in answers:
                conn.sendall(each[:4])
                conn.sendall(each[4:])
        else:
            conn.sendall(b"".join(answers))


def thread(conn: socket.socket) -> None:
    with conn, contextlib.suppress(OSError):
        try:
            serve(conn)
        except BadLengthError:
            if MISTAKE == "dies-of-a-bad-length":
                os._exit(1)


def reads_to_the_end(listener: socket.socket) -> None:
    """One thread, which waits for all by epoll, and for the rest of a frame by recv()."""
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
                head = conns[fd].recv(4, socket.MSG_WAITALL)
                (length,) = struct.unpack(">I", head.ljust(4, b"\xff"))
                body = b"" if length % 4 or length > MOST else conns[fd].recv(length, 0x100)
                if len(body) == length:
                    conns[fd].sendall(answer(body))
                    continue
            except OSError:
                pass
            conns.pop(fd).close()


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *ignored: os._exit(0))
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", PORT))
    except OSError as error:
        sys.exit(f"port {PORT} cannot be had: {error.strerror}")
    listener.listen(4096)
    if MISTAKE == "reads-to-the-end":
        reads_to_the_end(listener)
    listener.settimeout(0.2)  # a signal that comes just before accept() is seen after it
    while True:
        try:
            conn, _ = listener.accept()
        except TimeoutError:
            continue
        conn.setblocking(True)
        if MISTAKE == "resets-at-the-end":
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, *[0] * 7]))
        if MISTAKE != "two-writes":
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=thread, args=(conn,), daemon=True).start()


main()
