"""Worker processes: started, replaced, told to stop, and never left behind."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import threading
from collections.abc import Callable

import pytest

from aionet.workers import supervise

WAIT_S = 20  # for what happens at once, on a busy machine

ABOVE = "; its own message is above"

Start = Callable[..., "subprocess.Popen[bytes]"]

# What most workers here do: be ready, say that they are up, serve until SIGTERM or until the
# parent is gone. A handler runs between two steps of the interpreter, so a signal just before
# poll() blocks would wait for the next event: the pipe makes it one.
PRELUDE = """
import logging, os, select, signal, sys
from aionet import workers

logging.basicConfig(stream=sys.stderr, format="%(message)s")

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def leave(*ignored):
    sys.exit(0)

def serve(worker, on_sigterm=leave):
    wakeup, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGTERM, on_sigterm)
    worker.ready()
    say("up", worker.number, os.getpid())
    poll = select.poll()
    for fd in (wakeup, worker.parent_gone):
        poll.register(fd, select.POLLIN)
    while worker.parent_gone not in dict(poll.poll()):
        os.read(wakeup, 1)
    say("orphan", worker.number, os.getpid())
    return 0

def run(work=serve, count=3, on_ready=lambda: say("READY")):
    return workers.supervise(work, count, on_ready=on_ready)
"""


class Script:
    """A process that supervises workers, and what it and they say."""

    def __init__(self, start: Start, code: str, **options: bool) -> None:
        self.process = start("-c", PRELUDE + code, **options)
        self._said = b""

    def line(self) -> list[str]:
        """The words of the next line on stdout."""
        while b"\n" not in self._said:
            self._said += self._read()
        line, self._said = self._said.split(b"\n", 1)
        return line.decode().split()

    def lines(self, count: int) -> list[list[str]]:
        return sorted(self.line() for _ in range(count))

    def _read(self) -> bytes:
        stdout = self.process.stdout
        assert select.select([stdout], [], [], WAIT_S)[0], f"nothing after {self._said!r}"
        piece = os.read(stdout.fileno(), 65536)
        assert piece, f"ended after {self._said!r}: {self.process.stderr.read().decode()}"
        return piece

    def all_ready(self, count: int = 3) -> list[int]:
        """The pids of the workers by number, once they and READY have been said."""
        ready, *up = self.lines(count + 1)
        assert ready == ["READY"]
        assert [int(number) for _, number, _ in up] == list(range(count))
        return [int(pid) for _, _, pid in up]

    def close_stdin(self) -> None:
        self.process.stdin.close()
        self.process.stdin = None  # communicate() would flush it

    def end(self) -> tuple[int, str, str]:
        """Exit status, the rest of stdout, all of stderr, once it and all its workers are gone.

        A pipe is at its end when every process that could write to it has ended.
        """
        stdout, stderr = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode, (self._said + stdout).decode(), stderr.decode()


@pytest.fixture
def script(start: Start) -> Callable[..., Script]:
    return lambda code, **options: Script(start, code, **options)


Launch = Callable[..., Script]


def test_on_ready_is_called_once_after_all_are_ready(script: Launch) -> None:
    running = script("sys.exit(run())")
    running.all_ready()
    running.process.terminate()
    assert running.end() == (0, "", "")


def test_not_ready_while_one_is_not(script: Launch) -> None:
    running = script("""
def work(worker):
    if worker.number == 1:
        say("waiting")
        sys.stdin.readline()
        say("going on")
    return serve(worker)

sys.exit(run(work))
""")
    assert [line[0] for line in running.lines(3)] == ["up", "up", "waiting"]
    running.process.stdin.write(b"\n")
    assert running.line() == ["going", "on"]
    assert [line[0] for line in running.lines(2)] == ["READY", "up"]


def test_killed_worker_is_replaced_and_the_others_stay(script: Launch) -> None:
    running = script("sys.exit(run())")
    pids = running.all_ready()
    os.kill(pids[1], signal.SIGKILL)
    up, number, pid = running.line()
    assert (up, number) == ("up", "1")
    assert int(pid) not in pids
    running.process.terminate()
    assert running.end() == (
        0,
        "",
        f"worker 1 (pid {pids[1]}) ended: killed by SIGKILL; starting another\n",
    )


def test_parent_keeps_its_workers_through_a_replacement_until_it_dies(script: Launch) -> None:
    running = script("sys.exit(run())")
    pids = running.all_ready()
    os.kill(pids[2], signal.SIGKILL)
    pids[2] = int(running.line()[2])
    running.process.kill()
    assert running.lines(3) == [["orphan", str(i), str(pid)] for i, pid in enumerate(pids)]
    assert running.end()[:2] == (-signal.SIGKILL, "")


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


def test_what_a_worker_printed_arrives_once(script: Launch) -> None:
    _, stdout, _ = script("""
sys.stdout = open(1, "w", closefd=False)  # with a buffer, whatever the environment says
print("parent")

def work(worker):
    print("worker", worker.number)
    return 1

run(work, 1)
sys.stdout.flush()
os._exit(0)
""").end()
    assert stdout == "parent\nworker 0\n"


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


def test_replacements_leak_no_descriptor(script: Launch) -> None:
    running = script("""
workers.START_S = 0
before = len(os.listdir("/proc/self/fd"))

def work(worker):
    say("has", len(os.listdir("/proc/self/fd")) - before)
    return serve(worker)

run(work, 2, on_ready=lambda: say("parent", len(os.listdir("/proc/self/fd")) - before))
say("parent", len(os.listdir("/proc/self/fd")) - before)
""")
    *has, parent, up_0, up_1 = running.lines(5)
    assert has == [["has", "2"]] * 2
    assert parent == ["parent", "8"]  # three pipes and two pidfds
    pids = [int(up_0[2]), int(up_1[2])]
    descriptors = f"/proc/{running.process.pid}/fd"
    most = len(os.listdir(descriptors))
    for turn in range(30):
        os.kill(pids[turn % 2], signal.SIGKILL)
        assert running.line() == ["has", "2"]
        pids[turn % 2] = int(running.line()[2])
        assert len(os.listdir(descriptors)) <= most
    running.process.terminate()
    assert running.end()[:2] == (0, "parent 0\n")


def test_workers_draw_different_random_numbers(script: Launch) -> None:
    running = script("""
import random

def work(worker):
    say(random.random())
    return serve(worker)

run(work)
""")
    said = [running.line() for _ in range(7)]
    assert len({line[0] for line in said if line[0].startswith("0.")}) == 3


def test_no_workers_are_refused() -> None:
    with pytest.raises(ValueError, match="count is 0; there must be at least 1 worker"):
        supervise(lambda worker: 0, 0, on_ready=lambda: None)


def test_another_thread_than_the_main_one_is_refused() -> None:
    errors = []

    def call() -> None:
        with pytest.raises(ValueError, match="main thread") as caught:
            supervise(lambda worker: 0, 1, on_ready=lambda: None)
        errors.append(caught.value)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert errors
