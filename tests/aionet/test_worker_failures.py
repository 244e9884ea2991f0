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


def test_bad_starts_after_one_was_ready_are_tried_again_ever_later(script: Launch) -> None:
    running = script("""
workers.RETRY_S = 0.01, 0.04

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
    assert running.lines(6) == [["bad", "start"]] * 6
    running.process.terminate()
    _, _, stderr = running.end()  # the status is that of the last one, if it was just there
    lines = re.sub(r"pid \d+", "pid", stderr).splitlines()
    again = "worker 1 (pid) ended: exit status 3; starting another"
    waits = ["", " in 0.02 s", " in 0.04 s", " in 0.04 s", " in 0.04 s"]
    assert lines[:5] == [again + wait for wait in waits]


def test_worker_that_dies_soon_after_it_was_ready_has_not_started(script: Launch) -> None:
    running = script("""
workers.START_S = 1000
workers.RETRY_S = 0.01, 0.01

def work(worker):
    worker.ready()
    say("ready")
    return 3

sys.exit(run(work, 1, on_ready=lambda: None))
""")
    assert running.lines(3) == [["ready"]] * 3
    running.process.terminate()
    assert "exit status 3; starting another in 0.01 s" in running.end()[2]


def test_who_is_told_to_stop_between_two_tries_stops(script: Launch) -> None:
    running = script("""
workers.RETRY_S = 1000, 1000

def work(worker):
    if worker.number == 1:
        sys.stdin.readline()
        return 3
    return serve(worker)

sys.exit(run(work))
""")
    running.lines(2)
    running.close_stdin()
    assert b"starting another" in running.process.stderr.readline()
    running.process.terminate()
    assert running.end()[:2] == (0, "")


def test_not_ready_while_one_is_tried_again(script: Launch) -> None:
    running = script("""
workers.RETRY_S = 0.1, 0.1

def work(worker):
    if worker.number == 1 and sys.stdin.readline():
        return 3
    return serve(worker)

sys.exit(run(work))
""")
    assert [line[0] for line in running.lines(2)] == ["up", "up"]
    running.process.stdin.write(b"\n")
    assert b"starting another" in running.process.stderr.readline()
    running.close_stdin()
    assert [line[0] for line in running.lines(2)] == ["READY", "up"]
    running.process.terminate()
    assert running.end() == (0, "", "")


def test_worker_that_does_not_stop_in_time_is_killed(script: Launch) -> None:
    running = script("""
def work(worker):
    if worker.number == 1:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return serve(worker, leave if worker.number != 1 else signal.SIG_IGN)

sys.exit(workers.supervise(work, 3, on_ready=lambda: say("READY"), stop_timeout=0.2))
""")
    pids = running.all_ready()
    running.process.terminate()
    expected = f"worker 1 (pid {pids[1]}) has not stopped in 0.2 s: killed\n"
    assert running.end() == (1, "", expected)


def test_worker_that_is_not_ready_ends_with_its_parent(script: Launch) -> None:
    running = script("""
def work(worker):
    if worker.number == 2:
        os.kill(os.getppid(), signal.SIGKILL)
    signal.pause()

sys.exit(run(work))
""")
    assert running.end() == (-signal.SIGKILL, "", "")  # and no pipe is held by a worker


def test_worker_whose_parent_died_before_it_could_ask_for_that_ends(script: Launch) -> None:
    running = script("""
real = workers.signal_when_parent_dies

def late(number, parent):
    os.kill(parent, signal.SIGKILL)
    while os.getppid() == parent:
        pass
    real(number, parent)

workers.signal_when_parent_dies = late
sys.exit(run(lambda worker: signal.pause(), 1))
""")
    assert running.end() == (-signal.SIGKILL, "", "")


def test_all_that_workers_reported_is_told_before_their_end(script: Launch) -> None:
    running = script("""
def work(worker):
    for each in range(50):  # a pipe holds more than that of both
        worker.report(b"%d" % each)
    return serve(worker)

sys.exit(workers.supervise(
    work,
    2,
    on_ready=lambda: say("READY"),
    on_report=lambda pid, what: say("report", pid, int(what.strip(bytes(1)))),
    on_end=lambda pid: say("end", pid),
))
""")
    said = []
    while "READY" not in [line[0] for line in said]:
        said.append(running.line())
    running.process.terminate()
    status, stdout, stderr = running.end()
    said += [line.split() for line in stdout.splitlines()]
    assert (status, stderr) == (0, "")
    for number in "01":
        (pid,) = (line[2] for line in said if line[:2] == ["up", number])
        mine = [line for line in said if line[1:2] == [pid]]
        reports = [["report", pid, str(each)] for each in range(50)]
        assert mine == [*reports, ["end", pid]]


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
