"""Is found what a handler was told to do for each message?

Two servers of a model, of which one is told more: what both have in common, such as by how much a
sleep lasts longer than it should, is in neither difference. They are told so much that what grows
with it and is not theirs is little beside it: a core that was idle for longer wakes up later, and
costs more to wake. For the same reason one message at a time is worked on: a thread that waits for
the interpreter's lock costs CPU for as long as another has it, which is the model's own.
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
WORK_US, WORK_ROUNDS = 200.0, 4
WAIT_US, WAIT_ROUNDS = 10_000.0, 3


def told(model: str, handler: Handler) -> Model:
    """A model of ours with that in its command, whatever the load says."""
    plain = MODELS[model]
    name = f"{model}, {handler.work_us:g} and {handler.wait_us:g} us"
    return replace(plain, name=name, command=handler.around(plain.command))


def more(
    once: Cell, twice: Cell, value: Callable[[Round], float | None]
) -> tuple[float, tuple[float, float] | None]:
    """By how much the second has more of it, over the rounds, and the interval."""
    both = zip(once.rounds, twice.rounds, strict=True)
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
        once, twice = _told_once_and_twice(cores, model, Handler(work_us=WORK_US), WORK_ROUNDS, 1)
        found = more(once, twice, lambda each: each.server.cpu_us_per_op)
        name = f"{WORK_US:g} µs more of work for a message, {model}: more CPU"
        yield judged(name, WORK_US, found)

    check.__name__ = f"work of {model}"
    return check


def wait(model: str) -> Check:
    """A check that so much longer a wait is so much more latency."""

    def check(cores: Cores) -> Iterator[Finding]:
        once, twice = _told_once_and_twice(cores, model, Handler(wait_us=WAIT_US), WAIT_ROUNDS, 8)
        found = more(once, twice, lambda each: each.latency_us.p50)
        name = f"{WAIT_US / 1000:g} ms more of waiting, {model}: later p50"
        yield judged(name, WAIT_US, found)

    check.__name__ = f"wait of {model}"
    return check


def _told_once_and_twice(
    cores: Cores, model: str, once: Handler, rounds: int, connections: int
) -> list[Cell]:
    once = replace(once, size=SIZE)
    twice = replace(once, work_us=2 * once.work_us, wait_us=2 * once.wait_us)
    steps = [told(model, each) for each in (once, twice)]
    cells = side_by_side(cores, steps, "tcp-long", rounds, size=SIZE, connections=connections)
    by_name = {each.model: each for each in cells}
    return [by_name[each.name] for each in steps]


HANDLERS: list[Check] = [work("threaded"), work("epoll"), wait("threaded"), wait("asyncio")]
