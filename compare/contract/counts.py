"""What became of the connections of a load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

# What nobody can have counted is refused when it is read, from a file that was edited.
MOST = 2**63 - 1
Many = Annotated[int, msgspec.Meta(ge=0, le=MOST)]
Whole = Annotated[int, msgspec.Meta(ge=-MOST, le=MOST)]


class Counts(msgspec.Struct, kw_only=True):
    """Connections by what became of them.

    connected: the handshake is done, which the kernel's backlog does without the server.
    served: at least one verified reply. starved: connected, never served, not reset.
    """

    attempted: Many = 0
    connected: Many = 0
    served: Many = 0
    starved: Many = 0
    refused: Many = 0
    reset: Many = 0
    timed_out: Many = 0


def added(parts: Sequence[Counts]) -> Counts:
    """What became of the connections of all."""
    return Counts(
        **{name: sum(getattr(part, name) for part in parts) for name in Counts.__struct_fields__}
    )
