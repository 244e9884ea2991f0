"""What may be said of a cluster, and what is said without one."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from click.testing import CliRunner
from machine import over_ipv6

from compare.__main__ import main
from compare.commands import where as where_module

HERE = "tcp://127.0.0.1:1"


def _said(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, [*words])
    assert "Traceback" not in result.output
    return result.exit_code, result.output.strip().splitlines()[-1]


def test_importing_compare_loads_no_dask() -> None:
    code = "import sys, compare.__main__; "
    code += "print([name for name in sys.modules if name.split('.')[0] in ('dask', 'distributed')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", ["run", "scale"])
def test_without_dask_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    status, line = _said(command, "--cluster", "local:2")
    assert status == 2
    assert line.endswith("--cluster needs Dask: pip install 'aionet-compare[cluster]'")


@pytest.fixture
def with_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as options are concerned."""
    monkeypatch.setattr(where_module, "missing", lambda: None)


@pytest.mark.usefixtures("with_dask")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--cluster", "nowhere"), "'nowhere' is none of tcp://HOST:PORT"),
        (("--cluster", "local:0"), "local:0: from 1 to 64 drivers"),
        (("--cluster", "local:99"), "local:99: from 1 to 64 drivers"),
        (("--cluster", "tcp://10.0.0.1:8786"), "is not encrypted"),
        (("--cluster", "tls://10.0.0.1:8786"), "needs --tls-ca, --tls-cert and --tls-key"),
        (("--cluster", HERE, "--tls-ca", __file__), "--tls-... goes with --cluster tls://"),
        (("--cluster", "tcp://127.0.0.1:1", "--python", sys.executable), "--python is a program"),
        (("--cluster", HERE, "--target", "no.such.host.invalid:7"), "give the address instead"),
        (("--cluster", HERE, "--target", "127.0.0.1:7", "--server", "a=b"), "is the one server"),
        (("--cluster", HERE, "--target", "127.0.0.1:7", "--close", "server"), "is the one server"),
        (("--cluster", HERE, "--target", "127.0.0.1:7", "--wait", "5ms"), "is the one server"),
        (("--cluster", HERE, "--target", "10.0.0.1"), "'10.0.0.1' is not HOST:PORT"),
        (("--cluster", HERE, "--target", "h:99999"), "'h:99999' is not HOST:PORT"),
        (
            ("--cluster", HERE, "--target", "127.0.0.1:7", "--models", "epoll"),
            "--target is the one server",
        ),
        (("--target", "h:7"), "--target goes with --cluster"),
        (("--insecure",), "--insecure goes with --cluster"),
    ],
)
def test_what_cannot_be_meant_is_said_in_a_line(words: tuple[str, ...], expected: str) -> None:
    status, line = _said("run", *words)
    assert status == 2
    assert expected in line


@pytest.mark.usefixtures("with_dask")
@pytest.mark.parametrize("command", [("scale",), ("run", "--workloads", "tcp-long", "--idle", "9")])
def test_idle_connections_have_no_target(command: tuple[str, ...]) -> None:
    status, line = _said(*command, "--cluster", HERE, "--target", "127.0.0.1:7")
    assert (status, line) == (
        2,
        "Error: --idle takes a fresh server, and --target stands already.",
    )


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize("host", ["127.0.0.1", over_ipv6("::1")])
def test_target_by_its_name_is_the_address_of_it_that_is_served(
    kind: socket.SocketKind, host: str
) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as sock:
        sock.bind((host, 0))
        if kind == socket.SOCK_STREAM:
            sock.listen()
        assert where_module._place(f"localhost:{sock.getsockname()[1]}").host == host
