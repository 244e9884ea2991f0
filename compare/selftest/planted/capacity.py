"""A UDP echo server that answers so many datagrams in a second: `capacity.py PER_S BUFFER`.

PER_S: at most, and as many as long as some wait. BUFFER: what it asks SO_RCVBUF for, in bytes.
On SIGTERM it says on stdout, as JSON, how many it received.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time
from time import perf_counter_ns as clock

GAP_NS = round(1e9 / float(sys.argv[1]))
BUFFER = int(sys.argv[2])

did = {"received": 0}


def report(*signal_and_frame: object) -> None:
    os.write(1, json.dumps(did).encode())
    os._exit(0)


def main() -> None:
    signal.signal(signal.SIGTERM, report)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        os.write(1, b"READY udp://127.0.0.1:%d\n" % sock.getsockname()[1])
        may = 0  # answer the next one then
        while True:
            try:
                data, client = sock.recvfrom(65536)
            except BlockingIOError:  # what it has not been asked for it does not catch up with
                select.select([sock], [], [])
                may = clock()
                continue
            did["received"] += 1
            sock.sendto(data, client)
            may += GAP_NS
            if (early_ns := may - clock()) > 0:
                time.sleep(early_ns / 1e9)


main()
