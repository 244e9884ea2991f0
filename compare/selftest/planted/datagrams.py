"""A UDP echo server with a fault: `datagrams.py FAULT [EVERY]`.

EVERY: the fault shows in every so many datagrams. On SIGTERM it says on stdout, as JSON, how
often it did what.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable

Address = tuple[str, int]

FAULT = sys.argv[1]
EVERY = int(sys.argv[2]) if len(sys.argv) > 2 else 1

did: Counter[str] = Counter()
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
held: dict[Address, bytes] = {}


def correct(data: bytes, client: Address) -> None:
    sock.sendto(data, client)


def lost(data: bytes, client: Address) -> None:
    """No reply."""


def duplicate(data: bytes, client: Address) -> None:
    sock.sendto(data, client)
    sock.sendto(data, client)


def late(data: bytes, client: Address) -> None:
    """The reply comes with the client's next datagram: the client has given it up by then."""
    held[client] = data


overtaken = late


def changed(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def corrupt_number(data: bytes, client: Address) -> None:
    sock.sendto(changed(data, 0), client)


def corrupt_time(data: bytes, client: Address) -> None:
    sock.sendto(changed(data, 15), client)


def corrupt_filler(data: bytes, client: Address) -> None:
    sock.sendto(changed(data, len(data) - 1), client)


def cut(data: bytes, client: Address) -> None:
    sock.sendto(data[:-1], client)


def extra(data: bytes, client: Address) -> None:
    sock.sendto(data + b"!", client)


def empty(data: bytes, client: Address) -> None:
    sock.sendto(b"", client)


def report(*signal_and_frame: object) -> None:
    os.write(1, json.dumps(did).encode())
    os._exit(0)


def main() -> None:
    signal.signal(signal.SIGTERM, report)
    sock.bind(("127.0.0.1", 0))
    if FAULT == "refuses":
        sock.connect(sock.getsockname())  # takes only its own: the others' come back by ICMP
    os.write(1, b"READY udp://127.0.0.1:%d\n" % sock.getsockname()[1])
    if FAULT == "refuses":
        threading.Event().wait()
    fault: Callable[[bytes, Address], None] = globals()[FAULT]
    while True:
        data, client = sock.recvfrom(65536)
        did["received"] += 1
        if client in held:
            before = held.pop(client)
            did["released"] += 1
            replies = (data, before) if FAULT == "overtaken" else (before, data)
            for reply in replies:
                sock.sendto(reply, client)
        elif did["received"] % EVERY:
            sock.sendto(data, client)
        else:
            did["faults"] += 1
            fault(data, client)


main()
