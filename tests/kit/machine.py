"""What a test needs of the machine that not every machine has: who lacks it skips, and says so."""

from __future__ import annotations

import errno
import resource
import socket
import threading
from typing import Any

import pytest


def has_ipv6() -> bool:
    """Whether this machine has the loopback address of IPv6, which a kernel with IPv6 may lack."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


NO_IPV6 = "there is no IPv6 here"
needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason=NO_IPV6)


def over_ipv6(*case: object) -> Any:
    """A case of a test that needs it, where other cases do not."""
    return pytest.param(*case, marks=needs_ipv6)


class WithoutIPv6(socket.socket):
    """A socket on a machine that has no IPv6."""

    def __init__(self, family: int = -1, *args: Any, **options: Any) -> None:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        super().__init__(family, *args, **options)


def most_descriptors() -> int:
    """As many as a process here may have."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def needs_descriptors(many: int) -> pytest.MarkDecorator:
    hard = most_descriptors()
    return pytest.mark.skipif(
        hard < many, reason=f"it takes {many} descriptors, and ulimit -Hn is {hard} here"
    )


def let_no_thread_begin(patch: pytest.MonkeyPatch, work: str, many: int = 0) -> None:
    """As on a machine that lets no more begin (ulimit -u): of those whose name has `work`, after
    so many.
    """
    begin, asked = threading.Thread.start, []

    def may_begin(thread: threading.Thread) -> None:
        if work in thread.name:
            asked.append(thread)
            if len(asked) > many:
                raise RuntimeError("can't start new thread")
        begin(thread)

    patch.setattr(threading.Thread, "start", may_begin)
