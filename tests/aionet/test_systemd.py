"""Socket activation and readiness, as systemd passes and hears them."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from machine import most_descriptors

from aionet import systemd
from aionet.address import Address
from aionet.listen import listen
from aionet.systemd import listen_fds, notify, take_sockets

Start = Callable[..., "subprocess.Popen[bytes]"]

# In place of 3, which the tests' own process may need.
FIRST = min(900, most_descriptors() - 8)


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The environment of a process that got a socket called web and one called admin."""
    monkeypatch.setattr(systemd, "_FIRST_DESCRIPTOR", FIRST)
    monkeypatch.setattr(systemd, "_left", [])
    with socket.socket() as sock:
        descriptors = [fcntl.fcntl(sock, fcntl.F_DUPFD, FIRST) for _ in range(2)]
    assert descriptors == [FIRST, FIRST + 1]
    yield {
        "LISTEN_PID": str(os.getpid()),
        "LISTEN_FDS": "2",
        "LISTEN_FDNAMES": "web:admin",
        "HOME": "/",
    }
    for descriptor in descriptors:
        os.close(descriptor)


# Sockets.


def test_each_socket_has_its_name_and_is_closed_by_exec(passed: dict[str, str]) -> None:
    assert os.get_inheritable(FIRST)
    assert listen_fds(passed) == [("web", FIRST), ("admin", FIRST + 1)]
    assert not os.get_inheritable(FIRST)
    assert not os.get_inheritable(FIRST + 1)


def test_sockets_without_names_are_unknown(passed: dict[str, str]) -> None:
    del passed["LISTEN_FDNAMES"]
    assert listen_fds(passed) == [("unknown", FIRST), ("unknown", FIRST + 1)]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LISTEN_PID", "1"),
        ("LISTEN_PID", ""),
        ("LISTEN_PID", "me"),
        ("LISTEN_FDS", ""),
        ("LISTEN_FDS", "0"),
        ("LISTEN_FDS", "-1"),
        ("LISTEN_FDS", "\u0662"),
        ("LISTEN_FDS", "two"),
        ("LISTEN_FDS", "9" * 5000),
        ("LISTEN_FDNAMES", "web"),
        ("LISTEN_FDNAMES", "web:admin:more"),
    ],
)
def test_what_is_malformed_or_for_another_process_passes_nothing(
    passed: dict[str, str], variable: str, value: str
) -> None:
    assert listen_fds({**passed, variable: value}) == []
    assert os.get_inheritable(FIRST)


@pytest.mark.parametrize("changes", [{}, {"LISTEN_PID": "1"}])
def test_no_child_finds_the_variables(passed: dict[str, str], changes: dict[str, str]) -> None:
    passed |= changes
    listen_fds(passed)
    assert passed == {"HOME": "/"}


def test_a_descriptor_that_is_not_open_is_an_error(passed: dict[str, str]) -> None:
    passed["LISTEN_FDS"] = "3"
    del passed["LISTEN_FDNAMES"]
    with pytest.raises(OSError, match="Bad file descriptor"):
        listen_fds(passed)


def test_sockets_are_taken_by_name_and_each_once(passed: dict[str, str]) -> None:
    assert take_sockets("admin", passed) == [FIRST + 1]
    assert take_sockets("", passed) == [FIRST]
    with pytest.raises(FileNotFoundError, match="each was taken already"):
        take_sockets("", passed)


def test_an_unknown_name_is_refused_with_those_there_are(passed: dict[str, str]) -> None:
    with pytest.raises(OSError, match="no socket named 'mail' was passed; there are: admin, web"):
        take_sockets("mail", passed)
    assert take_sockets("web", passed) == [FIRST]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"LISTEN_PID": "1"}, "LISTEN_PID names process 1, this is "),
        ({"LISTEN_FDS": "two"}, "LISTEN_FDS is 'two' and LISTEN_FDNAMES 'web:admin'"),
    ],
)
def test_no_socket_is_refused_with_the_reason(
    passed: dict[str, str], changes: dict[str, str], reason: str
) -> None:
    with pytest.raises(OSError, match=reason):
        take_sockets("", passed | changes)


def test_without_activation_the_refusal_says_how_to_start_it(passed: dict[str, str]) -> None:
    with pytest.raises(OSError, match=r"LISTEN_FDS is not set; start it by a systemd \.socket"):
        take_sockets("", {})


def test_a_process_that_was_passed_a_socket_listens_on_it(start: Start) -> None:
    # LISTEN_PID is known once the process is there: systemd sets it between fork and exec.
    code = (
        "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID'] = str(os.getpid());"
        "from aionet.address import Address; from aionet.sockets import accept, listen; "
        "accept(listen(Address.parse('systemd:web'))).sendall(b'served')"
    )
    with listen(Address("tcp", "127.0.0.1", 0)) as listener:
        where, descriptor = listener.getsockname(), listener.fileno()
        environ = {**os.environ, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}
        start("-c", code, str(descriptor), pass_fds=[descriptor], env=environ)
    with socket.create_connection(where, timeout=30) as client:
        assert client.recv(100) == b"served"


# Readiness.


def test_nobody_is_told_where_nobody_asked() -> None:
    assert notify("READY=1", {}) is False
    assert notify("READY=1", {"NOTIFY_SOCKET": ""}) is False


def test_the_state_is_told_to_a_path(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        assert notify("READY=1\nSTATUS=ok", {"NOTIFY_SOCKET": path}) is True
        assert manager.recv(100) == b"READY=1\nSTATUS=ok"


def test_the_state_is_told_to_an_abstract_name() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("")
        name = manager.getsockname()[1:].decode()
        assert notify("STOPPING=1", {"NOTIFY_SOCKET": f"@{name}"}) is True
        assert manager.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize("path", ["/no/such/socket", "vsock:2:1", "/" + "x" * 200])
def test_who_cannot_be_told_is_logged_and_no_error(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="aionet"):
        assert notify("READY=1", {"NOTIFY_SOCKET": path}) is False
    (record,) = caplog.records
    assert record.levelno == logging.DEBUG
    assert path in record.getMessage()
