"""`python -m aionet serve` and `python -m blocking serve`, as they are started and stopped."""

from __future__ import annotations

import errno
import itertools
import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from machine import WithoutIPv6
from mains import each_package

from aionet import command
from aionet.address import Address
from aionet.command import listen_or_exit
from aionet.sockets import address_of, listen

# Each model, as the arguments that ask for it.
MODELS = {
    "asyncio": ("aionet", "--loop", "asyncio"),
    "uvloop": ("aionet", "--loop", "uvloop"),
    "blocking": ("blocking", "--model", "blocking"),
    "threaded": ("blocking", "--model", "threaded"),
    "epoll": ("blocking", "--model", "epoll"),
}
READY = re.compile(rb"READY (tcp|udp)://127\.0\.0\.1:(\d+)\n")

Start = Callable[..., "subprocess.Popen[bytes]"]
Started = Callable[..., "tuple[subprocess.Popen[bytes], tuple[str, int]]"]

each_model = pytest.mark.parametrize("model", MODELS)


@pytest.fixture
def serve(start: Start) -> Started:
    """Starts a model with a service; returns the process and its address once it is ready."""

    def serve(
        model: str, service: str, *options: str
    ) -> tuple[subprocess.Popen[bytes], tuple[str, int]]:
        package, *choice = MODELS[model]
        server = start("-m", package, "serve", service, *choice, *options)
        ready = READY.fullmatch(server.stdout.readline())
        assert ready, server.communicate()
        return server, ("127.0.0.1", int(ready[2]))

    return serve


# Where it cannot listen.


@each_package
@pytest.mark.parametrize(("service", "scheme"), [("echo", "tcp"), ("udp-echo", "udp")])
def test_a_taken_port_is_one_line_naming_the_address_and_who_has_it(
    package: str, service: str, scheme: str
) -> None:
    with listen(Address(scheme, "127.0.0.1", 0)) as sock:
        address = str(address_of(sock))
        outcome = subprocess.run(
            [sys.executable, "-m", package, "serve", service, "--listen", address],
            capture_output=True,
            text=True,
        )
    assert outcome.returncode == 1
    assert outcome.stdout == ""
    (line,) = outcome.stderr.splitlines()
    assert address in line
    assert f"(process {os.getpid()})" in line


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (Address("tcp", "192.0.2.1", 0), "this machine does not have that address"),
        (Address("udp", "2001:db8::1", 0), "this machine does not have that address"),
        (Address("tcp", "no-such-host.invalid", 0), "the name 'no-such-host.invalid' is not known"),
        (Address("tcp", "a" * 64, 0), "cannot listen on"),
    ],
)
def test_an_address_that_is_not_ours_is_one_line(address: Address, reason: str) -> None:
    with pytest.raises(SystemExit) as exit_:
        listen_or_exit(address)
    (line,) = str(exit_.value).splitlines()
    assert str(address) in line
    assert reason in line


def test_an_ipv6_address_where_the_kernel_has_no_ipv6_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "socket", WithoutIPv6)
    with pytest.raises(SystemExit) as exit_:
        listen_or_exit(Address("tcp", "::1", 0))
    (line,) = str(exit_.value).splitlines()
    assert "this machine does not have that address" in line


def test_a_port_that_needs_privileges_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(address: Address, **options: object) -> socket.socket:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(command, "listen", refuse)
    with pytest.raises(SystemExit) as exit_:
        listen_or_exit(Address("tcp", "127.0.0.1", 80))
    assert str(exit_.value) == (
        "error: cannot listen on tcp://127.0.0.1:80: "
        "ports below 1024 need privileges; choose a higher one"
    )


def test_without_uvloop_one_line_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['uvloop'] = None; from aionet.__main__ import main; "
        "main(['serve', 'echo', '--loop', 'uvloop'])"
    )
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert outcome.returncode == 1
    assert outcome.stdout == ""
    assert outcome.stderr == "error: uvloop is not installed; pip install uvloop\n"


@pytest.mark.parametrize("files", [["missing.pem"], ["empty.pem"], ["empty.pem", "missing.pem"]])
def test_a_certificate_that_cannot_be_used_is_one_line(files: list[str], tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    names = [str(tmp_path / file) for file in files]
    options = zip(("--tls-cert", "--tls-key"), names, strict=False)
    outcome = subprocess.run(
        [sys.executable, "-m", "aionet", "serve", "echo", *itertools.chain(*options)],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert outcome.returncode == 1
    assert outcome.stdout == ""
    (line,) = outcome.stderr.splitlines()
    assert line.startswith("error: cannot serve TLS: ")
    assert names[0] in line


# From ready to gone.


@each_model
@pytest.mark.parametrize("service", ["chat", "udp-echo"])
def test_ready_is_all_that_is_said_and_sigterm_exits_0(
    serve: Started, model: str, service: str
) -> None:
    server, address = serve(model, service)
    kind = socket.SOCK_STREAM if service == "chat" else socket.SOCK_DGRAM
    with socket.socket(type=kind) as client:
        client.settimeout(10)
        client.connect(address)
        client.sendall(b"ann\n")
        assert client.recv(100)
        server.terminate()
        assert server.communicate(timeout=10) == (b"", b"")
    assert server.returncode == 0


@each_model
def test_ctrl_c_exits_0_as_sigterm_does(serve: Started, model: str) -> None:
    server, _ = serve(model, "echo")
    server.send_signal(signal.SIGINT)
    assert server.communicate(timeout=10) == (b"", b"")
    assert server.returncode == 0


@each_model
def test_a_second_signal_ends_at_once_though_a_peer_is_stalled(serve: Started, model: str) -> None:
    server, address = serve(model, "echo", "--drain-timeout", "600")
    with socket.create_connection(address) as stalled:
        stalled.setblocking(False)
        while select.select([], [stalled], [], 0.5)[1]:  # until nobody takes anything more
            stalled.send(bytes(1 << 20))
        server.terminate()
        wait_until_refused(address)
        assert server.poll() is None
        server.terminate()
        # By exit or by the signal itself: a shell calls both 143.
        assert server.wait(timeout=10) in (128 + signal.SIGTERM, -signal.SIGTERM)


def wait_until_refused(address: tuple[str, int]) -> None:
    """Returns once the server has understood that it is to stop."""
    while True:
        try:
            socket.create_connection(address, timeout=10).close()
        except (ConnectionRefusedError, ConnectionResetError):
            return


@pytest.mark.parametrize(
    "serving",
    [
        ("aionet", "serve", "echo"),
        ("aionet", "serve", "echo", "--workers", "2"),
        ("blocking", "serve", "echo", "--model", "epoll"),
        ("blocking", "serve", "echo", "--model", "prefork"),
    ],
    ids=" ".join,
)
def test_server_that_cannot_say_ready_says_so_in_a_line_and_is_gone(
    serving: tuple[str, ...],
) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", *serving],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "error: cannot say READY on stdout: No space left on device\n"
