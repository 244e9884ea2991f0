"""What docs/aionet.md says is so: its programs and commands run, its tables are the code's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import aionet
from aionet import CloseReason, Timeouts
from aionet.address import Address
from aionet.testing import MemoryServer

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "aionet.md").read_text(encoding="utf-8")
DEADLINE_S = 30.0


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


PROGRAMS = {block.split()[1]: block for block in blocks("python")}
COMMANDS = [line for block in blocks("sh") for line in block.splitlines()]


def free_port() -> int:
    """A port of a range from which the kernel gives none for port 0, so none is lost to a race."""
    while True:
        port = random.randrange(20000, 32000)
        with (
            socket.socket() as tcp,
            socket.socket(type=socket.SOCK_DGRAM) as udp,
            contextlib.suppress(OSError),
        ):
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
            return port


class Folder:
    """The page's programs as files, each with ports of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ports: dict[str, int] = {}
        for name, code in PROGRAMS.items():
            (path / name).write_text(self.with_ports(code))

    def with_ports(self, text: str) -> str:
        return re.sub(r"\b70\d\d\b", lambda match: str(self.port(match[0])), text)

    def port(self, written: str) -> int:
        return self._ports.setdefault(written, free_port())

    @contextlib.contextmanager
    def running(self, name: str, stdout: int | None = None) -> Iterator[subprocess.Popen[str]]:
        """The program, which must end with status 0 when it is told to, and say nothing."""
        with (self.path / "stderr").open("w+") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-W", "error", name],
                cwd=self.path,
                stdout=stdout,
                stderr=stderr,
                text=True,
            )
            with ending(process):
                yield process
            stderr.seek(0)
            assert (process.returncode, stderr.read()) == (0, "")


@contextlib.contextmanager
def ending(process: subprocess.Popen[str]) -> Iterator[None]:
    with process:
        try:
            yield
            process.terminate()
            process.wait(DEADLINE_S)
        finally:
            process.kill()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def connect(port: int) -> socket.socket:
    """A connection, as soon as somebody listens."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), DEADLINE_S)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, f"nobody listens on {port}"
            time.sleep(0.02)


def talk(sock: socket.socket, said: bytes) -> bytes:
    """All that comes back for `said` and an end."""
    sock.sendall(said)
    sock.shutdown(socket.SHUT_WR)
    with sock.makefile("rb") as answers:
        return answers.read()


# Programs.


def test_every_program_is_run() -> None:
    tests = Path(__file__).read_text(encoding="utf-8")
    assert len(PROGRAMS) == len(blocks("python"))
    assert [name for name in PROGRAMS if f'"{name}"' not in tests] == []


def test_a_service_adds_up(folder: Folder) -> None:
    with folder.running("sums.py"), connect(folder.port("7001")) as sock:
        answers = talk(sock, b"1 2\nthree\n4\n" + b"1 " * 4096)
        assert answers == b"3\nnot a number\n4\nline is too long\n"


def test_a_handler_greets(folder: Folder) -> None:
    with folder.running("greeter.py"), connect(folder.port("7002")) as sock:
        assert talk(sock, b"ann\r\nbob\n") == b"your name?\nhello, ann\nhello, bob\n"


def test_a_datagram_handler_answers(folder: Folder) -> None:
    with folder.running("loud.py"), socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", folder.port("7003")))
        sock.settimeout(DEADLINE_S)
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                sock.send(b"quietly")
                assert sock.recv(100) == b"QUIETLY"
                break
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
                time.sleep(0.02)


def test_a_program_of_two_workers_says_ready(folder: Folder) -> None:
    with folder.running("program.py", subprocess.PIPE) as process:
        assert process.stdout is not None
        port = folder.port("7004")
        assert process.stdout.readline() == f"READY tcp://127.0.0.1:{port}\n"
        with connect(port) as sock:
            assert talk(sock, b"hello") == b"hello"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="it makes the certificate")
def test_a_push_reaches_everybody_and_workers_are_replaced(folder: Folder) -> None:
    frames = aionet.LengthPrefixed(4)
    with folder.running("push.py"):
        port = folder.port("7012")
        with connect(port) as one, connect(port) as two:
            one.sendall(frames.encode(b"hello"))
            assert b"hello" in b"".join(two.recv(100) for _ in range(2))


def test_a_proxy_carries_on(folder: Folder) -> None:
    with folder.running("program.py", subprocess.DEVNULL), folder.running("proxy.py"):
        connect(folder.port("7004")).close()  # it is there
        with connect(folder.port("7013")) as sock:
            assert talk(sock, b"hello") == b"hello"


def test_tls_is_spoken_with_the_certificate_that_is_made(folder: Folder) -> None:
    (command,) = [shlex.split(command) for command in COMMANDS if command.startswith("openssl ")]
    subprocess.run(command, cwd=folder.path, check=True, capture_output=True, timeout=DEADLINE_S)
    context = ssl.create_default_context(cafile=folder.path / "cert.pem")
    with (
        folder.running("secret.py"),
        connect(folder.port("7008")) as sock,
        context.wrap_socket(sock, server_hostname="localhost") as wrapped,
    ):
        wrapped.sendall(b"whispered")
        assert wrapped.recv(100) == b"whispered"


def test_hooks_tell_of_every_connection(folder: Folder) -> None:
    with folder.running("hooks.py", subprocess.PIPE) as process:
        assert process.stdout is not None
        port = folder.port("7009")
        with connect(port) as first:
            assert process.stdout.readline() == "open 127.0.0.1\n"
            with contextlib.suppress(ConnectionResetError):  # it may come before connect() returns
                connect(port).close()
            assert process.stdout.readline() == "reject 127.0.0.1\n"
            assert talk(first, b"hello") == b"hello"
        assert process.stdout.readline() == "close 127.0.0.1 eof\n"
        process.terminate()
        assert process.stdout.read() == "0 finished 0 aborted 2\n"


def test_counters_are_scraped(folder: Folder) -> None:
    pytest.importorskip("prometheus_client")
    with folder.running("metrics.py"):
        with connect(folder.port("7010")) as sock:
            assert talk(sock, b"hello") == b"hello"
        connect(folder.port("7011")).close()  # it is there
        url = f"http://127.0.0.1:{folder.port('7011')}/metrics"
        with urllib.request.urlopen(url, timeout=DEADLINE_S) as answer:
            lines = answer.read().decode().splitlines()
        assert {"aionet_open 0.0", "aionet_accepted_total 1.0"} <= set(lines)
        assert 'aionet_closed_total{reason="eof"} 1.0' in lines
        assert sum(line.startswith("aionet_closed_total{") for line in lines) == len(CloseReason)


@pytest.mark.parametrize(
    ("name", "plugins"), [("test_servers.py", ""), ("test_push.py", "aionet.testing.plugin")]
)
def test_the_tests_in_memory_pass(folder: Folder, name: str, plugins: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", name],
        cwd=folder.path,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": plugins},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert f"{PROGRAMS[name].count('def test_')} passed" in done.stdout, done.stdout + done.stderr


# Commands.


def test_every_command_is_run() -> None:
    kinds = (" serve ", "openssl ", "docs/examples/", "redis-benchmark ")
    assert [line for line in COMMANDS if sum(kind in line for kind in kinds) != 1] == []


def test_program_is_served_by_its_name(folder: Folder) -> None:
    (command,) = [each for each in COMMANDS if " serve push:app " in each]
    words = shlex.split(folder.with_ports(command))
    process = subprocess.Popen(
        [sys.executable, *words[1:]], cwd=folder.path, stdout=subprocess.PIPE, text=True
    )
    with ending(process):
        assert process.stdout is not None
        assert process.stdout.readline() == f"READY tcp://127.0.0.1:{folder.port('7014')}\n"
        with connect(folder.port("7014")) as sock:
            sock.sendall(aionet.LengthPrefixed(4).encode(b"hello"))
            assert b"hello" in sock.recv(100) + sock.recv(100)
    assert process.returncode == 0


@pytest.mark.parametrize(
    "command", [each for each in COMMANDS if re.search(" serve (echo|udp-echo|chat)", each)]
)
def test_serving_command_serves_each_address(command: str, folder: Folder, tmp_path: Path) -> None:
    command = command.replace("/tmp/", f"{tmp_path}/")
    words = shlex.split(folder.with_ports(command))
    if shutil.which(words[0]) is None and words[0] != "python":
        pytest.skip(f"{words[0]} is not installed")
    words[words.index("python")] = sys.executable
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    with ending(process):
        assert process.stdout is not None
        for place in re.findall(r"--listen (\S+)", command):
            if place == "systemd:":  # the server is started by who comes first
                port = folder.port("7007")
                with connect(port) as first:
                    assert process.stdout.readline() == f"READY tcp://127.0.0.1:{port}\n"
                    assert talk(first, b"hello") == b"hello"
                continue
            ready = process.stdout.readline().removeprefix("READY ").strip()
            assert ready == folder.with_ports(place)
            with connect_to(Address.parse(ready)) as sock:
                assert talk(sock, b"hello") == b"hello"
    assert process.returncode == 0


def connect_to(address: Address) -> socket.socket:
    if address.scheme == "tcp":
        return connect(address.port)
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(DEADLINE_S)
    sock.connect(address.path)
    return sock


# What else it promises.


def test_a_timeout_is_noticed_a_quarter_of_the_shortest_one_late_at_most() -> None:
    with MemoryServer(aionet.Echo()) as server:
        server.advance(0.9)
        peer = server.connect()
        server.advance(299.9)
        assert peer.closed is None
        server.advance(0.1 + 7.5)
        assert peer.closed is CloseReason.IDLE


@pytest.mark.parametrize("cancels", [True, False])
def test_a_handler_that_waits_for_something_else_is_told_that_its_peer_is_gone(
    cancels: bool,
) -> None:
    told: list[object] = []

    async def handler(stream: aionet.Stream) -> None:
        await stream.receive(1)
        try:
            await rest
        except asyncio.CancelledError:
            told.append("cancelled")
            raise
        with pytest.raises(aionet.BrokenStreamError) as caught:
            await stream.receive(1)
        told.append(caught.value.reason)

    with MemoryServer(handler, timeouts=Timeouts(idle=5), cancel_on_close=cancels) as server:
        rest = server._loop.create_future()
        peer = server.connect()
        peer.send(b"x")
        server.advance(7)
        assert peer.closed is CloseReason.IDLE
        if not cancels:
            assert told == []
            rest.set_result(None)
            server.advance(0)
        assert told == ["cancelled" if cancels else CloseReason.IDLE]
