"""Is found what a handler was told to do for each message?

Two servers of a model, of which one is told more: what both have in common, such as by how much a
sleep lasts longer than it should, is in neither difference. Both are told much, since a core that
was idle for longer wakes up later, and costs more to wake; and one message at a time is worked on,
since a thread that waits for the interpreter's lock costs CPU for as long as another has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from compare.host.cores import Cores
from compare.models.handler import Handler
from compare.models.matrix import MODELS
from compare.models.model import Model
from compare.results.records import Cell, Round
from compare.results.statistics import mean_of
from compare.selftest.finding import LATENCY, Check, Finding, State
from compare.selftest.side_by_side import side_by_side

SIZE = 1000
WORK = (Handler(work_us=200, size=SIZE), Handler(work_us=250, size=SIZE))
WAIT = (Handler(wait_us=10_000, size=SIZE), Handler(wait_us=15_000, size=SIZE))


def told(model: str, handler: Handler) -> Model:
    """A model of ours with that in its command, whatever the load says."""
    plain = MODELS[model]
    name = f"{model}, {handler.work_us:g} and {handler.wait_us:g} us"
    return replace(plain, name=name, command=handler.around(plain.command))


def more(
    less: Cell, most: Cell, value: Callable[[Round], float | None]
) -> tuple[float, tuple[float, float] | None]:
    """By how much the second has more of it, over the rounds, and the interval."""
    both = zip(less.rounds, most.rounds, strict=True)
    pairs = [(value(one), value(other)) for one, other in both]
    return mean_of([b - a for a, b in pairs if a is not None and b is not None] or [0.0])


def judged(
    name: str, planted_us: float, found: tuple[float, tuple[float, float] | None]
) -> Finding:
    """Wrong is what is off beyond doubt."""
    seen, interval = found
    low, high = interval or (seen, seen)
    state: State = "wrong"
    if abs(seen / planted_us - 1) <= LATENCY:
        state = "right"
    elif low <= planted_us <= high:
        state = "noisy"
    return Finding(name, f"{planted_us:,.0f} µs", f"{seen:,.1f} µs", state)


def work(model: str) -> Check:
    """A check that so much more work is so much more CPU."""

    def check(cores: Cores) -> Iterator[Finding]:
        less, most = _side_by_side(cores, model, WORK, rounds=8, connections=1)
        planted_us = WORK[1].work_us - WORK[0].work_us
        found = more(less, most, lambda each: each.server.cpu_us_per_op)
        name = f"{planted_us:g} µs more of work for a message, {model}: more CPU"
        yield judged(name, planted_us, found)

    check.__name__ = f"work of {model}"
    return check


def wait(model: str) -> Check:
    """A check that so much longer a wait is so much more latency."""

    def check(cores: Cores) -> Iterator[Finding]:
        less, most = _side_by_side(cores, model, WAIT, rounds=3, connections=8)
        planted_us = WAIT[1].wait_us - WAIT[0].wait_us
        found = more(less, most, lambda each: each.latency_us.p50)
        name = f"{planted_us / 1000:g} ms more of waiting, {model}: later p50"
        yield judged(name, planted_us, found)

    check.__name__ = f"wait of {model}"
    return check


def _side_by_side(
    cores: Cores, model: str, handlers: tuple[Handler, ...], rounds: int, connections: int
) -> list[Cell]:
    """A cell of each, in their order."""
    steps = [told(model, each) for each in handlers]
    return side_by_side(cores, steps, "tcp-long", rounds, size=SIZE, connections=connections)


HANDLERS: list[Check] = [work("threaded"), work("epoll"), wait("threaded"), wait("asyncio")]
