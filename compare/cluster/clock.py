"""What time it is on another host: by asking, and taking the quickest answer."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class Clock(msgspec.Struct, frozen=True):
    """Another host's monotonic clock beside ours, in ns.

    offset_ns: what it shows more than ours. error_ns: by how much that may be wrong at the most.
    """

    offset_ns: int
    error_ns: int

    def there(self, instant_ns: int) -> int:
        """An instant of ours, by its clock."""
        return instant_ns + self.offset_ns

    def here(self, instant_ns: int) -> int:
        """An instant of its, by our clock."""
        return instant_ns - self.offset_ns

    def drifted(self, later: Clock) -> Clock:
        """The same, with what it has drifted until `later` as a further error."""
        drift = abs(later.offset_ns - self.offset_ns)
        return Clock(self.offset_ns, self.error_ns + drift if self.error_ns else 0)


SAME = Clock(0, 0)  # of hosts that share a kernel


def estimate(asked: Iterable[tuple[int, int, int]]) -> Clock:
    """By (sent, theirs, received): when we asked, what it showed, when we knew.

    It was read at some time between the two; half of what the quickest answer took is the most
    by which the middle can be wrong, however different the ways there and back (Cristian,
    Probabilistic clock synchronization, 1989). Raises ValueError where nothing was asked.
    """
    sent, theirs, received = min(asked, key=lambda each: each[2] - each[0])
    return Clock(theirs - (sent + received) // 2, -(-(received - sent) // 2))
