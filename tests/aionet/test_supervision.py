"""run() where something does not end: a loop that hangs, a parent that is gone, a stubborn task."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import time
from functools import partial
from pathlib import Path

import pytest
from deadline import DEADLINE_S, wait_until
from run_program import PRELUDE, Program, Start, each_loop, each_number

from aionet.listen import listen

HANGS = """
libc, mutex = ctypes.PyDLL(None), ctypes.create_string_buffer(64)
logging.basicConfig(format="%(message)s")

class Hangs(Pid):
    def receive_data(self, peer, data):
        if data == b"sleep":
            time.sleep(1000)
        while data == b"spin":
            pass
        while data == b"keep the GIL":
            libc.pthread_mutex_lock(mutex)  # the second one waits for ever
        return super().receive_data(peer, data)

"""
HUNG = "its loop hung, and its watchdog killed it (SIGALRM); starting another"

each_way = pytest.mark.parametrize("way", [b"sleep", b"spin", b"keep the GIL"])


def hang(program: Program, sock: socket.socket, way: bytes) -> int:
    """Let the process that serves this connection hang; its pid."""
    sock.sendall(b"who?")
    pid = int(sock.recv(100).split()[0])
    sock.sendall(way)
    wait_until(lambda: is_stuck(pid, way), "it hangs")
    return pid


def is_stuck(pid: int, way: bytes) -> bool:
    """Whether its main thread waits for what it should not, or computes."""
    try:
        doing = Path(f"/proc/{pid}/wchan").read_text()
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "R" if way == b"spin" else "epoll" not in doing


def ends(sock: socket.socket) -> bool:
    with contextlib.suppress(ConnectionResetError):
        return sock.recv(100) == b""
    return True


def is_free(program: Program) -> bool:
    """Whether nobody has the port any more."""
    try:
        listen(program.addresses[0]).close()
    except OSError:
        return False
    return True


# A worker hangs.


@each_loop
@each_way
def test_a_worker_that_hangs_is_killed_and_replaced(start: Start, loop: str, way: bytes) -> None:
    call = f"run(WHERE, factory=Hangs, workers=2, loop={loop!r}, hang_timeout=1.5)"
    program = Program(start, HANGS + call)
    with program.connect() as sock:
        victim = hang(program, sock, way)
        assert ends(sock)
    answers = program.ask_until(lambda answers: len(answers) == 2)
    assert b"%d %d" % (victim, victim) not in answers
    program.process.terminate()
    out, err = program.process.communicate(timeout=DEADLINE_S)
    assert (out, program.process.returncode) == (b"", 0)
    trace, line = err.decode().rstrip().rsplit("\n", 1)
    assert re.fullmatch(rf"worker [01] \(pid {victim}\) ended: {re.escape(HUNG)}", line)
    assert "in receive_data" in trace  # where it hung
    assert "ended:" not in trace


@each_loop
def test_a_worker_that_was_stopped_for_long_goes_on(start: Start, loop: str) -> None:
    seconds = 1.0
    call = f"run(WHERE, factory=Pid, workers=2, loop={loop!r}, hang_timeout={seconds})"
    program = Program(start, call)
    before = program.ask_until(lambda answers: len(answers) == 2)
    pids = [int(answer.split()[0]) for answer in before]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(1.5 * seconds)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    assert program.ask_until(lambda answers: len(answers) == 2) == before
    program.process.terminate()
    assert program.process.wait(DEADLINE_S) == 0


@pytest.mark.slow
@each_loop
def test_a_worker_that_hangs_when_told_to_stop_is_killed(start: Start, loop: str) -> None:
    program = Program(
        start,
        HANGS
        + f"run(WHERE, factory=Hangs, workers=2, loop={loop!r}, hang_timeout=None, "
        + "timeouts=aionet.Timeouts(drain=0.1))",
    )
    with program.connect() as sock:
        victim = hang(program, sock, b"keep the GIL")
        program.process.terminate()
        out, err = program.process.communicate(timeout=DEADLINE_S)
    assert (out, program.process.returncode) == (b"", 1)
    line = rf"worker [01] \(pid {victim}\) has not stopped in 5.1 s: killed\n"
    assert re.fullmatch(line, err.decode())


@each_loop
@each_way
def test_a_second_signal_ends_a_process_that_hangs(start: Start, loop: str, way: bytes) -> None:
    program = Program(start, HANGS + f"run(Hangs(), WHERE, loop={loop!r})")
    pid = program.process.pid
    with program.connect() as sock:
        assert hang(program, sock, way) == pid
        program.process.terminate()
        wait_until(lambda: not catches(pid, signal.SIGTERM), "the first one has come")
        assert program.process.poll() is None
        program.process.terminate()
        assert program.process.wait(DEADLINE_S) == -signal.SIGTERM


def catches(pid: int, number: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    mask = re.search(r"^SigCgt:\s+(\w+)$", status, re.MULTILINE)
    assert mask
    return bool(int(mask[1], 16) >> (number - 1) & 1)


# The parent is gone.


@each_loop
@each_way
def test_a_worker_that_hangs_does_not_outlive_its_parent_for_long(
    start: Start, loop: str, way: bytes
) -> None:
    call = f"run(WHERE, factory=Hangs, workers=2, loop={loop!r}, hang_timeout=1)"
    program = Program(start, HANGS + call)
    with program.connect() as sock, program.connect() as other:
        hang(program, sock, way)
        program.process.kill()
        assert ends(sock)
        assert ends(other)
    wait_until(lambda: is_free(program), "nobody has the port")


@each_loop
def test_workers_drain_when_their_parent_is_gone(start: Start, loop: str) -> None:
    code = """
async def slow(stream):
    data = await stream.receive()
    await stream.send_all(b"wait")
    await asyncio.sleep(0.3)
    await stream.send_all(data)

"""
    program = Program(start, code + f"run(slow, WHERE, loop={loop!r}, workers=2)")
    with program.connect() as sock:
        sock.sendall(b"?")
        assert sock.recv(4, socket.MSG_WAITALL) == b"wait"
        program.process.kill()
        assert sock.recv(100) == b"?"
        assert sock.recv(100) == b""
    wait_until(lambda: is_free(program), "nobody has the port")


def test_a_worker_whose_factory_takes_for_ever_ends_with_its_parent(start: Start) -> None:
    code = """
def make():
    os.write(1, b"making\\n")
    time.sleep(1000)

run(WHERE, factory=make, workers=2)
"""
    process = start("-c", PRELUDE + code)
    out = process.stdout
    assert out is not None
    assert out.readline() + out.readline() == b"making\n" * 2
    process.kill()
    assert out.read() == b""  # and no worker has it any more


# A worker ends.


@each_loop
def test_a_worker_that_ends_leaves_the_unix_socket_to_the_others(
    start: Start, tmp_path: Path, loop: str
) -> None:
    path = tmp_path / "socket"
    program = Program(start, f"run('unix://{path}', factory=Pid, workers=2, loop={loop!r})")
    for _ in range(3):
        victim = int(program.ask().split()[0])
        os.kill(victim, signal.SIGTERM)
        wait_until(partial(is_gone, victim), "it has ended")
        assert path.exists()
        assert int(program.ask().split()[0]) != victim
    program.process.terminate()
    assert program.process.wait(DEADLINE_S) == 0
    assert not path.exists()


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


# What a program leaves behind.

LEFT = """
logging.basicConfig(format="%(message)s")

async def stubborn(stream):
    await stream.receive()
    await stream.send_all(b"here")
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            pass

async def threaded(stream):
    await stream.receive()
    await stream.send_all(b"here")
    await asyncio.to_thread(time.sleep, 1000)

async def in_between(stream):
    await stream.receive()
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 0.5)
    await stream.send_all(b"here")

"""


@each_loop
@each_number
@pytest.mark.parametrize(
    ("handler", "why"),
    [
        ("stubborn", "tasks that ignore their cancellation: 1; the process ends without that"),
        ("threaded", "a thread of to_thread() has not ended; the process ends without that"),
    ],
)
def test_what_does_not_end_ends_with_the_process(
    start: Start, loop: str, workers: int, handler: str, why: str
) -> None:
    program = Program(
        start,
        LEFT
        + f"run({handler}, WHERE, loop={loop!r}, workers={workers}, "
        + "timeouts=aionet.Timeouts(drain=0.1))",
    )
    with program.connect() as sock:
        sock.sendall(b"?")
        assert sock.recv(100) == b"here"
        program.process.terminate()
        out, err = program.process.communicate(timeout=DEADLINE_S)
    assert (out, program.process.returncode) == (b"", 1)
    lines = err.decode().splitlines()
    assert why in lines
    assert "has not stopped" not in err.decode()
    if workers > 1:
        assert re.fullmatch(r"worker [01] \(pid \d+\) was asked to stop: exit status 1", lines[-1])


@each_loop
@each_number
def test_a_thread_may_end_within_the_drain_timeout(start: Start, loop: str, workers: int) -> None:
    program = Program(start, LEFT + f"run(in_between, WHERE, loop={loop!r}, workers={workers})")
    assert program.ask() == b"here"
    program.stop()
