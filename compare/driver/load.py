"""The loop that drives, and what it counts."""

from __future__ import annotations

import select
from array import array
from collections import Counter
from collections.abc import Callable
from time import perf_counter_ns
from typing import Protocol

import msgspec

from compare import process

MAX_EVENTS = 128  # per poll
TICK_NS = 20_000_000  # how often time-outs are looked for
REPLY_TIMEOUT_S = 1.0  # after the window, for what is still on its way
QUIET_NS = 250_000_000  # nobody was answered for this long: who is not now never will be


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What to do: the driver's only input. Times in seconds, `size` in bytes."""

    workload: str
    host: str
    port: int
    connections: int
    size: int
    warmup_s: float
    duration_s: float
    seed: int
    server_pid: int
    server_core: int | None
    driver_core: int | None


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


class Workload(Protocol):
    """What a workload's file gives to the loop."""

    def connect(self) -> None:
        """Open the connections; return when each is there or given up."""

    def begin(self) -> None:
        """Send the first message of each."""

    def idle(self) -> bool:
        """Whether there is nobody to send anything to, so that waiting shows nothing."""

    def tick(self, now: int) -> None:
        """Every TICK_NS: deal with what has taken too long."""

    def unanswered(self) -> int:
        """Replies still to be expected from those who have answered before."""

    def finish(self) -> None:
        """Complete the counts once nothing more is expected."""


class Load:
    """What the loop and the connections share.

    samples: one latency in ns for every operation, in the order they were completed.
    connect_samples: one in ns for every connection.
    sending: while True, a connection sends its next message when its last is answered.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.address = (spec.host, spec.port)
        self.epoll = select.epoll()
        self.handlers: dict[int, Callable[[], None]] = {}
        self.samples: array[int] = array("Q")
        self.connect_samples: array[int] = array("Q")
        self.skews: array[int] = array("Q")  # chat: ns from the first delivery to the last
        self.counts = Counts()
        self.errors: Counter[str] = Counter()
        self.details: list[str] = []  # what exactly was wrong, for the first few
        self.sending = True
        self.peak_descriptors = 0
        self._counted = -1
        self._counted_at = 0

    def watch(self, fd: int, handler: Callable[[], None], events: int = select.EPOLLIN) -> None:
        self.handlers[fd] = handler
        self.epoll.register(fd, events)

    def run(
        self,
        seconds: float,
        tick: Callable[[int], None],
        done: Callable[[], bool] | None = None,
    ) -> None:
        """Drive for `seconds`, or until `done()` after a tick or a batch of events."""
        poll, handlers = self.epoll.poll, self.handlers
        now = next_tick = perf_counter_ns()
        deadline = now + int(seconds * 1e9)
        while now < deadline:
            if now >= next_tick:
                next_tick = now + TICK_NS
                self._look_at_server()
                tick(now)
            if done and done():
                return
            for fd, _ in poll(TICK_NS / 1e9, MAX_EVENTS):
                try:
                    handler = handlers[fd]
                except KeyError:  # ended by another one's event
                    continue
                handler()
            now = perf_counter_ns()

    def quiet_ns(self) -> int:
        """How long no answer came, in time or late, as far as calls of this have noticed."""
        now = perf_counter_ns()
        answers = len(self.samples) + self.errors["late"]
        if answers != self._counted:
            self._counted = answers
            self._counted_at = now
        return now - self._counted_at

    def _look_at_server(self) -> None:
        self.peak_descriptors = max(
            self.peak_descriptors, process.count_descriptors(self.spec.server_pid)
        )

    def wrong(self, expected: bytes, actual: bytes) -> None:
        """Count a reply that is not what was sent, and keep the first ones for the reason."""
        self.errors["wrong_bytes"] += 1
        if len(self.details) < 3:
            self.details.append(describe_difference(expected, actual))


def describe_difference(expected: bytes, actual: bytes) -> str:
    """Where two byte strings part, in a few words."""
    same = next(
        (i for i, (a, b) in enumerate(zip(expected, actual, strict=False)) if a != b),
        min(len(expected), len(actual)),
    )
    return (
        f"sent {len(expected)} bytes, got {len(actual)}; at byte {same} "
        f"expected {expected[same : same + 16]!r}, got {actual[same : same + 16]!r}"
    )
