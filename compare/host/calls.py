"""The system calls of a process and its children, counted by strace(1)."""

from __future__ import annotations

import re
import shutil
from typing import NamedTuple

from compare.host.kin import tree
from compare.host.onlooker import PERMIT, Onlooker

# % time, seconds, usecs/call, calls, perhaps errors, name
_ROW = re.compile(r"\s*[\d.]+\s+([\d.]+)\s+\d+\s+(\d+)\s+(?:(\d+)\s+)?([a-z]\w*)\s*")


class Call(NamedTuple):
    """How often it was made, how often in vain (EAGAIN counts), and its system time."""

    name: str
    made: int
    errors: int
    seconds: float


def why_not() -> str | None:
    """Why nothing can be counted here; None if it can."""
    if shutil.which("strace") is None:
        return "--profile needs strace(1), which counts system calls: apt install strace"
    return None


def parse(text: str) -> list[Call]:
    """The rows of `strace -c`, in their order; without the total."""
    rows = [match for line in text.splitlines() if (match := _ROW.fullmatch(line))]
    return [
        Call(name, int(count), int(errors or 0), float(seconds))
        for seconds, count, errors, name in (match.groups() for match in rows)
        if name != "total"
    ]


class Calls(Onlooker):
    """Counts, while inside, the system calls of process `pid` and of all that was born of it.

    `found` has them afterwards. Raises OSError where strace cannot attach.
    """

    def __init__(self, pid: int) -> None:
        # By -f it follows who is born while it looks, and no child that is there already.
        whom = [word for each in tree(pid) for word in ("-p", str(each))]
        super().__init__(["strace", "-f", "-c", *whom], "attached")

    @property
    def found(self) -> list[Call]:
        return parse(self.written)

    def why_refused(self, said: list[str]) -> str:
        return f"{said[-1]}: {PERMIT}"
