"""Is found what a handler was told to do for each message?

Two servers of a model, of which one is told more: what both have in common, such as by how much a
sleep lasts longer than it should, is in neither difference.
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
WORK_US, WORK_ROUNDS = 50.0, 4
WAIT_US, WAIT_ROUNDS = 5000.0, 3


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
        steps = [told(model, Handler(work_us=WORK_US * n, size=SIZE)) for n in (1, 2)]
        once, twice = _in_order(
            steps, side_by_side(cores, steps, "tcp-long", WORK_ROUNDS, size=SIZE)
        )
        found = more(once, twice, lambda each: each.server.cpu_us_per_op)
        name = f"{WORK_US:g} µs more of work for a message, {model}: more CPU"
        yield judged(name, WORK_US, found)

    check.__name__ = f"work of {model}"
    return check


def wait(model: str) -> Check:
    """A check that so much longer a wait is so much more latency, of one at a time."""

    def check(cores: Cores) -> Iterator[Finding]:
        steps = [told(model, Handler(wait_us=WAIT_US * n, size=SIZE)) for n in (1, 2)]
        load = {"size": SIZE, "connections": 1}
        once, twice = _in_order(steps, side_by_side(cores, steps, "tcp-long", WAIT_ROUNDS, **load))
        found = more(once, twice, lambda each: each.latency_us.p50)
        name = f"{WAIT_US / 1000:g} ms more of waiting, {model}: later p50"
        yield judged(name, WAIT_US, found)

    check.__name__ = f"wait of {model}"
    return check


def _in_order(models: list[Model], cells: list[Cell]) -> list[Cell]:
    by_name = {each.model: each for each in cells}
    return [by_name[each.name] for each in models]


HANDLERS: list[Check] = [work("threaded"), work("epoll"), wait("threaded"), wait("asyncio")]
