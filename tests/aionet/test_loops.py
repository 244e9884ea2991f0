"""A loop by the name of its factory, MODULE:FACTORY."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from app_programs import DEADLINE_S, Program, ask

import aionet
from aionet.loops import LoopError, loop_factory

FACTORIES = """
import asyncio

taken = []

def mine():
    taken.append("mine")
    return asyncio.SelectorEventLoop()

def number():
    return 7

def fails():
    raise PermissionError(1, "io_uring_setup")

class Waiting(asyncio.SelectorEventLoop):
    async def create_server(self, *arguments, **more):
        await asyncio.sleep(0.01)
        return await super().create_server(*arguments, **more)

class Eager(asyncio.SelectorEventLoop):
    def create_server(self, *arguments, **more):  # a future, and no coroutine
        return self.create_task(super().create_server(*arguments, **more))

word = "loop"
"""
REFUSED = {
    "nothing:loop": (1, "there is no module 'nothing' for the loop nothing:loop; is it installed "),
    "broken:loop": (1, "the loop broken:loop cannot be imported: libmissing.so: cannot open"),
    "factories:nothing": (2, "there is no loop factories:nothing: factories has no nothing"),
    "factories:": (2, "there is no loop factories:: 'factories:' names nothing; write it as "),
    "factories:word": (2, "the loop factories:word is a str, which cannot be called to make one"),
    "factories:number": (1, "factories:number made no loop, but an object of int"),
    "asyncio:AbstractEventLoop": (1, "asyncio:AbstractEventLoop made no loop, but an object of A"),
    "factories:fails": (1, "factories:fails made no loop: PermissionError: [Errno 1] io_uring_"),
    "factories:Waiting": (1, "cannot serve on factories.Waiting: its create_server() waits for "),
    "factories:Eager": (1, "cannot serve on factories.Eager: its create_server() waits for "),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "factories.py").write_text(FACTORIES)
    (tmp_path / "broken.py").write_text('raise ImportError("libmissing.so: cannot open it")\n')
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("factories", "broken"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def test_a_loop_is_made_by_the_factory_that_is_named(folder: Path) -> None:
    make = loop_factory("factories:mine")
    with asyncio.Runner(loop_factory=make) as runner:
        assert runner.run(asyncio.sleep(0, "ran")) == "ran"
    assert sys.modules["factories"].taken == ["mine"]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_program_is_served_on_it(tmp_path: Path, workers: str) -> None:
    code = """
import asyncio

class Mine(asyncio.SelectorEventLoop):
    pass

async def app(stream):
    name = type(asyncio.get_running_loop()).__name__
    async for data in stream:
        await stream.send_all(name.encode())
"""
    words = ("serve", "program:app", "--loop", "program:Mine", "--workers", workers)
    program = Program(tmp_path, "-m", "aionet", *words, code=code)
    assert ask(program.port()) == b"Mine"
    status, _, err = program.end()
    assert (status, err) == (0, "")


def test_the_library_takes_it_too(folder: Path) -> None:
    code = """
import asyncio, aionet, os, signal

class Echo(aionet.Echo):
    pass

def ready(addresses):
    print(*addresses)
    os.kill(os.getpid(), signal.SIGTERM)

raise SystemExit(aionet.run(Echo(), "tcp://127.0.0.1:0", loop="factories:mine", on_ready=ready))
"""
    environment = {**os.environ, "PYTHONPATH": f"{folder}:{Path(aionet.__file__).parents[1]}"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("tcp://127.0.0.1:")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_loop_is_one_line(folder: Path, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aionet", "serve", "echo", "--loop", name],
        env={**os.environ, "PYTHONPATH": f"{folder}:{Path(aionet.__file__).parents[1]}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    status, said = REFUSED[name]
    assert done.stderr.startswith(f"error: {said}")
    assert done.stderr.count("\n") == 1
    assert (done.returncode, done.stdout) == (status, "")


@pytest.mark.parametrize("name", REFUSED)
def test_the_library_raises_what_the_command_says(folder: Path, name: str) -> None:
    status, said = REFUSED[name]
    if "create_server" in said:
        pytest.skip("the loop is made, and the server finds out")
    kind = ValueError if status == 2 else (ImportError, LoopError)
    with pytest.raises(kind) as raised:
        loop_factory(name)()
    assert str(raised.value).startswith(said)


def test_a_name_without_a_colon_is_a_choice_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="there is no loop 'libuv'; there is asyncio, uvloop, M"):
        aionet.run(aionet.Echo(), "tcp://127.0.0.1:0", loop="libuv")


def test_a_worker_says_it_and_the_parent_ends(folder: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "aionet", "serve", "echo"),
            *("--loop", "factories:fails", "--workers", "2"),
        ],
        env={**os.environ, "PYTHONPATH": f"{folder}:{Path(aionet.__file__).parents[1]}"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 1
    assert "factories:fails made no loop: PermissionError: [Errno 1] io_uring_setup" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_port_is_free_again_where_there_is_no_loop(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(LoopError):
        aionet.run(aionet.Echo(), f"tcp://127.0.0.1:{port}", loop="factories:fails")
    with socket.create_server(("127.0.0.1", port)):
        pass
