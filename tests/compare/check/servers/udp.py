"""UDP echo servers with one mistake each: `udp.py MISTAKE PORT [HOST]`; `none` makes none."""

from __future__ import annotations

import collections
import errno
import os
import signal
import socket
import sys
import time

MISTAKE, PORT = sys.argv[1], int(sys.argv[2])
HOST = sys.argv[3] if len(sys.argv) > 3 else "127.0.0.1"


kept: dict[object, bytes] = {}
last = b""
now: collections.deque[float] = collections.deque(maxlen=30)
asked: collections.Counter[object] = collections.Counter()
ports: dict[int, tuple[str, int]] = {}


def changed(data: bytes) -> bytes:
    """What comes back."""
    if MISTAKE == "strips":
        return data.strip(b"\0\n")
    if MISTAKE == "cuts-to-a-frame" and 1472 < len(data) < 60_000:
        return data[:1472]
    if MISTAKE == "raises-lower-case" and data.isascii():
        return data.upper()
    if MISTAKE == "answers-late" and last:
        return last
    return data


def main() -> None:
    global last
    first, answers, last_s = None, 0, 0.0
    signal.signal(signal.SIGTERM, lambda *ignored: os._exit(0))
    sock = socket.socket(type=socket.SOCK_DGRAM)
    try:
        sock.bind((HOST, PORT))
    except OSError as error:
        sys.exit(f"port {PORT} cannot be had: {error.strerror}")
    if MISTAKE == "dies-of-a-refusal":
        sock.setsockopt(socket.IPPROTO_IP, 11, 1)  # IP_RECVERR: errors of what was sent are told
    sock.settimeout(0.2)  # a signal that comes just before recvfrom() is seen after it
    while True:
        try:
            if MISTAKE == "asks-for-ever":
                sock.setblocking(False)
            data, client = sock.recvfrom(1024 if MISTAKE == "cuts" else 65536)
            if MISTAKE == "drops-the-empty" and not data:
                continue
            if MISTAKE == "quit-closes" and data.strip() == b"quit":
                sys.exit(0)
            if MISTAKE == "drops-9001-to-65506" and 9000 < len(data) < 65507:
                continue
            if MISTAKE == "delays":
                time.sleep(0.02)
            if MISTAKE == "answers-the-first-client":
                client = first = first or client
            if MISTAKE == "answers-from-another-port":
                with socket.socket(type=socket.SOCK_DGRAM) as other:
                    other.sendto(changed(data), client)
                continue
            places = {"takes-1024-clients": 1024, "takes-8192-clients": 8192}.get(MISTAKE)
            if places and len(kept) >= places and client not in kept:
                continue
            asked[client] += MISTAKE == "takes-3000-of-each"
            if asked[client] > 3000:
                continue
            if MISTAKE == "drops-what-has-come" and kept.get(client) == data:
                continue
            now.append(time.monotonic())
            if MISTAKE == "thirty-at-once" and len(now) == 30 and now[-1] - now[0] < 0.01:
                continue
            if MISTAKE == "by-port-alone":
                client = ports.setdefault(client[1], client)
            last_s = time.monotonic()
            if places or MISTAKE in ("drops-what-has-come", "keeps-each-client"):
                kept[client] = bytes(10_000) if MISTAKE == "keeps-each-client" else data
            answers += 1
            if MISTAKE == "loses-one-in-a-hundred" and answers % 100 == 0:
                continue
            sock.sendto(changed(data), client)
            if MISTAKE == "answers-twice":
                sock.sendto(changed(data), client)
            last = data
        except (TimeoutError, BlockingIOError):
            if MISTAKE == "ends-when-nobody-asks" and answers and time.monotonic() > last_s + 2:
                sys.exit(1)
        except OSError as error:
            if errno.errorcode[error.errno or 0] == {"dies-of-einval": "EINVAL"}.get(
                MISTAKE, "ECONNREFUSED"
            ):
                sys.exit(1)


main()
