"""What a run is to keep, of open loops whose latencies are not the server's, or not the end."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from compare.results.records import Cell, Pace, Verdict
from compare.results.requirement import Requirement, check

MakeCell = Callable[..., Cell]
STEADY = (100_000.0, 101_000.0, 99_000.0, 100_500.0, 99_500.0)


def answer(text: str, cell: Cell, base: Cell) -> str:
    found = check([Requirement.parse(text, [cell.model, base.model])], [cell, base])
    return found[0].answer


@pytest.fixture
def paced(made_up_cell: MakeCell, made_up_pace: Callable[..., Pace]) -> Callable[..., Cell]:
    """A cell of an open loop, steady, of which all these verdicts hold."""

    def paced(model: str, *verdicts: Verdict) -> Cell:
        more = {"verdict": verdicts[0], "verdicts": [*verdicts], "pace": made_up_pace()}
        return made_up_cell(model, STEADY, **more)

    return paced


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["ok"], "kept"),
        (["rate-unmet"], "broken"),
        (["driver-bound"], "unclear"),
        (["rate-unmet", "driver-bound"], "broken"),
    ],
)
@pytest.mark.parametrize("text", ["p99<1s", "p50<1s", "p99<=2*asyncio"])
def test_latency_that_is_not_the_servers_or_grows_keeps_nothing(
    paced: Callable[..., Cell], verdicts: list[Verdict], expected: str, text: str
) -> None:
    """As nobody is ranked by it. What it did and cost is its own, as all of a closed loop is."""
    cell, base = paced("epoll", *verdicts), paced("asyncio", "ok")
    assert answer(text, cell, base) == expected
    assert answer("ops>95k", cell, base) == answer("cpu<1s", cell, base) == "kept"
    assert answer(text, msgspec.structs.replace(cell, pace=None), base) == "kept"


def test_latency_that_is_not_its_own_is_no_base(paced: Callable[..., Cell]) -> None:
    cell, base = paced("epoll", "ok"), paced("asyncio", "rate-unmet")
    assert answer("p99<=2*asyncio", cell, base) == "unclear"
    assert answer("cpu<=2*asyncio", cell, base) == "kept"
