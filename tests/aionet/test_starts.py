"""run() that forks, and what ends: threads of the program, a slow successor, a late signal."""

from __future__ import annotations

import os
import signal

from run_program import Program, Start

THREAD = """
logging.basicConfig(format="%(message)s")
threading.Thread(target=threading.Event().wait, name="poller", daemon=True).start()
"""
SLOW = """
logging.basicConfig(format="%(message)s")

def make():
    if os.path.exists(sys.argv[1]):
        time.sleep(1000)
    return Pid()

"""


def test_threads_that_run_before_workers_are_forked_are_told(start: Start) -> None:
    program = Program(start, THREAD + "run(WHERE, factory=Pid, workers=2)")
    program.process.send_signal(signal.SIGTERM)
    _, err = program.process.communicate()
    assert b"run() forks workers, and threads run already (poller): a lock that" in err


def test_nothing_is_told_of_threads_where_nobody_is_forked(start: Start) -> None:
    program = Program(start, THREAD + "run(WHERE, factory=Pid)")
    program.stop()


def test_worker_that_is_not_ready_in_time_does_not_replace_another(
    start: Start, tmp_path: os.PathLike[str]
) -> None:
    slow = os.path.join(tmp_path, "slow")
    code = SLOW.replace("sys.argv[1]", repr(slow))
    program = Program(start, code + "run(WHERE, factory=make, workers=2, start_timeout=0.3)")
    before = program.ask_until(lambda answers: len(answers) == 2)
    with open(slow, "w"):
        pass
    program.process.send_signal(signal.SIGHUP)
    err = program.process.stderr
    assert err is not None
    said = err.readline() + err.readline()
    assert b"is not ready after 0.3 s: killed\n" in said
    assert b"those that there are go on" in said
    assert program.ask_until(lambda answers: len(answers) == 2) == before
    program.process.send_signal(signal.SIGTERM)
    program.process.communicate()
    assert program.process.returncode == 0


CLOSES = """
import asyncio, signal
from aionet.process import Process

async def work():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, print)
    close = loop._close_self_pipe

    def close_and_signal():
        close()
        signal.raise_signal(signal.SIGTERM)

    loop._close_self_pipe = close_and_signal

with Process("asyncio", 1.0) as process:
    process.serve(work())
"""


def test_nothing_is_said_of_a_signal_that_comes_while_the_loop_closes(start: Start) -> None:
    process = start("-c", CLOSES)
    assert process.communicate() == (b"", b"")
    assert process.returncode == 0
