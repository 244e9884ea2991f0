"""What the README says runs: its commands and its server."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    return [line for block in blocks("sh") for line in block.splitlines()]


def test_first_two_commands_are_what_ci_runs() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "compare run --quick" in commands()[0]
    assert "pytest -q" in commands()[1]
    assert '"$(readme 1)"' in ci
    assert '"$(readme 2)"' in ci


@pytest.mark.parametrize("command", [c for c in commands() if " serve " in c])
def test_server_command_says_ready_and_ends_with_status_0(command: str) -> None:
    words = re.sub(r":70\d\d\b", ":0", command).split()
    assert words[0] == "python"
    with subprocess.Popen([sys.executable, *words[1:]], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline().startswith(b"READY tcp://127.0.0.1:")
        server.terminate()
        assert server.wait(10) == 0


@pytest.mark.parametrize("command", [c for c in commands() if " chat " in c and "serve" not in c])
def test_chat_command_joins_and_leaves(command: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "blocking", "serve", "chat", "--model", "epoll"],
        stdout=subprocess.PIPE,
    ) as server:
        assert server.stdout is not None
        place = server.stdout.readline().decode().strip().rpartition("/")[2]
        words = shlex.split(command.replace("127.0.0.1:7007", place))
        client = subprocess.run(
            [sys.executable, *words[1:]], stdin=subprocess.DEVNULL, capture_output=True, timeout=20
        )
        server.terminate()
    assert client.returncode == 0, client.stderr
    assert b"* The room contains:" in client.stdout


ECHO = """\
import socketserver, sys
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1000
    def handle_error(self, *given): pass
Server(("127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
"""


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_first_command_of_who_measures_and_of_who_learns_runs(tmp_path: Path) -> None:
    (tmp_path / "my_server.py").write_text(ECHO)
    own, learn = (each for each in commands()[2:] if each.startswith("compare "))
    short = "--workloads tcp-long --rounds 1 --duration 0.1 --unchecked --models mine,epoll"
    for command, told in ((f"{own} {short}", "mine "), (learn, "12 lessons are in net")):
        words = shlex.split(command)
        done = subprocess.run(
            [sys.executable, "-m", "compare", *words[1:]],
            cwd=tmp_path,
            env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert told in done.stdout


def test_server_in_ten_lines_shouts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as placeholder:
        port = placeholder.getsockname()[1]
    program = tmp_path / "shout.py"
    (code,) = blocks("python")
    program.write_text(code.replace(":7007", f":{port}").replace("*where", "*where, flush=True"))
    with subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"listening on tcp://127.0.0.1:%d\n" % port
        with socket.create_connection(("127.0.0.1", port)) as sock, sock.makefile("rb") as lines:
            assert lines.readline() == b"say something\n"
            sock.sendall(b"quietly\n")
            assert lines.readline() == b"QUIETLY\n"
            sock.shutdown(socket.SHUT_WR)
            assert lines.read() == b""
        server.terminate()
        assert server.wait(10) == 0


def test_the_library_on_its_own_shows_the_same_server() -> None:
    alone = (ROOT / "aionet" / "README.md").read_text(encoding="utf-8")
    shown, ours = (re.sub(r"  # .*", "", text) for text in (alone, blocks("python")[0]))
    assert ours in shown


def command_in_the_text(start: str) -> list[str]:
    """The words of the command in the running text that begins so."""
    page = (ROOT / "docs" / "measuring.md").read_text(encoding="utf-8")
    (command,) = re.findall(rf"`({re.escape(start)}[^`]*)`", page)
    return shlex.split(command)


@pytest.mark.slow
def test_the_comparison_with_the_barest_servers_runs() -> None:
    words = command_in_the_text("compare run --models bare-epoll")
    words[0:1] = [sys.executable, "-m", "compare"]
    words += ["--rounds", "1", "--duration", "0.1"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    rows = {row.split()[0] for row in done.stdout.splitlines() if row and "64/64" in row}
    assert rows == set(words[words.index("--models") + 1].split(","))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cc") is None, reason="the yardstick is written in C")
def test_the_driver_is_measured_beside_one_in_c() -> None:
    _, program = command_in_the_text("python tests/yardstick/measure_driver")
    command = [sys.executable, str(ROOT / program), "1", "0.2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^server sleeps +driver +[\d,]+/s  of C: median", done.stdout, re.MULTILINE)


def test_every_file_that_the_readme_names_exists() -> None:
    for path in re.findall(r"`?((?:aionet|blocking|compare|tests)/[\w/.]+)`?", README):
        assert (ROOT / path).exists(), path
