"""What an operation of a server is made of."""

from __future__ import annotations

import msgspec

from compare.host.stacks import is_python
from compare.results.load import Number, Whole


class SystemCall(msgspec.Struct, frozen=True, kw_only=True):
    """What an operation takes of one: how many, how many in vain (EAGAIN), and us of system time.

    Near 0, and by chance below it, where an operation takes none.
    """

    name: str
    per_op: Number
    errors_per_op: Number
    us_per_op: Number


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """A function, where it was called from.

    file: of Python, or a library or a source of C. caller: its place in the list, which is before
    this one's; None where nobody called it. share: of the server's CPU time, from 0 to 1, with all
    that it called; own: without.
    """

    name: str
    file: str
    caller: Whole | None
    share: Number
    own: Number

    @property
    def is_python(self) -> bool:
        return is_python(self.file)


class Frames(msgspec.Struct, frozen=True, kw_only=True):
    """Where the CPU time of a server goes; what has less than a thousandth of it is left out.

    samples: of who did not sleep. had_cpu: the share of that time, from 0 to 1, in which they had a
    core; for the rest something else had it. native: whether functions of C were
    seen. why_not: where there is nothing.
    """

    samples: Whole = 0
    had_cpu: Number = 1.0
    native: bool = True
    frames: list[Frame] = []
    why_not: str | None = None


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Of so many operations, in a run of their own; the most frequent call first.

    why_not: where there is none. frames: of another run; None where py-spy is not installed.
    """

    operations: Whole = 0
    calls: list[SystemCall] = []
    why_not: str | None = None
    frames: Frames | None = None
