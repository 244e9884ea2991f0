"""Where the command is started says nothing about what is measured, nor by what."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from compare.contract.hold import Order
from compare.host.place import free_port
from compare.measure.holders import Holders
from compare.models.interpreter import look
from compare.models.source import OURS, PACKAGES
from compare.results.records import Cell, Run

DEADLINE_S = 30.0
# Ours and the standard library's, as scripts of one's own may well be called.
FOREIGN = ("random.py", "select.py", "socket.py", "json.py", "platform.py", "blocking/__init__.py")


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder with modules that must not be imported."""
    folder = tmp_path / "foreign"
    for name in (*FOREIGN, *(f"{package}/__init__.py" for package in PACKAGES)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"raise RuntimeError('the {name} of the folder is imported')\n")
    return folder


def cells(
    folder: Path, *start: str, installed: Path | str | None = OURS, also: tuple[str, ...] = ()
) -> list[Cell]:
    """What `python START run` finds, started in a folder."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if installed:
        environment["PYTHONPATH"] = str(installed)
    done = subprocess.run(
        [
            *(sys.executable, *start, "run", "--models", "epoll", "--workloads", "tcp-long"),
            *("--rounds", "1", "--duration", "0.1", "--connections", "4", "--json", "-", *also),
        ],
        cwd=folder,
        env=environment,
        capture_output=True,
        timeout=DEADLINE_S,
    )
    assert done.stdout, done.stderr.decode()
    return msgspec.json.decode(done.stdout, type=Run).cells


def test_modules_of_the_working_folder_are_those_that_it_seems(foreign: Path) -> None:
    """Who does not say -P imports them."""
    for name in ("random", "blocking"):
        done = subprocess.run(
            [sys.executable, "-c", f"import {name}"], cwd=foreign, capture_output=True
        )
        assert b"of the folder is imported" in done.stderr


def test_neither_servers_nor_the_driver_import_from_the_working_folder(foreign: Path) -> None:
    (cell,) = cells(foreign, "-P", "-m", "compare")
    assert cell.counts.served == cell.counts.attempted == 4, cell.reasons
    assert cell.ops_per_s
    assert cell.rounds[0].messages == []


def test_who_holds_connections_does_not_either(
    foreign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(foreign)
    with Holders(("127.0.0.1", free_port("tcp")), None) as holders:
        held = holders.open(Order(connections=1, size=1, seed=1, rate=None), lambda: None)
    assert held.counts.attempted == 1


@pytest.mark.slow
@pytest.mark.parametrize("also", [("--idle", "10"), ("--cluster", "local:1")])
def test_nor_do_those_that_hold_idle_connections_nor_workers_of_a_cluster(
    foreign: Path, also: tuple[str, ...]
) -> None:
    if "--cluster" in also:
        pytest.importorskip("distributed")
    (cell,) = cells(foreign, "-P", "-m", "compare", also=also)
    assert cell.counts.served == cell.counts.attempted == 4, cell.reasons


@pytest.mark.slow
def test_servers_of_another_python_do_not_either(foreign: Path) -> None:
    (cell,) = cells(foreign, "-P", "-m", "compare", also=("--python", sys.executable))
    assert cell.model.startswith("epoll@")
    assert cell.counts.served == cell.counts.attempted == 4, cell.reasons


def test_module_of_the_working_folder_is_not_one_that_another_python_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nobody_has_this.py").touch()
    python = look(sys.executable)
    monkeypatch.chdir(tmp_path)
    assert "nobody_has_this is not installed" in (python.why_without("nobody_has_this") or "")


def test_servers_and_driver_are_those_of_the_checkout_that_is_started(tmp_path: Path) -> None:
    """`python -m compare` in a checkout is that checkout's, although another one is installed."""
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(OURS / package, tmp_path / package, ignore=ignored)
    (tmp_path / "blocking" / "__main__.py").write_text("raise SystemExit('of this checkout')\n")
    (cell,) = cells(tmp_path, "-m", "compare", installed=None)
    assert cell.verdict == "failed"
    assert "of this checkout" in cell.reasons[0]
