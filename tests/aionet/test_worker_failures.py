"""Failures of workers, and of their parent: how they are told, and when they stop the whole."""

from __future__ import annotations

import os
import re
import signal

import pytest
from supervisors import Launch

ABOVE = "; its own message is above"


@pytest.mark.parametrize(
    ("ending", "how"),
    [
        ("sys.exit(7)", f"exit status 7{ABOVE}"),
        ("sys.exit('no disk')", f"exit status 1{ABOVE}"),
        ("return 256 + 5", f"exit status 5{ABOVE}"),
        ("return 0", "exit status 0"),
        ("1 / 0", f"exit status 1{ABOVE}"),
        ("os.kill(os.getpid(), signal.SIGTERM)", "killed by SIGTERM"),
        ("os.kill(os.getpid(), 40)", "killed by signal 40"),
    ],
)
def test_how_a_worker_ended_is_said(script: Launch, ending: str, how: str) -> None:
    running = script(f"""
def work(worker):
    {ending}

sys.exit(run(work, 1))
""")
    status, stdout, stderr = running.end()
    assert (status, stdout) == (1, "")
    assert stderr.splitlines()[-1] == f"worker 0 ended before any was ready: {how}"


def test_error_in_a_worker_is_told_with_its_traceback(script: Launch) -> None:
    _, _, stderr = script("run(lambda worker: 1 / 0, 1)").end()
    assert stderr.startswith("worker 0 failed\nTraceback (most recent call last):\n")
    assert "\nZeroDivisionError: division by zero\nworker 0 ended before any was ready: " in stderr


def test_three_bad_starts_in_a_row_stop_the_whole(script: Launch) -> None:
    running = script("""
workers.START_S = 0  # not being ready is enough

def work(worker):
    if worker.number == 1:
        sys.stdin.readline()  # until the others are ready
        say("bad start")
        return 3
    return serve(worker)

sys.exit(run(work))
""")
    assert [line[0] for line in running.lines(2)] == ["up", "up"]
    running.close_stdin()
    assert running.lines(3) == [["bad", "start"]] * 3
    status, stdout, stderr = running.end()
    assert (status, stdout) == (1, "")
    assert re.sub(r"pid \d+", "pid", stderr).splitlines() == [
        "worker 1 (pid) ended: exit status 3; starting another",
        "worker 1 (pid) ended: exit status 3; starting another",
        "worker 1 ended at once, 3 times in a row: exit status 3; its own message is above",
    ]


def test_worker_that_dies_soon_after_it_was_ready_has_not_started(script: Launch) -> None:
    running = script("""
workers.START_S = 1000

def work(worker):
    worker.ready()
    say("ready")
    return 3

sys.exit(run(work, 1, on_ready=lambda: None))
""")
    status, stdout, stderr = running.end()
    assert (status, stdout) == (1, "ready\n" * 3)
    assert "worker 0 ended at once, 3 times in a row: exit status 3" in stderr


def test_all_end_when_the_first_start_of_one_fails(script: Launch) -> None:
    running = script("""
def work(worker):
    if worker.number == 1:
        return 3
    os.read(worker.parent_gone, 1)  # never ready

sys.exit(run(work))
""")
    assert running.end() == (
        1,
        "",
        "worker 1 ended before any was ready: exit status 3; its own message is above\n",
    )


def test_error_in_on_ready_stops_the_workers_and_is_raised(script: Launch) -> None:
    running = script("""
try:
    run(on_ready=lambda: 1 / 0)
except ZeroDivisionError:
    say("raised")
""")
    status, stdout, stderr = running.end()
    assert (status, stderr) == (0, "")
    assert stdout.splitlines()[-1] == "raised"


def test_no_descriptor_for_another_worker_stops_all_and_is_raised(script: Launch) -> None:
    running = script("""
import resource

def no_more():
    resource.setrlimit(resource.RLIMIT_NOFILE, (6, 6))  # enough for poll(), which counts too
    say("READY")

try:
    run(on_ready=no_more)
except OSError as error:
    say(error.strerror)
""")
    os.kill(running.all_ready()[0], signal.SIGKILL)
    status, stdout, _ = running.end()
    assert (status, stdout.splitlines()[-1]) == (0, "Too many open files")
