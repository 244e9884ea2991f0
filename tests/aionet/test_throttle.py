"""Log lines that peers can cause: how many there are, and which have a traceback."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest

from aionet import throttle
from aionet.throttle import throttled


def fail(error: type[Exception]) -> None:
    try:
        raise error
    except Exception:
        throttled(logging.ERROR, "%s failed", "it", traceback=True)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(throttle.time, "monotonic", lambda: now[0])
    return now


def test_of_a_kind_a_few_are_logged_and_the_next_says_how_many_were_not(
    caplog: pytest.LogCaptureFixture, clock: list[float]
) -> None:
    for _ in range(throttle.MOST + 3):
        throttled(logging.WARNING, "%s", "here")
    throttled(logging.WARNING, "another")
    clock[0] += throttle.WINDOW_S
    throttled(logging.WARNING, "%s", "there")
    last = "there (and 3 times before that, not logged)"
    assert caplog.messages == [*["here"] * throttle.MOST, "another", last]


def test_traceback_through_the_same_lines_is_logged_once_a_minute(
    caplog: pytest.LogCaptureFixture, clock: list[float]
) -> None:
    for error in (LookupError, LookupError, ZeroDivisionError, LookupError):
        fail(error)
        clock[0] += 10
    clock[0] += throttle.TRACEBACK_S
    fail(LookupError)
    assert [record.exc_info is not None for record in caplog.records] == [1, 0, 1, 0, 1]
    assert caplog.messages[1] == "it failed: LookupError, whose traceback is above"


def test_traceback_of_another_way_to_the_same_line_is_logged(
    caplog: pytest.LogCaptureFixture, clock: list[float]
) -> None:
    def ask(word: str) -> None:
        json.loads(word)

    def ask_otherwise(word: str) -> None:
        json.loads(word)

    for each in (ask, ask, ask_otherwise):
        try:
            each("{")
        except ValueError:
            throttled(logging.ERROR, "it failed", traceback=True)
    assert [record.exc_info is not None for record in caplog.records] == [1, 0, 1]


def test_what_is_new_is_not_left_out_behind_what_is_frequent(
    caplog: pytest.LogCaptureFixture, clock: list[float]
) -> None:
    for _ in range(throttle.MOST + 3):
        fail(LookupError)
    fail(ZeroDivisionError)
    assert len(caplog.records) == throttle.MOST + 1
    assert caplog.records[-1].exc_info is not None


ROOT = Path(__file__).parents[2]
# What is said once in the life of a process, or of a second (descriptors), or to who debugs.
SAID_AT_ONCE = {
    ("aionet/connection.py", "debug"),
    ("aionet/connections.py", "error"),
    ("aionet/descriptors.py", "warning"),
    ("aionet/listen.py", "info"),
    ("aionet/process.py", "error"),
    ("aionet/runner.py", "warning"),  # that threads run when workers are forked
    ("aionet/certificates.py", "error"),  # that files of certificates cannot be read
    ("aionet/systemd.py", "debug"),
    ("aionet/throttle.py", "log"),
    ("blocking/fork.py", "exception"),
    ("compare/contenders/many_loops.py", "exception"),  # that one of the loops has ended
    ("compare/contenders/many_loops.py", "error"),  # that there are not so many threads
}
LOGGED = re.compile(r"\blog(?:ging)?\.(debug|info|warning|error|exception|critical|log)\(")


def test_whatever_a_peer_can_cause_is_logged_through_this() -> None:
    found = {
        (str(path.relative_to(ROOT)), how)
        for package in ("aionet", "blocking", "compare/contenders")
        for path in (ROOT / package).rglob("*.py")
        for how in LOGGED.findall(path.read_text())
    }
    assert found == SAID_AT_ONCE
