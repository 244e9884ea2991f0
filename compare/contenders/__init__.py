"""Servers that are only there to be compared with.

`bare_epoll` and `bare_protocol` are the least that echoes. The frameworks serve the same services
as our own models, each as its documentation would have it written, by

    python -m compare.contenders serve {echo|udp-echo|chat} --framework {gevent|tornado|...}

What becomes of a connection is decided for all of them in `aionet.core`; a framework reads, feeds
that, writes what it says, and waits.
"""

# The limits and timeouts that they keep. All accept whoever comes.
SETTINGS = (
    *("message", "write_buffer", "outbox", "min_rate"),
    *("idle", "message_timeout", "half_closed", "write", "drain", "linger"),
)
