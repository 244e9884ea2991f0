"""Why a program cannot listen, in one line, for whoever started it."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from aionet.address import Address
from aionet.port_owner import port_owner


@contextmanager
def explaining(address: Address) -> Iterator[None]:
    """Within it, not being able to listen there ends the program: one line on stderr, status 1.

    Raises SystemExit, whose `__cause__` is what went wrong, an OSError for the most part.
    """
    try:
        yield
    except (OSError, OverflowError, UnicodeError) as error:
        reason = _explain(error, address)
        raise SystemExit(f"error: cannot listen on {address}: {reason}") from error


def _explain(error: Exception, address: Address) -> str:
    code = error.errno if isinstance(error, OSError) else None
    if isinstance(error, OSError) and address.scheme not in ("tcp", "udp"):
        if code == errno.EADDRINUSE and (owner := port_owner(address)):
            return f"{owner} has it; stop that, or choose another path"
        return error.strerror or str(error)
    if code == errno.EADDRINUSE:
        owner = port_owner(address)
        by = f" by {owner}" if owner else ""
        return f"the port is in use{by}; stop that, or choose another port (0 takes a free one)"
    if code == errno.EACCES:
        return "ports below 1024 need privileges; choose a higher one"
    if code in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):  # the second: a kernel without IPv6
        return "this machine does not have that address; 127.0.0.1 or 0.0.0.0 will do"
    if isinstance(error, socket.gaierror):
        return f"the name {address.host!r} is not known; use an IP address"
    return (error.strerror if isinstance(error, OSError) else None) or f"{error}"
