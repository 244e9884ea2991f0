"""The lessons: each runs where it lies, imports nothing of ours, and does what it says."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from blocking_servers import receive_rest
from deadline import DEADLINE_S

import blocking.lessons
from aionet.sockets import set_reset_on_close
from compare.check.bench import free_port

FOLDER = Path(blocking.lessons.__file__).parent
NAMES = sorted(each.stem for each in FOLDER.glob("*.py") if each.stem != "__init__")
ECHOES = [name for name in NAMES if name.startswith("echo")]
TOGETHER = [name for name in ECHOES if name != "echo_one_at_a_time"]
MOST_LINES = 100

Address = tuple[str, int]


@pytest.fixture
def run(start: Callable[..., Any]) -> Iterator[Callable[[str], Address]]:
    """Starts a lesson in its own folder, where no name may hide one of the standard library."""
    processes: list[subprocess.Popen[bytes]] = []

    def run(name: str) -> Address:
        address = ("127.0.0.1", free_port("tcp", "127.0.0.1"))
        process = start(f"{name}.py", str(address[1]), cwd=FOLDER, stderr=None)
        processes.append(process)
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection(address).close()
                return address
            time.sleep(0.01)
        raise AssertionError(f"{name} does not listen")

    yield run
    for process in processes:  # SIGKILL would leave children to live on
        process.terminate()
        process.wait(DEADLINE_S)


def connect(address: Address) -> socket.socket:
    return socket.create_connection(address, DEADLINE_S)


def test_page_and_package_name_all_of_them() -> None:
    page = (FOLDER.parents[1] / "docs" / "blocking.md").read_text(encoding="utf-8")
    for name in NAMES:
        lines = len((FOLDER / f"{name}.py").read_text(encoding="utf-8").splitlines())
        assert f"| `{name}.py` | {lines} |" in page
    listed = (blocking.lessons.__doc__ or "").partition("In this order: ")[2].partition(".")[0]
    assert sorted(listed.replace(",", " ").split()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_lesson_is_short_and_needs_the_standard_library_only(name: str) -> None:
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = (
                [node.module]
                if isinstance(node, ast.ImportFrom)
                else [each.name for each in node.names]
            )
            assert {str(each).partition(".")[0] for each in modules} <= sys.stdlib_module_names


@pytest.mark.parametrize("name", ECHOES)
def test_all_comes_back_after_a_half_close_and_a_reset_ends_nobody_else(
    run: Callable[[str], Address], name: str
) -> None:
    address, data = run(name), os.urandom(3 << 20)
    with connect(address) as sock:
        sock.sendall(b"hello")
        set_reset_on_close(sock)
    with connect(address) as sock:
        sending = threading.Thread(target=send_and_finish, args=(sock, data))
        sending.start()
        assert receive_rest(sock) == data
        sending.join()


def send_and_finish(sock: socket.socket, data: bytes) -> None:
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("name", TOGETHER)
def test_who_says_nothing_keeps_nobody_waiting(run: Callable[[str], Address], name: str) -> None:
    address = run(name)
    with connect(address), connect(address) as sock:
        sock.sendall(b"hello")
        assert sock.recv(100) == b"hello"


def test_members_hear_each_other_and_not_themselves(run: Callable[[str], Address]) -> None:
    address = run("chat_threads")
    with joined(address, b"ann") as ann, joined(address, b"bob") as bob:
        assert ann[1].readline() == b"* bob has entered the room\n"
        ann[0].sendall(b"hello\n")
        assert bob[1].readline() == b"[ann] hello\n"
        bob[0].sendall(b"good morning\nbye\n")
        bob[0].shutdown(socket.SHUT_WR)
        lines = [ann[1].readline() for _ in range(3)]
        assert lines == [b"[bob] good morning\n", b"[bob] bye\n", b"* bob has left the room\n"]


@contextlib.contextmanager
def joined(address: Address, name: bytes) -> Iterator[tuple[socket.socket, Any]]:
    with connect(address) as sock, sock.makefile("rb") as lines:
        assert lines.readline().startswith(b"* ")
        sock.sendall(name + b"\n")
        assert lines.readline().startswith(b"* The room contains:")
        yield sock, lines


def test_name_that_somebody_has_is_refused(run: Callable[[str], Address]) -> None:
    address = run("chat_threads")
    with joined(address, b"ann"), connect(address) as sock, sock.makefile("rb") as lines:
        sock.sendall(b"ann\n")
        assert lines.readlines()[-1].startswith(b"! ")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", NAMES)
def test_lesson_lacks_what_the_page_says_and_nothing_else(name: str) -> None:
    page = (FOLDER.parents[1] / "docs" / "blocking.md").read_text(encoding="utf-8")
    (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
    lacks = {each.strip() for each in row.split("|")[2].split(",")} - {"nothing"}
    profile = "chat" if name.startswith("chat") else "tcp-echo"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "compare", "check", "--profile", profile, "--json", "-", "--"),
            *(sys.executable, str(FOLDER / f"{name}.py"), "{port}"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout)["findings"]
    assert {each["id"] for each in found if each["state"] == "failed"} == lacks, done.stderr
