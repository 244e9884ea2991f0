"""What `measure.py` needs of a server and no documentation teaches: READY, a port, an end."""

from __future__ import annotations

import os
import signal
import sys


def port_asked_for() -> int:
    """The port on the command line; 0 takes a free one."""
    return int(sys.argv[1]) if len(sys.argv) > 1 else 0


def say_ready(port: int) -> None:
    """Tell the harness where to connect, and end with status 0 on SIGTERM.

    The kernel closes the connections, as it does without a handler. Twisted puts a handler of
    its own in this one's place.
    """
    signal.signal(signal.SIGTERM, lambda *ignored: os._exit(0))
    sys.stdout.write(f"READY tcp://127.0.0.1:{port}\n")
    sys.stdout.flush()
