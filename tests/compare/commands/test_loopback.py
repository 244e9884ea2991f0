"""Where nobody can connect to this machine, that is said at once, and no server is blamed."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from own_network import said_in_a_network_of_its_own

from compare.host import doctor, place

Invoke = Callable[..., Result]
COMMANDS = [
    ("run", "--models", "epoll"),
    ("run", "--server", "mine=true"),
    ("scale", "--models", "epoll"),
    ("selftest",),
    ("see", "--states"),
    ("see", "--", "true"),
    ("check", "--", "true"),
    ("check", "--connect", "127.0.0.1:7"),
    ("check", "--profile", "client", "--", "true", "{port}"),
]


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))

    monkeypatch.setattr(place.socket, "create_connection", fails)


@pytest.mark.usefixtures("nothing_runs", "unreachable")
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_command_says_so_before_it_asks_anybody(invoke: Invoke, words: tuple[str, ...]) -> None:
    result = invoke(*words)
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: nothing can connect to 127.0.0.1 here (Network is unreachable)")
    assert line.endswith(": ip link set lo up")


@pytest.mark.usefixtures("unreachable")
def test_lesson_is_not_judged(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert invoke("learn", "start", str(tmp_path / "course"), "--in", "python").exit_code == 0
    monkeypatch.chdir(tmp_path / "course")
    result = invoke("learn", "check", "1")
    assert result.exit_code == 1
    assert "ip link set lo up" in result.stderr.splitlines()[-1]


@pytest.mark.usefixtures("unreachable")
def test_doctor_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_CHECKS", (doctor._loopback,))
    (ailment,) = doctor.examine()
    assert ailment.what == "nothing can connect to 127.0.0.1 here (Network is unreachable)"
    assert ailment.mend == "ip link set lo up"


def test_interface_that_is_down_is_seen() -> None:
    down = (
        "import subprocess; from compare.host.place import loopback_fault; print(loopback_fault());"
        "subprocess.run(['ip', 'link', 'set', 'lo', 'down'], check=True); print(loopback_fault())"
    )
    up, fault = said_in_a_network_of_its_own(down)
    assert up == "None"
    assert fault.endswith(": ip link set lo up")
