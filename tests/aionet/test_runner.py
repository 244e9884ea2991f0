"""run(): a whole program, in one process or several, until a signal."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aionet.address import Address
from aionet.listen import listen
from aionet.loops import LOOPS
from aionet.protocol import Echo, Room
from aionet.runner import run
from aionet.sockets import address_of

DEADLINE_S = 20.0  # for what takes much less, on a machine that is busy with other things
Start = Callable[..., "subprocess.Popen[bytes]"]

PRELUDE = """
import asyncio, os, sys
import aionet

class Pid(aionet.Echo):
    def __init__(self):
        self.born = os.getpid()

    def receive_data(self, peer, data):
        return [(peer, b"%d %d" % (os.getpid(), self.born))]

async def shout(stream):
    async for data in stream:
        await stream.send_all(data.upper())

class Shouter:
    async def __call__(self, stream):
        await shout(stream)

def ready(addresses):
    os.write(1, (" ".join(map(str, addresses)) + "\\n").encode())

def run(service, *where, **settings):
    sys.exit(aionet.run(service, *where, on_ready=ready, **settings))
"""

each_loop = pytest.mark.parametrize("loop", LOOPS)
each_number = pytest.mark.parametrize("workers", [1, 2])


class Program:
    """A process that has called run(), and where it listens."""

    def __init__(self, start: Start, call: str, **options: Any) -> None:
        self.process = start("-c", PRELUDE + call, **options)
        out = self.process.stdout
        assert out is not None
        readable, _, _ = select.select([out], [], [], DEADLINE_S)
        line = out.readline().decode() if readable else "nothing in time"
        assert "://" in line, (line, self.process.poll())
        self.addresses = [Address.parse(each) for each in line.split()]

    @contextlib.contextmanager
    def connect(self, number: int = 0) -> Iterator[socket.socket]:
        address = self.addresses[number]
        unix, udp = address.scheme == "unix", address.scheme == "udp"
        with socket.socket(
            socket.AF_UNIX if unix else socket.AF_INET,
            socket.SOCK_DGRAM if udp else socket.SOCK_STREAM,
        ) as sock:
            sock.settimeout(DEADLINE_S)
            sock.connect(address.path if unix else (address.host, address.port))
            yield sock

    def ask(self, question: bytes = b"?", number: int = 0) -> bytes:
        with self.connect(number) as sock:
            sock.sendall(question)
            return sock.recv(1000)

    def ask_until(self, enough: Callable[[set[bytes]], object]) -> set[bytes]:
        """The different answers to many, until there are enough of them."""
        answers: set[bytes] = set()
        for _ in range(1000):  # the kernel deals them out by a hash of their ports
            answers.add(self.ask())
            if enough(answers):
                return answers
        pytest.fail(f"there were only {answers}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it by a signal; it must have gone well, and without a word."""
        self.process.send_signal(number)
        assert self.process.communicate(timeout=DEADLINE_S) == (b"", b"")
        assert self.process.returncode == 0


# Served.


@each_loop
@each_number
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_and_returns_0(
    start: Start, loop: str, workers: int, number: signal.Signals
) -> None:
    program = Program(start, f"run(Pid, 'tcp://127.0.0.1:0', loop={loop!r}, workers={workers})")
    (address,) = program.addresses
    assert address.port > 0
    pids = program.ask_until(lambda answers: len(answers) == workers)
    # A class is made anew where it serves.
    assert all(pid == born for pid, born in map(bytes.split, pids))
    assert (b"%d %d" % (program.process.pid, program.process.pid) in pids) is (workers == 1)
    with program.connect() as open_:
        open_.sendall(b"?")
        open_.recv(100)
        program.stop(number)
        assert open_.recv(100) == b""


@each_loop
@pytest.mark.parametrize(
    ("service", "answer"),
    [
        ("aionet.Echo()", b"hello"),
        ("aionet.Echo", b"hello"),
        ("lambda: aionet.Echo()", b"hello"),
        ("shout", b"HELLO"),
        ("lambda: shout", b"HELLO"),
        ("Shouter()", b"HELLO"),
    ],
)
def test_a_service_a_handler_or_what_makes_one_is_served(
    start: Start, loop: str, service: str, answer: bytes
) -> None:
    program = Program(start, f"run({service}, 'tcp://127.0.0.1:0', loop={loop!r}, workers=2)")
    assert program.ask(b"hello") == answer
    program.stop()


@each_number
def test_every_kind_of_address_is_served_and_told(
    start: Start, tmp_path: Path, workers: int
) -> None:
    where = f"'tcp://127.0.0.1:0', 'unix://{tmp_path}/socket', 'udp://127.0.0.1:0'"
    program = Program(start, f"run(aionet.Echo, {where}, workers={workers})")
    assert [address.scheme for address in program.addresses] == ["tcp", "unix", "udp"]
    for number in range(3):
        assert program.ask(b"hello", number) == b"hello"
    program.stop()
    assert not (tmp_path / "socket").exists()


def test_a_worker_that_dies_is_replaced_and_nobody_is_refused(start: Start) -> None:
    program = Program(start, "run(Pid, 'tcp://127.0.0.1:0', workers=2)")
    before = program.ask_until(lambda answers: len(answers) == 2)
    victim = min(before)
    with contextlib.ExitStack() as stack:
        answer = b""
        while answer != victim:
            sock = stack.enter_context(program.connect())
            sock.sendall(b"?")
            answer = sock.recv(100)
        os.kill(int(victim.split()[0]), signal.SIGKILL)
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(100) == b""
    after = program.ask_until(lambda answers: len(answers - {victim}) == 2)
    assert len(after - before) == 1
    program.process.terminate()
    out, err = program.process.communicate(timeout=DEADLINE_S)
    assert (out, program.process.returncode) == (b"", 0)
    assert b"SIGKILL; starting another" in err


@each_number
def test_limits_and_timeouts_are_those_of_each_worker(start: Start, workers: int) -> None:
    program = Program(
        start,
        f"run(Pid, 'tcp://127.0.0.1:0', workers={workers}, "
        "limits=aionet.Limits(connections=1, on_full='reject'), "
        "timeouts=aionet.Timeouts(idle=0.5))",
    )
    with contextlib.ExitStack() as stack:
        served: dict[bytes, socket.socket] = {}
        while len(served) < workers:
            with contextlib.suppress(ConnectionError):  # its worker is full
                sock = stack.enter_context(program.connect())
                sock.sendall(b"?")
                if answer := sock.recv(100):
                    assert answer not in served or not served[answer].recv(100)
                    served[answer] = sock
        for sock in served.values():
            assert sock.recv(100) == b""  # idle
    program.stop()


# Systemd.


@each_number
def test_systemd_is_told_when_it_is_ready_and_when_it_stops(
    start: Start, tmp_path: Path, workers: int
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(DEADLINE_S)
        manager.bind(str(tmp_path / "notify"))
        program = Program(
            start,
            f"run(Pid, 'tcp://127.0.0.1:0', workers={workers})",
            env=os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")},
        )
        assert manager.recv(100) == b"READY=1"
        assert program.ask()
        program.stop()
        assert manager.recv(100) == b"STOPPING=1"
        manager.setblocking(False)
        with pytest.raises(BlockingIOError):
            manager.recv(100)


# What cannot be meant.


@pytest.mark.parametrize("service", [Room, Room(), lambda: Room()])
def test_members_in_different_processes_would_never_meet(service: Any) -> None:
    with pytest.raises(ValueError, match=r"^workers is 2, but .*; use 1$"):
        run(service, "tcp://127.0.0.1:0", workers=2)


@pytest.mark.parametrize("workers", [0, -1])
def test_there_is_at_least_one_worker(workers: int) -> None:
    with pytest.raises(ValueError, match=f"^workers is {workers}; "):
        run(Echo, "tcp://127.0.0.1:0", workers=workers)


def test_it_needs_an_address() -> None:
    with pytest.raises(ValueError, match="an address, such as"):
        run(Echo)


def test_there_are_two_loops() -> None:
    with pytest.raises(ValueError, match="there is no loop 'trio'"):
        run(Echo, "tcp://127.0.0.1:0", loop="trio")


def test_an_address_that_cannot_be_read_is_told() -> None:
    with pytest.raises(ValueError, match="http"):
        run(Echo, "http://127.0.0.1:80")


@pytest.mark.parametrize("workers", [1, 2])
def test_an_address_that_is_taken_is_an_oserror(workers: int) -> None:
    with listen(Address.parse("tcp://127.0.0.1:0")) as taken:
        address = str(address_of(taken))
        with pytest.raises(OSError, match="in use"):
            run(Echo, "tcp://127.0.0.1:0", address, workers=workers)
