"""The end of what a process writes, however much it writes: read on, so that it never waits."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import threading
import time

from compare.host.daemon import daemon

KEPT_BYTES = 65536
PIPE_BYTES = 1024 * 1024
NAP_S = 0.01  # between two reads of one who writes a lot


def last(said: bytes, most: int) -> str:
    """At most so many bytes of its end, from a whole word on, if none of them is very long.

    "..." is for what was before.
    """
    said = said.strip()
    if len(said) <= most:
        return said.decode(errors="replace")
    return "... " + re.sub(rb"^\S{0,100}\s+", b"", said[-most:]).decode(errors="replace")


class Tail:
    """Reads from a pipe, which is its own from now on, until its end. Raises OSError."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        with contextlib.suppress(OSError):  # who prints each message must not wait for our nap
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._kept = bytearray()
        self._ended = threading.Event()
        try:
            daemon(self._read_on)
        except OSError:
            os.close(descriptor)
            raise

    def now(self) -> bytes:
        """The end of what was written until now."""
        with self._lock:
            self._read()
            return bytes(self._kept)

    def whole(self, within: float) -> bytes:
        """The same, once nobody can write any more."""
        self._ended.wait(within)
        return self.now()

    def _read_on(self) -> None:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        while not self._ended.is_set():
            poll.poll()
            with self._lock:
                self._read()
            time.sleep(NAP_S)

    def _read(self) -> None:
        """All there is now."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(256):  # who writes faster than we read must not hold us up
                if self._ended.is_set():
                    return
                piece = os.read(self._descriptor, KEPT_BYTES)
                if not piece:
                    self._ended.set()
                    os.close(self._descriptor)
                    return
                self._kept += piece
                del self._kept[:-KEPT_BYTES]
