"""Worker processes: started, replaced, told to stop, and never left behind."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from supervisors import Launch

from aionet.workers import supervise


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
