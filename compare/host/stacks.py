"""The call stacks of a Python process and its children, sampled by py-spy.

It stops the process for each, so that no stack is one that never was: functions of Python and,
called by them, of C, as far as those have names. A stop comes into effect some microseconds late,
or where a system call ends: what runs for less between two of them is seen in the second.
"""

from __future__ import annotations

import os
import re
import shutil
import sysconfig
from collections import Counter
from collections.abc import Collection
from typing import NamedTuple, Self

from compare.host.onlooker import PERMIT, Onlooker

RATE = 200  # samples a second of each thread; one takes less than a millisecond
_NATIVE = ("--native", "--idle")
# process PID:"COMMAND";thread (TID): NAME;outermost;...;innermost COUNT. Only a thread is sure to
# be there, and the command of a process may have lines.
_LINE = re.compile(r"(?:.*;)?thread \(([^)]*)\)[^;]*;(.*) (\d+)")
_FRAME = re.compile(r"(.*) \((.*)\)")


class Function(NamedTuple):
    """Of Python, or of C where `file` is a library or a source of C."""

    name: str
    file: str

    @property
    def is_python(self) -> bool:
        return is_python(self.file)


class Stack(NamedTuple):
    """The functions of a thread, the outermost first, and in how many samples they were."""

    thread: str
    functions: tuple[Function, ...]
    samples: int


def is_python(file: str) -> bool:
    return file.endswith(".py") or file.startswith("<")


def command() -> str | None:
    """py-spy, where it is: among the scripts of this Python or on the path."""
    folders = (sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath))
    return shutil.which("py-spy", path=os.pathsep.join(folders))


def why_not() -> str | None:
    """Why nothing can be sampled here; None if it can."""
    if command() is None:
        return "where their CPU goes is told by py-spy, which is not installed: pip install py-spy"
    return None


def parse(text: str) -> list[Stack]:
    """What `py-spy record --format raw --threads` writes; what has no name is its caller's."""
    counts: Counter[tuple[str, tuple[Function, ...]]] = Counter()
    for line in text.splitlines():
        if match := _LINE.fullmatch(line):
            thread, frames, samples = match.groups()
            counts[thread, _functions(frames.split(";"))] += int(samples)
    return [Stack(*key, samples) for key, samples in counts.items()]


def _functions(frames: list[str]) -> tuple[Function, ...]:
    found: list[Function] = []
    for frame in frames:
        match = _FRAME.fullmatch(frame)
        function = Function(*match.groups()) if match else Function(frame, "")
        # Before the first of Python is how a thread begins; twice in C is what was inlined.
        if function.is_python or (found and not frame.startswith("0x") and function != found[-1]):
            found.append(function)
    return tuple(found)


class Stacks(Onlooker):
    """Samples, while inside, the stacks of all threads of process `pid` and of its children.

    Whether they run or wait: `found` has them afterwards. Where no functions of C can be seen,
    `native` is False, and there are those threads alone that seemed to run. On `cores`, which
    should be others than the process has: on the same ones it looks when that waits. Raises
    OSError where py-spy cannot attach.
    """

    def __init__(self, pid: int, cores: Collection[int] = ()) -> None:
        self.native = True
        where = [command() or "py-spy", "record", "--pid", str(pid), "--subprocesses"]
        how = ["--format", "raw", "--rate", str(RATE), "--threads", "--nolineno"]
        super().__init__([*where, *how, *_NATIVE], "Sampling process", cores)

    def __enter__(self) -> Self:
        try:
            return super().__enter__()
        except OSError:  # not on every machine, nor where stacks are switched, as greenlets do
            self.native = False
            self._command = [each for each in self._command if each not in _NATIVE]
            return super().__enter__()

    @property
    def found(self) -> list[Stack]:
        return parse(self.written)

    def why_refused(self, said: list[str]) -> str:
        if said[0].startswith("Permission"):
            return f"py-spy is not permitted to look: {PERMIT}"
        return f"py-spy: {said[0].removeprefix('Error: ')}"
