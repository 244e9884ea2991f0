"""What systemd has for a service: sockets that it opened, and an ear for how it is doing."""

from __future__ import annotations

import errno
import logging
import os
import re
import socket
from collections.abc import MutableMapping
from itertools import repeat

log = logging.getLogger("aionet")

_FIRST_DESCRIPTOR = 3  # SD_LISTEN_FDS_START
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")

# The sockets passed to this process that nobody has taken yet.
_left: list[tuple[str, int]] = []


def listen_fds(environ: MutableMapping[str, str] = os.environ) -> list[tuple[str, int]]:
    """The name and the descriptor of each socket passed to this process; sd_listen_fds(3).

    Takes the variables out of `environ` and marks the descriptors close-on-exec, so that no
    child believes them its own. Nothing is passed where the variables are missing, malformed
    or meant for another process. Raises OSError where a descriptor is not open.
    """
    pid, count, names = (environ.pop(variable, None) for variable in _VARIABLES)
    if pid != str(os.getpid()) or not re.fullmatch("[0-9]{1,9}", count or ""):
        return []
    size = int(count or "")
    if names is not None and names.count(":") != size - 1:
        return []
    passed = []
    for place, name in enumerate(repeat("unknown", size) if names is None else names.split(":")):
        os.set_inheritable(_FIRST_DESCRIPTOR + place, False)
        passed.append((name, _FIRST_DESCRIPTOR + place))
    return passed


def take_sockets(name: str, environ: MutableMapping[str, str] = os.environ) -> list[int]:
    """The descriptors passed under `name`, or all with an empty name; each is given out once.

    Raises OSError where there are none.
    """
    reason = _why_none(environ)
    _left.extend(listen_fds(environ))
    taken = [descriptor for each, descriptor in _left if name in ("", each)]
    if not taken:
        if _left:
            names = ", ".join(sorted({each for each, _ in _left}))
            reason = f"no socket named {name!r} was passed; there are: {names}"
        raise FileNotFoundError(errno.ENOENT, reason)
    _left[:] = [(each, descriptor) for each, descriptor in _left if descriptor not in taken]
    return taken


def _why_none(environ: MutableMapping[str, str]) -> str:
    pid, count, names = (environ.get(variable) for variable in _VARIABLES)
    if count is None:
        return (
            "no socket was passed, or each was taken already: LISTEN_FDS is not set; start it "
            "by a systemd .socket unit or by systemd-socket-activate"
        )
    if pid != str(os.getpid()):
        return f"no socket was passed: LISTEN_PID names process {pid}, this is {os.getpid()}"
    return f"no socket was passed: LISTEN_FDS is {count!r} and LISTEN_FDNAMES {names!r}"


def notify(state: str, environ: MutableMapping[str, str] = os.environ) -> bool:
    """Tell the service manager `READY=1`, `STOPPING=1` or the like; sd_notify(3).

    False where nobody asked for it (NOTIFY_SOCKET is not set), or it cannot be said.
    """
    path = environ.get("NOTIFY_SOCKET", "")
    if not path:
        return False
    if path.startswith("@"):  # the abstract namespace: unix(7) has a zero byte there
        path = "\0" + path[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(state.encode(), path)
    except OSError as error:
        log.debug("cannot tell %r to NOTIFY_SOCKET %r: %s", state, path, error)
        return False
    return True
