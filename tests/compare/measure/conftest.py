"""Models that are planted servers or made up, and an instrument that measures nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_up_instrument import Instrument

from compare.contract.outcome import Outcome
from compare.measure import block, gate
from compare.models.matrix import MODELS, Model
from compare.results.records import Round
from compare.selftest import planted

PLACES = {"starts.py": Path(__file__).parents[1] / "servers"}  # others: compare/selftest/planted/


@pytest.fixture
def whom_the_gate_lets_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody: those with a fault, too, and those that are made up."""
    monkeypatch.setattr(gate, "why_not", lambda model, workload: None)


@pytest.fixture
def add(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Adds a row to the matrix: a model that is a planted server."""

    def add(name: str, script: str, *arguments: object, **fields: Any) -> None:
        place = PLACES.get(script, planted.FOLDER)
        command = (str(place / script), *map(str, arguments))
        monkeypatch.setitem(MODELS, name, Model(name, "planted", command, **fields))

    return add


Add = Callable[..., None]


@pytest.fixture
def good(add: Add) -> None:
    add("good", "echo.py", "correct")


@pytest.fixture
def instrument(
    monkeypatch: pytest.MonkeyPatch,
    made_up_outcome: Callable[..., Outcome],
    made_up_round: Callable[..., Round],
) -> Instrument:
    """With models `one` and `two`, and `bad`, which always fails."""
    instrument = Instrument(made_up_outcome(), made_up_round)
    monkeypatch.setattr(block, "measure", instrument.measure)
    for name in ("one", "two", "bad"):
        monkeypatch.setitem(MODELS, name, Model(name, "made up", ()))
    return instrument
