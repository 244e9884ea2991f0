"""Where server and driver run, and what is said where they are not apart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from compare.commands.where import Where, used
from compare.host.cores import Cores
from compare.models.model import Model

ECHO = str(Path(__file__).parents[1] / "check" / "servers" / "tcp.py")
MINE = sorted(os.sched_getaffinity(0))
LOAD = ("--rounds", "1", "--duration", "0.1", "--connections", "4", "--workloads", "tcp-long")
TINY = (*LOAD, "--models", "bare-epoll", "--json", "-")
TWO = pytest.mark.skipif(len(MINE) < 2, reason="there is one core")


def run(cores: Collection[int], *words: str, command: str = "run") -> dict[str, Any]:
    """A run that may use these cores, of `bare-epoll` and perhaps more."""
    done = subprocess.run(
        [sys.executable, "-m", "compare", command, *TINY, *words],
        capture_output=True,
        text=True,
        timeout=50,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def described(folder: Path, more: str = "") -> tuple[str, ...]:
    """Options by which `mine` is measured, too; it writes down on which cores it was."""
    start = (
        "import os, pathlib, runpy;"
        f"pathlib.Path({str(folder)!r}, 'cores').write_text(repr(os.sched_getaffinity(0)));"
        f"runpy.run_path({ECHO!r}, run_name='__main__')"
    )
    words = json.dumps([sys.executable, "-c", start, "none", "{port}"])
    config = folder / "servers.toml"
    config.write_text(f"[server.mine]\ncommand = {words}\n{more}\n")
    return "--config", str(config), "--unchecked"


def verdicts(found: dict[str, Any]) -> dict[str, list[str]]:
    return {cell["model"]: cell["verdicts"] for cell in found["cells"]}


def test_one_core_for_both_is_told_and_nobody_else_is_blamed() -> None:
    """The driver waits for the server there, which is no other program."""
    (cell,) = run(MINE[:1])["cells"]
    assert cell["verdicts"] == ["not-pinned"]
    assert "other programs" not in "; ".join(cell["reasons"])


@pytest.mark.parametrize(
    ("cluster", "drivers", "own", "claimed"),
    [
        (None, 1, (), {1, 4}),
        (None, 3, (), {1, 4, 0, 2}),
        (None, 1, (5, 6), {1, 4, 5, 6}),
        ("local:2", 1, (), {0, 1, 2, 3, 4}),
        ("tcp://host:8786", 1, (), set()),
    ],
)
def test_all_cores_that_a_run_holds_somebody_to_are_told_to_other_runs(
    monkeypatch: pytest.MonkeyPatch,
    cluster: str | None,
    drivers: int,
    own: tuple[int, ...],
    claimed: set[int],
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3, 4})
    models = [Model("mine", "", ("mine",), own=True, cores=own)]
    assert used(Where(cluster, None, None), drivers, Cores((1,), 4), models) == claimed


@TWO
@pytest.mark.parametrize("turned", [False, True])
def test_cores_that_are_named_are_taken_and_recorded(tmp_path: Path, turned: bool) -> None:
    server, driver = MINE[:2][::-1] if turned else MINE[:2]
    found = run(MINE, "--cores", f"{server},{driver}", *described(tmp_path))
    settings = found["settings"]
    assert (settings["server_cores"], settings["driver_core"]) == ([server], driver)
    assert (tmp_path / "cores").read_text() == repr({server})
    assert not any("not-pinned" in each for each in verdicts(found).values())


@TWO
def test_own_server_runs_on_the_cores_of_its_description(tmp_path: Path) -> None:
    """All of them; and where the driver's is among them, that is said of this server alone."""
    found = run(MINE[:2], *described(tmp_path, f"cores = {MINE[:2]}"))
    assert (tmp_path / "cores").read_text() == repr({*MINE[:2]})
    assert "not-pinned" in verdicts(found)["mine"]
    assert "not-pinned" not in verdicts(found)["bare-epoll"]


@TWO
def test_servers_cores_alone_are_named_and_it_has_as_many_workers(tmp_path: Path) -> None:
    found = run(MINE[:2], "--server-cores", f"{MINE[0]},{MINE[1]}", *written(tmp_path))
    settings = found["settings"]
    assert sorted(settings["server_cores"]) == MINE[:2]
    assert settings["driver_core"] == settings["server_cores"][-1]
    assert lines(tmp_path) == [(2, {*MINE[:2]})]
    (reason,) = [each for each in reasons(found)["mine"] if "had a part" in each]
    assert reason.startswith("the driver had a part of one of the server's 2 cores")


@TWO
def test_driver_has_a_core_that_is_not_named_the_servers() -> None:
    found = run(MINE[:2], "--server-cores", str(MINE[1]))
    settings = found["settings"]
    assert (settings["server_cores"], settings["driver_core"]) == ([MINE[1]], MINE[0])
    assert not any("not-pinned" in each for each in verdicts(found).values())


@TWO
@pytest.mark.slow
def test_ladder_is_climbed_and_its_law_told(tmp_path: Path) -> None:
    found = run(MINE[:2], "--cores", "2,1", *written(tmp_path), command="scale")
    settings = found["settings"]
    assert settings["rungs"] == [1, 2]
    first = {settings["server_cores"][0]}
    assert lines(tmp_path) == [(1, first), (2, {*MINE[:2]})]
    cells = [(cell["model"], cell["cores"], cell["idle"]) for cell in found["cells"]]
    assert cells == [(name, many, 0) for many in (1, 2) for name in ("mine", "bare-epoll")]
    laws = {each["model"]: each for each in found["scalability"]}
    assert laws.keys() == {"mine", "bare-epoll"}
    for each in laws.values():
        assert [rung["cores"] for rung in each["rungs"]] == [1, 2]
        assert any("on 2 cores the driver had a part" in note for note in each["notes"])


def written(folder: Path) -> tuple[str, ...]:
    """Options by which `mine` is measured, which writes down its workers and its cores."""
    script = folder / "mine.py"
    script.write_text(
        "import os, runpy, sys\n"
        f"with open({str(folder / 'lines')!r}, 'a') as file:\n"
        "    print(sys.argv.pop(), *os.sched_getaffinity(0), file=file)\n"
        f"runpy.run_path({ECHO!r}, run_name='__main__')\n"
    )
    command = f"{sys.executable} {script} none {{port}} {{workers}}"
    return "--server", f"mine={command}", "--unchecked"


def lines(folder: Path) -> list[tuple[int, set[int]]]:
    found = [[*map(int, line.split())] for line in (folder / "lines").read_text().splitlines()]
    return [(many, {*cores}) for many, *cores in found]


def reasons(found: dict[str, Any]) -> dict[str, list[str]]:
    return {cell["model"]: cell["reasons"] for cell in found["cells"]}
