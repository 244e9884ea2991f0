"""The loop that drives, and what it counts."""

from __future__ import annotations

import random
import select
from array import array
from collections import Counter
from collections.abc import Callable
from time import perf_counter_ns
from typing import TYPE_CHECKING, Protocol

from compare.contract.counts import Counts
from compare.contract.spec import Spec, Target
from compare.driver.schedule import due_times
from compare.host import process

if TYPE_CHECKING:
    from compare.contract.plan import Peer
    from compare.contract.room_log import RoomLog
    from compare.driver.secured import Client

MAX_EVENTS = 128  # per poll
LEAD_S = 0.003
TICK_NS = 20_000_000  # how often time-outs are looked for
TOLD_EVERY = 5  # ticks
REPLY_TIMEOUT_S = 1.0  # after the window, for what is still on its way
OPEN_TIMEOUT_S = 3.0  # the same, where the latency of what was due is wanted
QUIET_NS = 250_000_000  # nobody was answered for this long: who is not now never will be
NEVER = 2**63
BURST = 2 * MAX_EVENTS  # messages between two polls: who is late and only sends reads no reply
CATCH_UP = 1000  # messages that were due while the driver did something else


class Workload(Protocol):
    """What a workload's file gives to the loop.

    lead_s: of a turn, until it runs as it will; measured, see docs/measuring.md.
    """

    lead_s: float

    def connect(self) -> None:
        """Open the connections; return when each is there or given up."""

    def begin(self) -> None:
        """Who has nothing under way sends its next message; in a closed loop."""

    def pause(self) -> None:
        """Who is answered from now on sends nothing more; in a closed loop."""

    def under_way(self) -> int:
        """What is to come home before another server has its turn.

        Replies to those who have been answered before: the others may never be.
        """

    def offer(self, due: int, now: int) -> None:
        """A message is due, in an open loop: send it, or keep it until it can be sent."""

    def operations_at_once(self) -> int:
        """How many operations one message is."""

    def idle(self) -> bool:
        """Whether there is nobody to send anything to, so that waiting shows nothing."""

    def tick(self, now: int) -> None:
        """Every TICK_NS: deal with what has taken too long."""

    def unanswered(self) -> int:
        """The same at the end, when more patience is in place."""

    def finish(self) -> None:
        """Complete the counts once nothing more is expected."""

    def meet(self, peers: list[Peer]) -> None:
        """Others drive a part of the same; only of a chat room."""

    # For a picture; in a closed loop.

    def lanes(self) -> int:
        """How many connections there are."""

    def tell(self, number: int, note: Callable[[int, int, int], None]) -> None:
        """From now on tell of each operation of a connection: its number, from, to."""

    def waiting_since(self, number: int) -> int | None:
        """When the message was sent whose reply that connection awaits; None if it does not."""


class Load:
    """What the loop and the connections share.

    samples: one latency in ns for every operation, in the order they were completed. Beside it,
        operation by operation, stands in `starts` when it was sent; in an open loop when it was
        due, which the latency counts from, too, and in `service` the latency from sending.
    lateness: ns that a message was sent after it was due and could be; open loop.
    missed: when those were due that were never answered, lost datagrams not counted; open loop.
    lost: when datagrams were due that were lost. unsent: when those of the missed were due that
        could not be sent.
    connect_samples: one in ns for every connection.
    tls: what connections have in common that speak it; None over plain TCP.
    sending: while True, a connection sends its next message when its last is answered.
    """

    def __init__(self, spec: Spec, target: Target, told: Callable[[], None] | None = None) -> None:
        """`told` hears now and then that there may have been more operations."""
        self.spec = spec
        self.target = target
        self._told = told
        self._ticks = 0
        self.address = (target.host, target.port)
        self.tls = tls_of(spec)
        self.epoll = select.epoll()
        self.handlers: dict[int, Callable[[], None]] = {}
        self.samples: array[int] = array("Q")
        self.starts: array[int] = array("Q")
        self.service: array[int] = array("Q")
        self.lateness: array[int] = array("Q")
        self.missed: array[int] = array("Q")
        self.lost: array[int] = array("Q")
        self.unsent: array[int] = array("Q")
        self.offered = 0  # operations
        self.connect_samples: array[int] = array("Q")
        self.skews: array[int] = array("Q")  # chat: ns from the first delivery to the last
        self.counts = Counts()
        self.errors: Counter[str] = Counter()
        self.details: list[str] = []  # what exactly was wrong, for the first few
        self.sending = True
        self.sent = 0  # datagrams
        self.peak_sockets = 0
        # Of a room that others share: how wrong two clocks make a latency, when those operations
        # began for which it takes two, and who received what.
        self.clock_error_ns: int | None = None
        self.elsewhere_starts: set[int] = set()
        self.room_log: RoomLog | None = None
        self._schedules = 0
        self._due = NEVER  # the next time that something is
        self._next_due: Callable[[], int]
        self._offer: Callable[[int, int], None]
        self._at_once = 1
        self.nap_s = TICK_NS / 1e9
        self._counted = -1
        self._counted_at = 0

    def watch(self, fd: int, handler: Callable[[], None], events: int = select.EPOLLIN) -> None:
        self.handlers[fd] = handler
        self.epoll.register(fd, events)

    def keep_to_schedule(self, workload: Workload, rate: float, start: int | None = None) -> None:
        """From now on `run` offers a message whenever one is due; `rate` operations a second.

        With `start`, a time in ns, from then on; and several drivers take turns. Each time is
        another part of the schedule, or what is due in a slice would always be due in its midst.
        """
        spec = self.spec
        at_once = workload.operations_at_once()
        begin = perf_counter_ns() if start is None else start
        self._schedules += 1
        chance = random.Random(f"{spec.seed} {self._schedules}")
        if spec.arrivals == "fixed":
            share = spec.shard.number / spec.shard.of if spec.shard else chance.random()
            begin += int(1e9 * at_once / rate * share)
        times = due_times(begin, rate / at_once, spec.arrivals, chance.getrandbits(64))
        self._next_due = times.__next__
        self._at_once = at_once
        self._due = self._next_due()
        self._offer = workload.offer
        # A sleep ends up to 1 ms late. On a core of its own the driver need not sleep.
        if spec.pinned:
            self.nap_s = 0.0

    def offer_due(self, end: int) -> None:
        """Offer what is due before `end`; but what is too much for that is missed."""
        for _ in range(CATCH_UP):
            if self._due >= end:
                return
            self._offer(self._due, perf_counter_ns())
            self.offered += self._at_once
            self._due = self._next_due()
        now = perf_counter_ns()
        while self._due < end:
            self.lateness.append(now - self._due)
            self.missed.extend([self._due] * self._at_once)
            self.unsent.append(self._due)
            self.offered += self._at_once
            self._due = self._next_due()

    def offer_no_more(self) -> None:
        self._due = NEVER
        self.nap_s = TICK_NS / 1e9

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
                tick(now)
                self._ticks += 1
                if self._told and self.sending and not self._ticks % TOLD_EVERY:
                    self._told()
            if done and done():
                return
            nap_s = self.nap_s
            if nap_s and self._due != NEVER:
                nap_s = min(nap_s, max(0.0, (min(self._due, deadline) - now) / 1e9))
            for fd, _ in poll(nap_s, MAX_EVENTS):
                try:
                    handler = handlers[fd]
                except KeyError:  # ended by another one's event
                    continue
                handler()
            now = perf_counter_ns()
            for _ in range(BURST):
                if not self._due <= now < deadline:
                    break
                self._offer(self._due, now)
                self.offered += self._at_once
                self._due = self._next_due()
                now = perf_counter_ns()

    def answered(self, due: int, sent: int, now: int) -> None:
        """An operation of an open loop is done."""
        self.samples.append(now - due)
        self.starts.append(due)
        self.service.append(now - sent)

    def quiet_ns(self) -> int:
        """How long no answer came, in time or late, as far as calls of this have noticed."""
        now = perf_counter_ns()
        answers = len(self.samples) + self.errors["late"]
        if answers != self._counted:
            self._counted = answers
            self._counted_at = now
        return now - self._counted_at

    def look_at_server(self) -> None:
        """How many sockets it has; in no window, since that takes 20 ms of a thousand threads."""
        if self.target.pid is not None:
            self.peak_sockets = max(self.peak_sockets, process.count_sockets(self.target.pid))

    def wrong(self, expected: bytes, actual: bytes) -> None:
        """Count a reply that is not what was sent, and keep the first ones for the reason."""
        self.errors["wrong_bytes"] += 1
        if len(self.details) < 3:
            self.details.append(describe_difference(expected, actual))


def tls_of(spec: Spec) -> Client | None:
    if spec.tls is None:
        return None
    from compare.driver.secured import Client  # ssl takes its time to load

    return Client(spec.tls)


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
