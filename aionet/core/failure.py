"""What a service raises costs the peer over which it did, and nobody else."""

from __future__ import annotations

import sys


def let_exits_pass() -> None:
    """Within `except BaseException`: raise again what is to end the process.

    All else stays where it is: asyncio.CancelledError, which a service gets from a future that was
    cancelled, is no Exception either, and was not meant for the loop.
    """
    if isinstance(sys.exception(), KeyboardInterrupt | SystemExit):
        raise
