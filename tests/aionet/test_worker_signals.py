"""Signals to workers and their parent: who is told to stop, and whose handlers they are."""

from __future__ import annotations

import os
import signal

import pytest
from supervisors import Launch


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_first_signal_stops_all_and_leaves_no_process(script: Launch, number: int) -> None:
    running = script("""
status = run()
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    say("no child is left")
sys.exit(status)
""")
    running.all_ready()
    running.process.send_signal(number)
    assert running.end() == (0, "no child is left\n", "")


def test_worker_that_has_no_handler_yet_stops_without_complaint(script: Launch) -> None:
    running = script("""
def work(worker):
    say("up")
    os.read(worker.parent_gone, 1)

sys.exit(run(work))
""")
    assert running.lines(3) == [["up"]] * 3
    running.process.terminate()
    assert running.end() == (0, "", "")


def test_worker_that_ends_badly_when_told_to_stop_makes_the_status_1(script: Launch) -> None:
    running = script("""
def work(worker):
    return serve(worker, lambda *ignored: sys.exit(5 * (worker.number == 1)))

sys.exit(run(work))
""")
    pids = running.all_ready()
    running.process.terminate()
    expected = f"worker 1 (pid {pids[1]}) was asked to stop: exit status 5\n"
    assert running.end() == (1, "", expected)


def test_ctrl_c_is_one_sigterm_to_each_worker_and_no_sigint(script: Launch) -> None:
    running = script(
        """
def work(worker):
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    times = []
    def on_sigterm(*ignored):
        times.append(1)
        say("asked", worker.number)
        os.read(0, 1)
        say("asked", worker.number, "times", len(times))
        sys.exit(0)
    return serve(worker, on_sigterm)

sys.exit(run(work))
""",
        start_new_session=True,
    )
    running.all_ready()
    os.killpg(running.process.pid, signal.SIGINT)
    assert running.lines(3) == [["asked", str(number)] for number in range(3)]
    running.close_stdin()
    assert running.lines(3) == [["asked", str(number), "times", "1"] for number in range(3)]
    assert running.end() == (0, "", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_second_signal_kills_the_workers_and_then_the_parent(script: Launch, number: int) -> None:
    running = script("""
def work(worker):
    return serve(worker, lambda *ignored: say("asked", worker.number))

sys.exit(run(work))
""")
    running.all_ready()
    running.process.terminate()
    assert running.lines(3) == [["asked", str(number)] for number in range(3)]
    running.process.send_signal(number)
    assert running.end() == (-number, "", "")


def test_callers_handlers_and_wakeup_fd_are_put_back(script: Launch) -> None:
    running = script("""
def handler(*ignored): pass

signals = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
for each in signals:
    signal.signal(each, handler)
wakeup = os.pipe()[1]
os.set_blocking(wakeup, False)
signal.set_wakeup_fd(wakeup)
run(on_ready=lambda: os.kill(os.getpid(), signal.SIGTERM))
say([signal.getsignal(each) is handler for each in signals], signal.set_wakeup_fd(-1) == wakeup)
say(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
""")
    _, stdout, _ = running.end()
    assert stdout.splitlines()[-2:] == ["[True, True, True] True", "set()"]


def test_worker_begins_with_signals_of_its_own(script: Launch) -> None:
    running = script("""
def work(worker):
    handlers = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    say(handlers == [signal.SIG_DFL, signal.SIG_IGN], signal.set_wakeup_fd(-1))
    say(signal.pthread_sigmask(signal.SIG_BLOCK, ()))

run(work, 1)
""")
    assert running.end()[1] == "True -1\nset()\n"


def test_ends_are_learnt_although_the_caller_ignores_its_children(script: Launch) -> None:
    running = script("""
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
sys.exit(run(lambda worker: 3, 1))
""")
    status, _, stderr = running.end()
    assert (status, "exit status 3" in stderr) == (1, True)


def test_second_signal_ends_all_though_who_is_told_of_reports_does_not_return(
    script: Launch,
) -> None:
    running = script("""
import time

def work(worker):
    worker.report(b"something")
    return serve(worker)

def told(number, what):
    while True:
        say("told")
        time.sleep(0.1)

workers.supervise(work, 1, on_ready=lambda: None, on_report=told)
""")
    while running.line() != ["told"]:
        pass
    running.process.terminate()
    running.line()
    running.line()  # it has heard the first
    running.process.terminate()
    assert running.process.wait(20) == -signal.SIGTERM
