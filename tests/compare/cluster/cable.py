"""python cable.py ONE OTHER SECONDS: two TAP devices, and what goes in at one comes out late.

For a delay on a link where the kernel has no netem; see Documentation/networking/tuntap.rst.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import sys
import time
from collections import deque

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
FRAME = 65536


def tap(name: str) -> int:
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI))
    return descriptor


def main() -> None:
    one, other = tap(sys.argv[1]), tap(sys.argv[2])
    delay = float(sys.argv[3])
    across = {one: other, other: one}
    waiting: deque[tuple[float, int, bytes]] = deque()  # in the order in which they are due
    sys.stdout.write("READY\n")
    sys.stdout.flush()
    while True:
        rest = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for descriptor in select.select([one, other], [], [], rest)[0]:
            try:
                frame = os.read(descriptor, FRAME)
            except OSError:  # the device is down
                continue
            waiting.append((time.monotonic() + delay, across[descriptor], frame))
        while waiting and waiting[0][0] <= time.monotonic():
            _, descriptor, frame = waiting.popleft()
            try:
                os.write(descriptor, frame)
            except OSError:  # down, or its queue is full: a link may lose frames
                continue


if __name__ == "__main__":
    main()
