"""A process that sends datagrams to a port of 127.0.0.1 as fast as it can."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

_FLOOD = """
import socket, sys
sock = socket.socket(type=socket.SOCK_DGRAM)
sock.connect(("127.0.0.1", int(sys.argv[1])))
print("READY", flush=True)
while True:
    try:
        sock.send(bytes(100))
    except OSError:  # a full queue, or nobody there any more
        pass
"""


@contextlib.contextmanager
def datagram_flood(port: int) -> Iterator[None]:
    """Within it."""
    command = [sys.executable, "-c", _FLOOD, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"READY\n"
            yield
        finally:
            process.kill()
