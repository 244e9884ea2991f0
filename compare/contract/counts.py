"""What became of the connections of a load."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Counts(msgspec.Struct, kw_only=True):
    """Connections by what became of them.

    connected: the handshake is done, which the kernel's backlog does without the server.
    served: at least one verified reply. starved: connected, never served, not reset.
    """

    attempted: int = 0
    connected: int = 0
    served: int = 0
    starved: int = 0
    refused: int = 0
    reset: int = 0
    timed_out: int = 0


def added(parts: Sequence[Counts]) -> Counts:
    """What became of the connections of all."""
    return Counts(
        **{name: sum(getattr(part, name) for part in parts) for name in Counts.__struct_fields__}
    )
