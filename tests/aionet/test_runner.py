"""run(): a whole program, in one process or several, until a signal."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
from deadline import DEADLINE_S
from run_program import PRELUDE, Program, Start, each_loop, each_number

from aionet.address import Address
from aionet.hooks import Hooks
from aionet.listen import listen
from aionet.protocol import Echo, Room
from aionet.runner import run
from aionet.sockets import address_of

ANY = "tcp://127.0.0.1:0"


# Served.


@each_loop
@each_number
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_and_returns_0(
    start: Start, loop: str, workers: int, number: signal.Signals
) -> None:
    program = Program(
        start, f"run('tcp://127.0.0.1:0', factory=Pid, loop={loop!r}, workers={workers})"
    )
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
    ("what", "answer"),
    [
        ("aionet.Echo(), WHERE", b"hello"),
        ("WHERE, factory=aionet.Echo", b"hello"),
        ("WHERE, factory=lambda: aionet.Echo()", b"hello"),
        ("WHERE, factory=slowly", b"hello"),
        ("shout, WHERE", b"HELLO"),
        ("lambda stream: shout(stream), WHERE", b"HELLO"),
        ("partial(shout_in, 'ascii'), WHERE", b"HELLO"),
        ("wrapped, WHERE", b"HELLO"),
        ("Shouter(), WHERE", b"HELLO"),
        ("Shouter().__call__, WHERE", b"HELLO"),
        ("WHERE, factory=lambda: shout", b"HELLO"),
        ("WHERE, factory=Shouter", b"HELLO"),
    ],
)
def test_a_service_a_handler_or_what_a_factory_makes_is_served(
    start: Start, loop: str, what: str, answer: bytes
) -> None:
    program = Program(start, f"run({what}, loop={loop!r}, workers=2)")
    assert program.ask(b"hello") == answer
    program.stop()


@each_loop
@each_number
def test_a_factory_is_called_once_where_its_service_serves_and_on_the_loop(
    start: Start, loop: str, workers: int
) -> None:
    code = """
def make():
    asyncio.get_running_loop()
    os.write(2, b"%d\\n" % os.getpid())
    return Pid()

"""
    call = f"run(WHERE, factory=make, loop={loop!r}, workers={workers})"
    program = Program(start, code + call)
    answers = program.ask_until(lambda answers: len(answers) == workers)
    program.process.terminate()
    out, err = program.process.communicate(timeout=DEADLINE_S)
    assert (out, program.process.returncode) == (b"", 0)
    assert sorted(err.split()) == sorted(answer.split()[0] for answer in answers)


@each_number
def test_every_kind_of_address_is_served_and_told(
    start: Start, tmp_path: Path, workers: int
) -> None:
    where = f"'tcp://127.0.0.1:0', 'unix://{tmp_path}/socket', 'udp://127.0.0.1:0'"
    program = Program(start, f"run(aionet.Echo(), {where}, workers={workers})")
    assert [address.scheme for address in program.addresses] == ["tcp", "unix", "udp"]
    for number in range(3):
        assert program.ask(b"hello", number) == b"hello"
    program.stop()
    assert not (tmp_path / "socket").exists()


def test_a_worker_that_dies_is_replaced_and_nobody_is_refused(start: Start) -> None:
    program = Program(start, "run('tcp://127.0.0.1:0', factory=Pid, workers=2)")
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
        f"run('tcp://127.0.0.1:0', factory=Pid, workers={workers}, "
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
            f"run('tcp://127.0.0.1:0', factory=Pid, workers={workers})",
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


def test_members_in_different_processes_would_never_meet() -> None:
    with pytest.raises(ValueError, match=r"^workers is 2, but .*; use 1$"):
        run(Room(), ANY, workers=2)
    with pytest.raises(ValueError, match=r"^workers is 2, but .*; use 1$"):
        run(ANY, factory=Room, workers=2)


def test_a_function_that_makes_what_cannot_have_workers_ends_in_one_line(start: Start) -> None:
    process = start("-c", PRELUDE + "run(WHERE, factory=lambda: aionet.Room(), workers=2)")
    out, err = process.communicate(timeout=DEADLINE_S)
    assert (out, process.returncode) == (b"", 1)
    why, *others = err.decode().splitlines()
    assert why.startswith("workers is 2, but the peers")
    # The other worker may say it as well, before the parent or after it.
    (ended,) = [each for each in others if each != why]
    assert "ended before any was ready: exit status 1; its own message is above" in ended
    assert "Traceback" not in err.decode()


@pytest.mark.parametrize(
    ("service", "why"),
    [
        (Echo, r"Echo is a class: give Echo\(\), or to run"),
        ("tcp://127.0.0.1:0", "is neither a Service nor a handler"),
        (lambda: Echo(), "takes no stream; is it a factory="),
    ],
)
def test_what_is_no_service_is_told_before_anybody_listens(service: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        run(service, ANY)


def test_a_service_and_a_factory_are_one_too_many() -> None:
    both: Any = Echo()
    with pytest.raises(ValueError, match="a service or factory=, not both"):
        run(both, ANY, factory=Echo)
    neither: Any = Echo()
    with pytest.raises(ValueError, match="it must be a class or a function"):
        run(ANY, factory=neither)


@pytest.mark.parametrize("workers", [0, -1])
def test_there_is_at_least_one_worker(workers: int) -> None:
    with pytest.raises(ValueError, match=f"^workers is {workers}; "):
        run(Echo(), ANY, workers=workers)


@pytest.mark.parametrize("seconds", [0, -1.5])
def test_a_hang_takes_some_time(seconds: float) -> None:
    with pytest.raises(ValueError, match=f"^hang_timeout is {seconds}; "):
        run(Echo(), ANY, hang_timeout=seconds)


def test_it_needs_an_address() -> None:
    with pytest.raises(ValueError, match="an address, such as"):
        run(Echo())


def test_there_are_two_loops() -> None:
    with pytest.raises(ValueError, match="there is no loop 'trio'"):
        run(Echo(), ANY, loop="trio")


def test_an_address_that_cannot_be_read_is_told() -> None:
    with pytest.raises(ValueError, match="http"):
        run(Echo(), "http://127.0.0.1:80")


@each_number
def test_an_address_that_is_taken_ends_the_program_with_one_line(
    tmp_path: Path, workers: int
) -> None:
    path = tmp_path / "socket"
    with listen(Address.parse(ANY)) as taken:
        address = str(address_of(taken))
        with pytest.raises(SystemExit, match=f"cannot listen on {address}: .*in use") as refusal:
            run(Echo(), f"unix://{path}", ANY, address, workers=workers)
    assert isinstance(refusal.value.__cause__, OSError)
    assert not path.exists()


@each_loop
@pytest.mark.parametrize("scheme", ["tcp", "udp"])
def test_workers_started_twice_are_refused_unless_they_may_share(
    start: Start, loop: str, scheme: str
) -> None:
    service = f"'{scheme}://127.0.0.1:0', factory=Pid, loop={loop!r}, workers=2"
    program = Program(start, f"run({service})")
    (address,) = program.addresses
    with pytest.raises(SystemExit, match=f"{address}: the port is in use") as refusal:
        run(Echo(), address, workers=2)
    assert isinstance(refusal.value.__cause__, OSError)
    assert refusal.value.__cause__.errno == errno.EADDRINUSE
    shared = service.replace(f"{scheme}://127.0.0.1:0", str(address))
    other = Program(start, f"run({shared}, exclusive=False)")
    with pytest.raises(SystemExit, match="in use"):
        run(Echo(), address, workers=2)
    assert len(program.ask_until(lambda answers: len(answers) == 4)) == 4
    other.stop()
    program.stop()


def test_what_is_called_and_never_awaited_must_be_no_coroutine_function() -> None:
    async def wait(*ignored: Any) -> None: ...

    for name in ("on_ready", "on_stats"):
        with pytest.raises(ValueError, match=f"^{name} is a coroutine function"):
            run(Echo(), ANY, **{name: wait})
    for name in ("on_open", "on_close", "on_reject"):
        with pytest.raises(ValueError, match=f"^{name} is a coroutine function"):
            Hooks(**{name: wait})
