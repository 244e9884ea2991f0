"""How commands end: where nothing more can be written, and where they are interrupted."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from click.testing import CliRunner

from compare.__main__ import main
from compare.commands.recorder import Keeper
from compare.report import page
from compare.results.records import Cell, Run
from compare.results.store import Store, StoreError

pytestmark = pytest.mark.timeout(60)
DEADLINE_S = 30.0
TINY = ("--rounds", "2", "--duration", "0.1", "--connections", "4", "--workloads", "tcp-long")
MakeRun = Callable[..., Run]
MakeCell = Callable[..., Cell]


@pytest.fixture
def result(made_up_run: MakeRun, made_up_cell: MakeCell) -> Run:
    return made_up_run([made_up_cell("epoll", (1000.0,) * 5)])


@pytest.fixture
def history(tmp_path: Path, result: Run) -> Path:
    """With one run in it."""
    path = tmp_path / "history.sqlite3"
    Store(path).recorder(["compare", "run"])(result)
    return path


def called(*words: str, stdout: IO[bytes] | int = subprocess.PIPE, **more: Any) -> Any:
    return subprocess.run(
        [sys.executable, "-m", "compare", *words],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=DEADLINE_S,
        **more,
    )


# Nothing more can be written


@pytest.fixture
def full() -> Iterator[IO[bytes]]:
    with Path("/dev/full").open("wb") as opened:
        yield opened


@pytest.mark.parametrize(
    "words",
    [
        *(("show", "1"), ("history",), ("diff", "1", "1"), ("diff", "1", "1", "--json")),
        *(("export", "1", "--json", "-"), ("export", "1", "--csv", "-"), ("--help",)),
    ],
)
def test_stdout_that_is_full_is_told_in_a_line(
    history: Path, full: IO[bytes], words: tuple[str, ...]
) -> None:
    environment = {**os.environ, "COMPARE_STORE": str(history)}
    done = called(*words, stdout=full, env=environment)
    assert done.stderr == "Error: cannot write: No space left on device\n"
    assert done.returncode == 1


@pytest.mark.slow
def test_run_whose_stdout_is_full_is_shown_on_stderr_and_kept(
    full: IO[bytes], tmp_path: Path
) -> None:
    store = str(tmp_path / "history")
    words = ("run", "--models", "bare-epoll", *TINY, "--store", store)
    done = called(*words, "--json", "-", stdout=full)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "tcp-long   4 connections" in done.stderr
    assert "kept as run 1" in done.stderr
    assert done.stderr.endswith("Error: cannot write: No space left on device\n")


@pytest.mark.slow
def test_disk_that_is_full_costs_a_line_and_not_the_run(tmp_path: Path) -> None:
    path = tmp_path / "run.json"

    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    words = ("run", "--models", "bare-epoll", *TINY, "--json", str(path))
    environment = {**os.environ, "XDG_DATA_HOME": "/proc/none"}
    environment.pop("COMPARE_STORE", None)
    done = called(*words, preexec_fn=no_room, env=environment)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.count("File too large") == 2  # when it happened, and at the end
    assert "[2/2] round 2" in done.stderr
    assert "tcp-long   4 connections" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_file_is_written_after_all_once_there_is_room(
    tmp_path: Path, result: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "run.json"
    keep = Keeper({"json": str(path)}, tmp_path / "history")
    folder.rmdir()
    keep(result)
    assert keep.unwritten is not None
    assert Store(tmp_path / "history").load(1) == result
    folder.mkdir()
    keep(result)
    assert keep.unwritten is None
    assert list(folder.iterdir()) == [path]
    assert capsys.readouterr().err.count("the run goes on") == 1


def test_file_of_somebody_else_that_is_named_like_ours_stays(tmp_path: Path, result: Run) -> None:
    path, other = tmp_path / "run.json", tmp_path / "run.json.part"
    other.write_text("somebody's")
    Keeper({"json": str(path)}, tmp_path / "history")(result)
    assert path.exists()
    assert other.read_text() == "somebody's"


# The history


def test_folder_of_a_history_that_was_named_is_not_made(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    for words in (("run", "--quick"), ("show",), ("history",)):
        done = CliRunner().invoke(main, [*words, "--store", str(missing / "history")])
        assert done.exit_code == 2
        assert f"'--store': cannot open {missing / 'history'}" in done.output
    assert not missing.exists()


def test_history_that_the_environment_names_is_told_as_such(tmp_path: Path) -> None:
    environment = {"COMPARE_STORE": str(tmp_path / "missing" / "history")}
    done = CliRunner().invoke(main, ["run", "--quick"], env=environment)
    assert done.exit_code == 2
    assert "COMPARE_STORE" in done.output
    assert "--store" not in done.output


def test_run_that_is_not_in_the_history_says_so_at_its_end_too(
    result: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/proc/none")
    keep = Keeper({}, None)
    assert "this run is not in the history" in capsys.readouterr().err
    keep(result)
    keep.say_where(result)
    assert capsys.readouterr().err.startswith("not kept in the history: cannot open /proc/none")


# Interrupted


def test_interruption_is_exit_status_130_whatever_was_under_way(
    history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(page, "page", interrupted)
    words = ["report", "1", "-o", str(tmp_path / "page.html"), "--store", str(history)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 130
    assert "Aborted" not in done.output
    assert done.stderr == "interrupted\n"


@pytest.mark.parametrize("module", ["compare.commands.ending", "compare.measure.run"])
def test_interruption_while_it_starts_is_told_in_a_line(module: str) -> None:
    """It comes in the middle of the imports, of all commands or of the one that is called."""
    code = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(name, path, target=None):\n"
        "        if name == '{module}': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder)\n"
        "from compare.__main__ import main\n"
        "main(['run', '--help'])\n"
    ).replace("{module}", module)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=DEADLINE_S)
    assert (done.returncode, done.stdout, done.stderr) == (
        -signal.SIGINT,  # of which a shell makes 130
        b"",
        b"interrupted\n",
    )


def test_history_that_takes_no_more_keeps_the_run_in_part_and_says_so(
    tmp_path: Path,
    result: Run,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    keep = Keeper({}, tmp_path / "history")
    keep(result)
    assert not keep.in_part
    record = keep._record

    def full(run: Run) -> int:
        raise StoreError("cannot write history: database or disk is full")

    monkeypatch.setattr(keep, "_record", full)
    keep(result)
    keep(result)
    assert keep.in_part
    assert capsys.readouterr().err.count("disk is full; the run goes on") == 1
    keep.say_where(result)
    assert capsys.readouterr().err == (
        "kept in part as run 1, without what was measured last: cannot write history: database or "
        "disk is full\n"
    )
    monkeypatch.setattr(keep, "_record", record)
    keep(result)  # there is room again
    assert not keep.in_part
    keep.say_where(result)
    assert capsys.readouterr().err == "kept as run 1: compare show 1\n"


@pytest.mark.slow
def test_history_that_is_full_from_some_cell_on_is_exit_status_1(tmp_path: Path) -> None:
    """What there is of it stays, and the tables are shown."""
    store = tmp_path / "history"
    Store(store).close()
    code = (
        "import sys\n"
        "from compare.results import store\n"
        "note, notes = store.Store._note, []\n"
        "def full(*given):\n"
        "    notes.append(given)\n"
        "    if len(notes) > 1: raise store.sqlite3.OperationalError('database or disk is full')\n"
        "    return note(*given)\n"
        "store.Store._note = full\n"
        "from compare.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "--models", "bare-epoll", *TINY, "--store", str(store)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 1
    assert "tcp-long   4 connections" in done.stdout
    assert "kept in part as run 1, without what was measured last" in done.stderr
    assert len(Store(store).load(1).cells) == 1


# Streams that are closed, and a stderr that is full


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_stream_that_is_closed_is_no_traceback(history: Path, closed: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "compare", "show", "1", "--store", str(history)],
        preexec_fn=lambda: os.close(closed),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert ("tcp-long   4 connections" in done.stdout) == (closed != 1)


@pytest.mark.slow
def test_run_whose_stderr_is_full_is_shown_and_kept(full: IO[bytes], tmp_path: Path) -> None:
    store = ("--store", str(tmp_path / "history"))
    done = subprocess.run(
        [sys.executable, "-m", "compare", "run", "--models", "bare-epoll", *TINY, *store],
        stdout=subprocess.PIPE,
        stderr=full,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0
    assert b"tcp-long   4 connections" in done.stdout
    assert len(Store(tmp_path / "history").load(1).cells) == 1
