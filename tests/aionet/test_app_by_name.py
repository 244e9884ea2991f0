"""An app by its name, `module:object`, and new code for it on SIGHUP."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from pathlib import Path

import pytest
from app_programs import DEADLINE_S, TICKER, Program, ask

from aionet.app import CannotLoadError, load

COUNTS_ITSELF = """
import os

async def app(stream):
    async for data in stream:
        await stream.send_all(b"%d" % os.getpid())
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_new_code_is_taken_on_sighup_and_nobody_is_cut(tmp_path: Path, workers: str) -> None:
    command = ("-m", "aionet", "serve", "program:app", "--workers", workers)
    program = Program(tmp_path, *command, code=TICKER)
    port = program.port()
    with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as before:
        before.sendall(b"first")
        (tmp_path / "program.py").write_text(TICKER.replace("VERSION = 1", "VERSION = 2"))
        program.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + DEADLINE_S
        while {ask(port) for _ in range(10)} != {b"2 x"}:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        rest = b""
        while data := before.recv(100):  # it was answered, and told of the end
            rest += data
        assert rest.replace(b".", b"") == b"1 first"
    status, _, err = program.end()
    assert (status, err) == (0, "")


def test_new_code_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    command = ("-m", "aionet", "serve", "program:app", "--workers", "2")
    program = Program(tmp_path, *command, code=TICKER)
    port = program.port()
    (tmp_path / "program.py").write_text("nonsense = \n")
    program.process.send_signal(signal.SIGHUP)
    assert program.process.stderr is not None
    said = ""
    while "those that there are go on" not in said:
        line = program.process.stderr.readline()
        assert line
        said += line
    assert "SyntaxError" in said
    assert ask(port) == b"1 x"
    status, _, _ = program.end()
    assert status == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing:app", "cannot serve nothing:app: there is no module 'nothing' in this folder"),
        ("program:nothing", "cannot serve program:nothing: program has no nothing"),
        ("program:", "cannot serve program:: 'program:' names nothing; write it as module:object"),
    ],
)
def test_what_cannot_be_loaded_is_said_in_one_line(tmp_path: Path, name: str, said: str) -> None:
    program = Program(tmp_path, "-m", "aionet", "serve", name, code=TICKER)
    _, err = program.process.communicate(timeout=DEADLINE_S)
    assert program.process.returncode == 1
    first, second = err.splitlines()
    assert first == said
    assert second.startswith("worker 0 ended before any was ready")


@pytest.mark.parametrize("what", ["Sums", "Sums()", "handler"])
def test_service_class_or_handler_by_name(tmp_path: Path, what: str) -> None:
    code = """
import aionet
class Sums(aionet.Service):
    def receive_data(self, peer, data):
        return data.upper()
instance = Sums()
async def handler(stream):
    async for data in stream:
        await stream.send_all(data.upper())
"""
    name = "program:" + what.replace("Sums()", "instance")
    program = Program(tmp_path, "-m", "aionet", "serve", name, code=code)
    assert ask(program.port(), b"abc") == b"ABC"
    assert program.end()[0] == 0


def test_name_of_an_object_may_have_dots() -> None:
    assert load("asyncio:events.AbstractEventLoop") is asyncio.AbstractEventLoop
    with pytest.raises(CannotLoadError, match=r"asyncio has no events.nothing"):
        load("asyncio:events.nothing")


RELOADS = 3


@pytest.mark.timeout(120)
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_nobody_is_refused_or_reset_while_workers_are_replaced(tmp_path: Path, loop: str) -> None:
    command = ("-m", "aionet", "serve", "program:app", "--workers", "2", "--loop", loop)
    program = Program(tmp_path, *command, code=COUNTS_ITSELF)
    port = program.port()
    seen: set[bytes] = {ask(port)}
    asked, lost = 0, []
    for _ in range(RELOADS):
        before = set(seen)
        program.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + DEADLINE_S
        while len(seen - before) < 2:  # both workers are others
            assert time.monotonic() < deadline
            asked += 1
            try:
                seen.add(ask(port))
            except OSError as error:
                lost.append(error)
    assert (lost, asked > 0) == ([], True)
    assert len(seen) >= 1 + 2 * RELOADS
    status, _, err = program.end()
    assert (status, err) == (0, "")


def test_who_is_there_may_end_by_himself_when_a_worker_is_replaced(tmp_path: Path) -> None:
    command = ("-m", "aionet", "serve", "program:app")
    program = Program(tmp_path, *command, code=COUNTS_ITSELF)
    port = program.port()
    with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as silent:
        while len({ask(port) for _ in range(5)}) != 1:
            pass
        old = ask(port)
        program.process.send_signal(signal.SIGHUP)
        while ask(port) == old:
            time.sleep(0.02)
        silent.sendall(b"x")  # it had not said anything yet
        assert silent.recv(100) == old
    assert program.end()[0] == 0
