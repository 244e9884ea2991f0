"""What became of datagrams that were due and never came back."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from compare.contract.counts import Many


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """Of the datagrams `due` in the windows of an open loop, those that were not answered.

    lost: all of them. server_buffer: found the receive buffer of the server's socket full;
    driver_buffer: replies that found the driver's full. Both are None where it cannot see that.
    unsent: the driver could not send. What is left was sent, and nobody knows more of it.
    """

    due: Many
    lost: Many
    server_buffer: Many | None
    driver_buffer: Many | None
    unsent: Many

    @property
    def share(self) -> float:
        return self.lost / self.due if self.due else 0.0

    @property
    def at_driver(self) -> int:
        """What it lost itself or never sent, so that no server could have answered."""
        return (self.driver_buffer or 0) + self.unsent

    @property
    def unexplained(self) -> int:
        """Never answered, as far as is known; what is counted twice at the ends of windows not."""
        return max(0, self.lost - (self.server_buffer or 0) - self.at_driver)


def total(parts: Iterable[Loss | None]) -> Loss | None:
    """Of several windows, rounds or drivers; None where none has any."""
    known = [each for each in parts if each is not None]
    if not known:
        return None
    return Loss(
        due=sum(each.due for each in known),
        lost=sum(each.lost for each in known),
        server_buffer=_sum([each.server_buffer for each in known]),
        driver_buffer=_sum([each.driver_buffer for each in known]),
        unsent=sum(each.unsent for each in known),
    )


def _sum(values: list[int | None]) -> int | None:
    known = [each for each in values if each is not None]
    return sum(known) if len(known) == len(values) else None
