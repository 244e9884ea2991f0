"""Servers that are only there to be compared with.

`bare_epoll` and `bare_protocol` are the least that echoes. The frameworks serve the same services
as our own models, each as its documentation would have it written, by

    python -m compare.contenders serve {echo|udp-echo|chat} --framework {gevent|tornado|...}

What becomes of a connection is decided for all of them in `aionet.core`; a framework reads, feeds
that, writes what it says, and waits.
"""

from __future__ import annotations

from aionet.command import Serve, fail

# The limits and timeouts that they keep. All accept whoever comes.
SETTINGS = (
    *("message", "write_buffer", "outbox", "min_rate"),
    *("idle", "message_timeout", "half_closed", "write", "drain", "linger"),
)


def check(task: Serve) -> None:
    """One line on stderr and exit 1 for what was asked for, and none of them does."""
    if task.talk is not None:
        fail(f"{task.option} cannot wait for a keyboard, so that --talk does nothing")
    task.refuse_useless()
