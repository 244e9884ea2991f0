"""A worker process's side: what it tells its parent, and how it sees the end of that."""

from __future__ import annotations

import os
import select
import signal
import struct
from dataclasses import dataclass, field

from aionet.native import signal_when_parent_dies

# Who reports, whether that it is ready, and what. Below PIPE_BUF, so that a write of it is atomic
# (pipe(7)); a power of two, so that a read of a page never ends within one.
RECORD = struct.Struct("=i?507s")


# To a worker that another one replaces: accept no more, let who is there end, and stop.
RETIRE = signal.SIGQUIT


@dataclass(frozen=True, slots=True)
class Supervised:
    """A worker process, and what it knows of its parent.

    Its parent asks it to stop with SIGTERM, or with RETIRE when its successor serves. The action of
    both is the default one, to die, until the worker installs another. A second SIGTERM means
    nothing new, and must not end it at once: whoever signals a whole group or cgroup, as systemd
    does, is followed by the parent, which kills by SIGKILL. SIGINT is ignored and should stay so:
    Ctrl-C reaches the parent as well.

    Until it is ready it is killed when the parent dies; from then on it has to see to that itself.
    """

    number: int  # from 0; the one that replaces it has the same
    parent_gone: int  # descriptor at EOF once the parent has died, however it died; never written
    _reports: int = field(repr=False)

    def ready(self) -> None:
        """Tell the parent that this worker serves."""
        signal_when_parent_dies(0, 0)
        writable = select.poll()
        writable.register(self._reports, select.POLLOUT)
        while not self._write(True, b""):
            writable.poll()

    def report(self, what: bytes) -> None:
        """Give up to 507 bytes to `on_report` of the parent, or to nobody if it is too busy."""
        self._write(False, what)

    def _write(self, ready: bool, what: bytes) -> bool:
        try:
            os.write(self._reports, RECORD.pack(os.getpid(), ready, what))
        except BlockingIOError:
            return False
        except BrokenPipeError:  # nobody is left to be told
            pass
        return True
