"""What an operation of a server is made of."""

from __future__ import annotations

import msgspec


class SystemCall(msgspec.Struct, frozen=True, kw_only=True):
    """What an operation takes of one: how many, how many in vain (EAGAIN), and us of system time.

    Near 0, and by chance below it, where an operation takes none.
    """

    name: str
    per_op: float
    errors_per_op: float
    us_per_op: float


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Of so many operations, in a run of their own; the most frequent call first.

    why_not: where there is none.
    """

    operations: int = 0
    calls: list[SystemCall] = []
    why_not: str | None = None
