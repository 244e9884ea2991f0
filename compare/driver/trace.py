"""When some of the connections waited, for a picture: a moment of it, after all is measured.

In the measured window nothing is looked at but latencies, which keeps the driver fast.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns as clock

from compare.contract.trace import Lane, Trace
from compare.driver.load import Load, Workload

LANES = 12  # that fit into a picture
OPERATIONS = 10  # that each of them has in it, about
SHORTEST_NS, LONGEST_NS = 2_000_000, 200_000_000

Note = Callable[[int, int, int], None]  # of a connection's operation: its number, from, to


def trace(load: Load, workload: Workload, usual_ns: float) -> Trace | None:
    """Go on for some ten times the usual latency, and tell what some connections do."""
    many = workload.lanes()
    if not many:
        return None
    chosen = [number * many // LANES for number in range(LANES)] if many > LANES else range(many)
    width = int(min(LONGEST_NS, max(SHORTEST_NS, OPERATIONS * usual_ns)))
    load.run(width / 2e9, workload.tick)  # reading the meters has held everybody up
    spans: dict[int, list[tuple[int, int]]] = {number: [] for number in chosen}
    began = clock()
    for number in chosen:
        workload.tell(number, lambda lane, start, end: spans[lane].append((start, end)))
    load.run(width / 1e9, workload.tick)

    def us(then: int) -> float:
        return round((then - began) / 1000, 1)

    lanes = [
        Lane(
            number,
            [(us(start), us(end)) for start, end in spans[number]],
            None if (since := workload.waiting_since(number)) is None else us(since),
        )
        for number in chosen
    ]
    return Trace(width_us=width / 1000, lanes=lanes)


def telling(record: Callable[[int], None], number: int, note: Note) -> Callable[[int], None]:
    """What records a latency and tells of its operation, too."""

    def tell(ns: int) -> None:
        record(ns)
        now = clock()
        note(number, now - ns, now)

    return tell
