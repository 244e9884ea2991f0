"""When some of the connections waited, for a picture."""

from __future__ import annotations

import msgspec


class Lane(msgspec.Struct, frozen=True):
    """One connection in the picture, in us since that begins.

    spans: from when a message was sent to when its reply was there. waiting_since: when that one
    was sent whose reply was not there at the end; below 0, before the picture began.
    """

    connection: int
    spans: list[tuple[float, float]]
    waiting_since: float | None


class Trace(msgspec.Struct, frozen=True):
    """The picture, and how many us it is wide."""

    width_us: float
    lanes: list[Lane]
