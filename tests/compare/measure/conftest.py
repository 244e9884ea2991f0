"""A gate that is open, and an instrument that measures nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import pytest
from made_up_instrument import Instrument

from compare.contract.outcome import Outcome
from compare.host import launch
from compare.measure import block, gate, holders
from compare.measure.testbed import Held
from compare.results.records import Round


@pytest.fixture
def whom_the_gate_lets_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody: those with a fault, too, and those that are made up."""
    monkeypatch.setattr(gate, "hold", lambda model, workload: Held())


@pytest.fixture
def instrument(
    monkeypatch: pytest.MonkeyPatch,
    made_up_outcome: Callable[..., Outcome],
    made_up_round: Callable[..., Round],
) -> Instrument:
    """In the place of the real one; models for it are beside it."""
    instrument = Instrument(made_up_outcome(), made_up_round)
    monkeypatch.setattr(block, "measure", instrument.measure)
    return instrument


@pytest.fixture
def impatient_holders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was not served within half a second never is, and not only after five."""
    code = "from compare.driver import hold; hold.QUIET_NS = 500_000_000; hold.main()"

    def start(command: list[str], cores: Collection[int], **pipes: Any) -> Any:
        if command[-2:] == ["-m", "compare.driver.hold"]:
            command = [*command[:-2], "-c", code]
        return launch.start(command, cores, **pipes)

    monkeypatch.setattr(holders, "start", start)
