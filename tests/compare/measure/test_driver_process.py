"""The driver as the runner sees it: however it ends, and whenever, there is a reason."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import Any

import pytest

from compare.contract.spec import Spec, Target
from compare.measure import driver_process
from compare.measure.driver_process import Driver, DriverError, how_ended, limit_s

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("nothing_left")]
MakeSpec = Callable[..., Spec]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has another program be the driver."""
    start = driver_process.start

    def be(code: str) -> None:
        def other(command: list[str], *more: Any, **named: Any) -> subprocess.Popen[bytes]:
            return start([command[0], "-c", code], *more, **named)

        monkeypatch.setattr(driver_process, "start", other)

    return be


def reason_of(spec: Spec) -> str:
    with pytest.raises(DriverError) as failed, Driver(None) as driver:
        driver.drive(spec, lambda operations: None)
    return str(failed.value)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise SystemExit('no module is called so')", "the driver failed: no module is called so"),
        ("raise SystemExit(3)", "the driver failed: exit status 3"),
        ("", "the driver failed: exit status 0"),
        ("import os; os.kill(os.getpid(), 9)", "signal 9 (Killed): out of memory?"),
        ("input(); import os; os.kill(os.getpid(), 11)", "signal 11 (Segmentation fault)"),
        ("input(); print(7, flush=True); raise SystemExit('later')", "the driver failed: later"),
        ("input(); print('[{}]', end='')", "the driver said what cannot be: "),
        ("input(); print('[', end='')", "the driver said what cannot be: "),
        ("input(); print('what', flush=True); input()", "the driver said what cannot be: "),
    ],
)
def test_driver_that_ends_at_any_moment_is_told_with_the_reason(
    program: Callable[[str], None], made_up_spec: MakeSpec, code: str, words: str
) -> None:
    program(code)
    assert words in reason_of(made_up_spec())


def test_driver_that_ends_before_it_has_read_a_word_is_no_closed_pager(
    program: Callable[[str], None], made_up_spec: MakeSpec
) -> None:
    """What it never read must not come again as EPIPE where the pipe is closed."""
    program("raise SystemExit('at once')")
    with Driver(None) as driver:
        os.waitid(os.P_PID, driver.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(DriverError, match="at once"):
            driver.drive(made_up_spec(), lambda operations: None)


def test_driver_that_cannot_be_started_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*given: Any, **named: Any) -> subprocess.Popen[bytes]:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(driver_process, "start", fails)
    with pytest.raises(DriverError, match=r"cannot start the driver: .* temporarily unavailable"):
        Driver(None)


def test_driver_takes_no_folder_to_write_to(
    program: Callable[[str], None], made_up_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    program("raise SystemExit('its last word')")
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", list)
    assert reason_of(made_up_spec()) == "the driver failed: its last word"


def test_driver_on_a_core_that_there_is_not_is_told() -> None:
    with pytest.raises(DriverError, match="cannot start the driver"):
        Driver(8000)


def test_time_for_which_we_were_stopped_ourselves_is_not_the_drivers(
    program: Callable[[str], None], made_up_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by SIGSTOP, or by a laptop that was closed: it has had no less time for that."""
    program("input(); print(1, flush=True); print(2, flush=True); input()")
    limit_s = driver_process.limit_s(made_up_spec())
    clock = time.monotonic
    gone = [0.0]

    def stopped(operations: int) -> None:
        gone[0] += 10 * limit_s
        if gone[0] > 20 * limit_s:
            os.kill(driver.pid, signal.SIGKILL)

    monkeypatch.setattr(time, "monotonic", lambda: clock() + gone[0])
    with pytest.raises(DriverError, match="signal 9"), Driver(None) as driver:
        driver.drive(made_up_spec(), stopped)


def test_driver_that_says_nothing_for_too_long_is_given_up(
    program: Callable[[str], None], made_up_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    program("input(); input()")
    monkeypatch.setattr(driver_process, "STEP_S", 0.01)
    monkeypatch.setattr(driver_process, "limit_s", lambda spec: 0.1)
    assert "did not end within 0 s: the server holds it up" in reason_of(made_up_spec())


@pytest.mark.parametrize("hours", [0.1, 1.0])
def test_long_window_leaves_time_to_count_what_was_seen_in_it(
    made_up_spec: MakeSpec, hours: float
) -> None:
    """Of each operation of an open loop up to 0.75 us, of which there may be 200,000 a second."""
    spec = made_up_spec(targets=[Target("", 7)], slice_s=3600 * hours)
    assert limit_s(spec) >= 3600 * hours * (1 + 0.75e-6 * 200_000)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "exit status 0"),
        (-9, "signal 9 (Killed): out of memory?"),
        (-15, "signal 15 (Terminated)"),
        (-63, "signal 63 (Real-time signal 29)"),
    ],
)
def test_status_is_told_in_words(status: int, words: str) -> None:
    assert how_ended(status) == words
