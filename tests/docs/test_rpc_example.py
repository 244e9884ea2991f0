"""docs/examples/rpc.py, asked for what cannot be counted, or said."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"

Ask = Callable[[str], Any]


@pytest.fixture
def ask(
    monkeypatch: pytest.MonkeyPatch,
    memory_server: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> Ask:
    """What is answered to a message, which neither ends the connection nor is logged."""
    monkeypatch.syspath_prepend(EXAMPLES)
    import rpc

    peer = memory_server(rpc.app).connect()

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    def ask(message: str) -> Any:
        peer.send(struct.pack("!I", len(message)) + message.encode())
        said = peer.take()
        assert peer.closed is None
        assert not caplog.records
        assert struct.unpack_from("!I", said) == (len(said) - 4,)
        return json.loads(said[4:], parse_constant=refuse)

    return ask


def add(*numbers: str) -> str:
    return f'{{"id": 1, "method": "add", "args": [{", ".join(numbers)}]}}'


def test_rpc_message_that_is_nested_too_deep_is_answered(ask: Ask) -> None:
    assert "RecursionError" in ask("[" * 30_000)["error"]
    assert ask(f'{{"id": {"[" * 30_000}')["id"] is None
    for depth in range(100, 1000, 50):
        ask(f'{{"id": {"[" * depth}{"]" * depth}, "method": "who"}}')
    assert ask(add("1")) == {"id": 1, "result": 1}


def test_rpc_numbers_that_are_too_large_are_answered(ask: Ask) -> None:
    digits = "9" * 4300
    for message in (add("1" + "0" * 400, "1.5"), add(digits, "9"), add(digits + "9")):
        assert "Error" in ask(message)["error"]
    assert ask(add("9" * 4000, "1")) == {"id": 1, "result": 10**4000}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_rpc_number_that_is_none_is_refused_and_never_said(ask: Ask, number: str) -> None:
    with pytest.raises(ValueError, match="JSON compliant") as refused:
        json.dumps(float(number), allow_nan=False)
    for message in (add(number), add("1").replace("1", number, 1)):  # as each Python says it
        assert ask(message) == {"id": None, "error": f"ValueError: {refused.value}"}
    assert "ValueError" in ask(add("1e308", "1e308"))["error"]


def test_rpc_error_says_little_however_much_was_asked(ask: Ask) -> None:
    assert len(ask(json.dumps({"id": 1, "method": "x" * 60_000}))["error"]) <= 200
