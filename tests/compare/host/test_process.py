"""What the kernel says of a process, against processes that are known."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from known_process import BURN, Child, WaitUntil, with_child

from compare.host import process


def test_cpu_time_is_what_the_process_itself_says(child: Child) -> None:
    pid = child(BURN.format(seconds=0.2)).pid
    assert 200_000_000 <= process.cpu_ns(pid) < 300_000_000  # what follows its last look


SPINS_ASIDE = """
import sys, threading
def spin():
    while {spins}:
        pass
threading.Thread(target=spin, daemon=True).start()
print("done", flush=True)
sys.stdin.read()
"""


def test_process_is_runnable_while_any_of_its_threads_is(
    child: Child, wait_until: WaitUntil
) -> None:
    busy = child(SPINS_ASIDE.format(spins=True)).pid
    idle = child(SPINS_ASIDE.format(spins=False)).pid
    wait_until(lambda: not process.is_runnable(idle), "it waits for input")
    assert process.is_runnable(busy)


def test_process_that_is_stopped_stands_still(child: Child, wait_until: WaitUntil) -> None:
    busy = child(SPINS_ASIDE.format(spins=True)).pid
    assert not process.stands_still(busy)
    os.kill(busy, signal.SIGSTOP)
    wait_until(lambda: process.stands_still(busy), "all of its threads are stopped")


def test_memory_that_was_given_back_is_in_the_peak(child: Child) -> None:
    pid = child("bytearray(b'1') * 2**28; print('done', flush=True); input()").pid
    peak = process.peak_kb(pid)
    assert peak.virtual >= peak.resident >= 2**18
    assert process.size(pid).rss_kb < 2**18


def test_children_that_end_while_their_states_are_read_are_passed_over() -> None:
    code = "import os\nwhile True:\n if not os.fork(): os._exit(0)\n os.wait()\n"
    with subprocess.Popen([sys.executable, "-c", code]) as running:
        try:
            for _ in range(2000):
                process.is_runnable(running.pid)
                assert not process.stands_still(running.pid)
        finally:
            running.kill()


def test_process_that_is_gone_is_not_ready(gone: int) -> None:
    assert not process.is_runnable(gone)


def test_children_that_have_ended_count_once_they_are_waited_for(child: Child) -> None:
    parent = child(
        "import os, time\n"
        "for _ in range(4):\n"
        "    if pid := os.fork(): os.waitpid(pid, 0)\n"
        "    else:\n"
        "        while time.process_time() < 0.1: pass\n"
        "        os._exit(0)\n"
        "print('done', flush=True); input()"
    )
    seen = process.usage(parent.pid)
    assert 400_000_000 <= seen.cpu_ns + 10_000_000 < 800_000_000  # to the tick, and its own start
    assert seen.user_ns + seen.system_ns == pytest.approx(seen.cpu_ns, abs=50_000_000)


def test_cpu_time_of_a_tree_includes_children_that_have_ended(child: Child) -> None:
    parent = child(
        "import os, time\n"
        "for _ in range(4):\n"
        "    if pid := os.fork(): os.waitpid(pid, 0)\n"
        "    else:\n"
        "        while time.process_time() < 0.1: pass\n"
        "        os._exit(0)\n"
        "print('done', flush=True); input()"
    )
    assert process.tree(parent.pid) == [parent.pid]
    assert process.cpu_ns(parent.pid) < 350_000_000
    seen = process.cpu_of_tree_ns(parent.pid)
    assert 400_000_000 <= seen + 10_000_000 < 800_000_000  # to the tick, and its own start


def test_cpu_time_of_a_tree_is_that_of_children_that_live_too(child: Child) -> None:
    pid = child(with_child(BURN.format(seconds=0.1))).pid
    parent, inner = process.tree(pid)
    assert process.cpu_of_tree_ns(pid) >= process.cpu_ns(parent) + 100_000_000
    assert process.cpu_of_tree_ns(pid) >= process.cpu_ns(inner)


def test_cpu_time_of_a_tree_is_as_in_its_usage(child: Child) -> None:
    pid = child(BURN.format(seconds=0.1)).pid
    before = process.cpu_of_tree_ns(pid)
    assert before <= process.usage(pid).cpu_ns <= process.cpu_of_tree_ns(pid)


def test_cpu_time_of_a_tree_that_is_gone_raises(gone: int) -> None:
    with pytest.raises(ProcessLookupError, match=f"process {gone} is gone"):
        process.cpu_of_tree_ns(gone)


def test_time_that_this_thread_waited_for_a_core_only_grows() -> None:
    before = process.waited_ns()
    assert 0 <= before <= process.waited_ns()


def test_cpu_time_of_this_process_is_that_of_its_own_clock() -> None:
    before = time.process_time_ns()
    seen = process.cpu_ns(os.getpid())
    assert before <= seen <= time.process_time_ns()


def test_user_and_system_time_add_up_to_the_cpu_time(child: Child) -> None:
    used = process.usage(child(BURN.format(seconds=0.2)).pid)
    assert used.user_ns + used.system_ns == pytest.approx(used.cpu_ns, abs=40_000_000)


def test_usage_is_that_of_all_descendants(child: Child) -> None:
    pid = child(with_child(BURN.format(seconds=0.1))).pid
    assert len(process.tree(pid)) == 2
    assert process.usage(pid).cpu_ns >= process.cpu_ns(pid) + 100_000_000


def test_usage_is_that_of_threads_that_have_ended_too(child: Child) -> None:
    code = """
import sys, threading, time
def burn():
    while time.thread_time() < 0.1:
        pass
thread = threading.Thread(target=burn)
thread.start()
thread.join()
print("done", flush=True)
sys.stdin.read()
"""
    assert process.usage(child(code).pid).cpu_ns >= 100_000_000


def test_switches_grow_with_every_wait(child: Child) -> None:
    code = """
import sys
print("done", flush=True)
while sys.stdin.readline():
    print("done", flush=True)
"""
    waiting = child(code)
    before = process.usage(waiting.pid)
    for _ in range(20):
        waiting.stdin.write(b"go\n")  # type: ignore[union-attr]
        waiting.stdin.flush()  # type: ignore[union-attr]
        waiting.stdout.readline()  # type: ignore[union-attr]
    after = process.usage(waiting.pid)
    assert after.switches - before.switches >= 19  # the last wait may not have begun
    assert after.wait_ns >= before.wait_ns


def test_two_that_share_a_core_wait_for_it(child: Child) -> None:
    code = f"""
import os, subprocess, sys
os.sched_setaffinity(0, {{{min(os.sched_getaffinity(0))}}})
burn = [sys.executable, "-c", {BURN.format(seconds=0.1)!r}]
both = [subprocess.Popen(burn, stdin=-1, stdout=-1) for _ in range(2)]
for each in both:
    each.stdout.readline()
print("done", flush=True)
sys.stdin.read()
"""
    used = process.usage(child(code).pid)
    # While one of them worked its 100 ms, the other one had as much still to do.
    assert used.wait_ns >= 50_000_000
    assert 0 < used.preemptions < used.switches


def test_what_a_process_does_is_told_in_words(
    child: Child, wait_until: Callable[[Callable[[], object], str], None]
) -> None:
    waits = child(BURN.format(seconds=0)).pid
    works = child("print('done', flush=True)\nwhile True: pass").pid
    wait_until(lambda: process.doing(waits).startswith("sleeps"), "it waits for its input")
    wait_until(lambda: process.doing(works) == "runs", "it works")
    os.kill(works, signal.SIGSTOP)
    wait_until(lambda: process.doing(works) == "is stopped", "it is stopped")


def test_process_that_has_ended_does_nothing(gone: int) -> None:
    """Waited for or not."""
    assert process.doing(gone) == "is gone"
    with subprocess.Popen([sys.executable, "-c", ""]) as zombie:
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        assert process.doing(zombie.pid) == "is gone"


def test_usage_of_a_process_that_is_gone_raises(gone: int) -> None:
    with pytest.raises(ProcessLookupError, match=f"process {gone} is gone"):
        process.usage(gone)


def test_usage_of_a_zombie_is_readable_or_it_is_gone() -> None:
    """A server that has died and was not waited for yet."""
    with subprocess.Popen([sys.executable, "-c", ""]) as zombie:
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        with contextlib.suppress(ProcessLookupError):
            assert process.usage(zombie.pid).cpu_ns > 0
        assert process.size(zombie.pid).rss_kb == 0


def test_busy_core_is_seen_busy() -> None:
    core = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, {{{core}}})\n" + BURN.format(seconds=0.2)
    before = process.core(core)
    subprocess.run([sys.executable, "-c", code], stdin=subprocess.DEVNULL, check=True)
    # In ticks of 10 ms at both ends.
    after = process.core(core)
    assert after.busy_ns - before.busy_ns >= 180_000_000
    assert after.stolen_ns >= before.stolen_ns


def test_core_that_is_not_told_of_is_unknown() -> None:
    assert process.core(10_000) is None


def test_name_of_a_process_may_be_any_bytes(child: Child, wait_until: WaitUntil) -> None:
    code = (
        "import ctypes, sys\n"
        "ctypes.CDLL(None).prctl(15, b'\\xff) R 1 (\\n')\n"  # PR_SET_NAME
        "print('done', flush=True)\n"
        "sys.stdin.read()\n"
    )
    named = child(code)
    assert process.usage(named.pid).cpu_ns > 0
    assert process.size(named.pid).rss_kb > 0
    assert process.doing(named.pid) != "is gone"
    assert not process.stands_still(named.pid)
    os.kill(named.pid, signal.SIGSTOP)
    wait_until(lambda: process.stands_still(named.pid), "it is stopped")


def test_children_that_have_ended_and_nobody_waits_for_are_counted(child: Child) -> None:
    code = """
import os, sys
for _ in range(3):
    reading, writing = os.pipe()
    if os.fork() == 0:
        os._exit(0)
    os.close(writing)
    os.read(reading, 1)  # which returns when the child has ended
print("done", flush=True)
sys.stdin.read()
"""
    parent = child(code)
    deadline = time.monotonic() + 10
    while process.ended(parent.pid) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.005)
