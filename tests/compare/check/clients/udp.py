"""UDP clients with one mistake each: `udp.py MISTAKE HOST PORT`; `none` makes none."""

from __future__ import annotations

import os
import socket
import sys
import time

MISTAKE, SERVER = sys.argv[1], (sys.argv[2], int(sys.argv[3]))
SIZE = 1024 if MISTAKE == "cuts" else 65535
FIRST_S, TIMES = 0.5, 4


def ask(sock: socket.socket, question: bytes) -> bytes | None:
    """The same bytes from the server, or None."""
    for attempt in range(1 if MISTAKE == "asks-once" else TIMES):
        if MISTAKE in ("hears-everybody", "looks-at-the-address-only"):
            sock.sendto(question, SERVER)
        else:
            sock.send(question)
        until = time.monotonic() + FIRST_S * 2**attempt
        while (left := until - time.monotonic()) > 0:
            sock.settimeout(None if MISTAKE == "waits-for-ever" else left)
            if MISTAKE == "spins":
                sock.setblocking(False)
            try:
                answer, sender = sock.recvfrom(SIZE)
            except (TimeoutError, BlockingIOError):
                continue
            if MISTAKE == "looks-at-the-address-only" and sender[0] != SERVER[0]:
                continue
            if answer == question[:SIZE] or MISTAKE == "takes-any-answer":
                return answer
    if MISTAKE != "says-nothing":
        sys.stderr.write(f"{SERVER[0]} {SERVER[1]} does not answer\n")
    return None


def main() -> None:
    sock, rest, lost = socket.socket(type=socket.SOCK_DGRAM), b"", 0
    if MISTAKE not in ("hears-everybody", "looks-at-the-address-only"):
        sock.connect(SERVER)  # the kernel keeps what others send away
    while data := os.read(0, 65536):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            try:
                answer = ask(sock, line)
            except ConnectionRefusedError as error:
                if MISTAKE == "traceback":
                    raise
                answer = None
                if MISTAKE != "says-nothing":
                    sys.stderr.write(f"{SERVER[0]} {SERVER[1]}: {error.strerror}\n")
            if answer is None:
                lost += 1
            else:
                os.write(1, answer + b"\n")
    sys.exit(0 if MISTAKE == "status-0" else lost > 0)


main()
