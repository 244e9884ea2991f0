"""The history: what is written comes back, also when the writer dies."""

from __future__ import annotations

import array
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.contract.histogram import encode, fold
from compare.host.limits import limits_here
from compare.host.machine import look
from compare.results.records import Cell, Run
from compare.results.store import VERSION, Store, StoreError, command_line, read

MakeCell = Callable[..., Cell]
MakeRun = Callable[..., Run]
HISTOGRAM = encode(fold(array.array("Q", range(1000, 90000, 7))))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "deep" / "history.sqlite3")


def test_run_comes_back_as_it_was(
    store: Store, made_up_cell: MakeCell, made_up_run: MakeRun
) -> None:
    cells = [made_up_cell("epoll", (1.0, 2.0), latency_hdr=HISTOGRAM), made_up_cell("uvloop", ())]
    run = made_up_run(cells)
    number = store.recorder(["compare", "run", "--seed", "7"])(run)
    assert store.load(number) == run
    (entry,) = store.entries()
    assert (entry.id, entry.parts, entry.interrupted) == (number, 2, False)
    assert entry.command == "compare run --seed 7"


def test_run_grows_cell_by_cell_and_stays_one(
    store: Store, made_up_cell: MakeCell, made_up_run: MakeRun
) -> None:
    keep = store.recorder(["compare", "run"])
    first, second = made_up_cell("epoll", (1.0,)), made_up_cell("uvloop", (2.0,))
    number = keep(made_up_run([first], interrupted=True))
    assert [each.running for each in store.entries()] == [True]
    again = made_up_cell("epoll", (1.0, 3.0))
    assert keep(made_up_run([again, second], interrupted=True)) == number
    assert keep(done := made_up_run([again, second])) == number
    assert store.load(number) == done
    assert [each.interrupted for each in store.entries()] == [False]
    assert store.recorder(["compare", "run"])(done) == number + 1


def test_cell_that_is_no_more_is_gone_and_none_is_there_twice(
    store: Store, made_up_cell: MakeCell, made_up_run: MakeRun
) -> None:
    """While its rounds are measured anew, a cell has none."""
    keep = store.recorder(["compare", "run"])
    one, two, three = (made_up_cell(name, (1.0,)) for name in ("one", "two", "three"))
    for cells in ([one, two, three], [one, three], [one, two, three]):
        number = keep(run := made_up_run(cells, interrupted=True))
        assert store.load(number) == run


@pytest.mark.slow
@given(st.lists(st.sampled_from("ab"), max_size=6))
def test_runs_side_by_side_do_not_mix(tmp_path_factory: pytest.TempPathFactory, order) -> None:
    path = tmp_path_factory.mktemp("history") / "history.sqlite3"
    stores = {name: Store(path) for name in "ab"}
    keepers = {name: stores[name].recorder(["compare", name]) for name in "ab"}
    cells: dict[str, list[Cell]] = {"a": [], "b": []}
    numbers = {}
    for name in order:
        cells[name].append(
            Cell(model=name, workload="tcp-long", connections=4, size=10, verdict="ok", reasons=[])
        )
        numbers[name] = keepers[name](_run_of(cells[name]))
    for name, number in numbers.items():
        assert stores["a"].load(number).cells == cells[name]
    assert len({*numbers.values()}) == len(numbers) == len(stores["b"].entries())


MACHINE = look()  # which takes its time


def _run_of(cells: list[Cell]) -> Run:
    text = {
        "started": "2024-01-01T00:00:00+00:00",
        "took_s": 1.0,
        "measured_s": 1.0,
        "interrupted": False,
        "machine": MACHINE,
        "limits": limits_here(),
        "settings": {
            "models": [],
            "workloads": [],
            "connections": [],
            "rounds": 1,
            "duration_s": 1.0,
            "warmup_s": 1.0,
            "seed": 1,
            "server_cores": [],
            "driver_core": None,
        },
        "cells": cells,
    }
    return msgspec.convert(msgspec.to_builtins(text), Run)


def test_latest_and_those_before_are_found(store: Store, made_up_run: MakeRun) -> None:
    numbers = [store.recorder(["compare", "run"])(made_up_run([])) for _ in range(3)]
    assert [store.find(name) for name in ("latest", "latest~1", "latest~2")] == numbers[::-1]
    assert store.find(str(numbers[0])) == numbers[0]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("latest", "has 0 runs, so there is no latest"),
        ("latest~x", "'latest~x' is no run: give its number"),
        ("yesterday", "'yesterday' is no run: give its number"),
        ("7", "there is no run 7 in "),
    ],
)
def test_run_that_is_not_there_is_told(store: Store, name: str, told: str) -> None:
    with pytest.raises(StoreError, match=told):
        read(name, lambda: store)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("no JSON", "is not a run that compare wrote"),
        ('{"format": "pyperf/1"}', "its format is 'pyperf/1'"),
        ('{"format": "compare-run/1", "cells": 7}', "is not a run that compare wrote"),
    ],
)
def test_file_that_is_no_run_is_told(store: Store, text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(StoreError, match=told):
        read(str(path), lambda: store)


def test_file_of_a_newer_version_is_refused(store: Store) -> None:
    with contextlib.closing(sqlite3.connect(store.path)) as database, database:
        database.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(StoreError, match="was written by a newer version of this program"):
        Store(store.path)


def test_file_of_an_older_version_is_read(tmp_path: Path) -> None:
    """The first version is the oldest; its file begins as an empty one."""
    path = tmp_path / "empty.sqlite3"
    path.touch()
    assert Store(path).entries() == []


@pytest.mark.parametrize("content", [b"not a database, but long enough " * 40, None])
def test_file_of_another_program_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "other.sqlite3"
    if content is None:
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.execute("CREATE TABLE theirs (x)")
        database.close()
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"cannot open .*: "):
        Store(path)
    assert path.read_bytes() == before


def test_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"cannot open .*: (Not a directory|File exists)"):
        Store(tmp_path / "file" / "history.sqlite3")


WRITER = """
import sys
import msgspec
from compare.results.records import Cell, Run
from compare.results.store import Store
run = msgspec.json.decode(open(sys.argv[2], "rb").read(), type=Run)
keep = Store(__import__("pathlib").Path(sys.argv[1])).recorder(["compare", "run"])
cells = []
for number in range(100000):
    cells.append(msgspec.structs.replace(run.cells[0], connections=number + 1))
    keep(msgspec.structs.replace(run, cells=cells))
    print(number, flush=True)
"""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("times", [8, pytest.param(50, marks=pytest.mark.slow)])
def test_runner_that_is_killed_loses_at_most_the_cell_under_way(
    tmp_path: Path, made_up_cell: MakeCell, made_up_run: MakeRun, times: int
) -> None:
    path, sample = tmp_path / "history.sqlite3", tmp_path / "run.json"
    cell = made_up_cell("epoll", (1.0,), latency_hdr=HISTOGRAM)
    sample.write_bytes(msgspec.json.encode(made_up_run([cell], interrupted=True)))
    command = [sys.executable, "-c", WRITER, str(path), str(sample)]
    for attempt in range(times):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            said = process.stdout.readline()
            time.sleep(attempt * 0.0007)
            os.kill(process.pid, signal.SIGKILL)
            rest = process.stdout.read().split()
        kept = int(rest[-1] if rest else said)
        store = Store(path)
        last = store.entries()[-1]
        assert last.interrupted
        assert not last.running
        loaded = store.load(last.id)
        assert loaded.interrupted
        assert max(each.connections for each in loaded.cells) >= kept + 1
        assert all(each.latency_hdr == HISTOGRAM for each in loaded.cells)
        store.close()
    assert len(Store(path).entries()) == times


# What was edited, damaged, or is called oddly


def test_file_that_is_called_like_a_run_does_not_hide_it(
    store: Store, made_up_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    number = store.recorder(["compare", "run"])(kept := made_up_run([]))
    other = msgspec.structs.replace(kept, took_s=77.0)
    for name in (str(number), "latest", "latest~0"):
        Path(name).write_bytes(msgspec.json.encode(other))
        assert read(name, lambda: store) == kept
        assert read(f"./{name}", lambda: store) == other


def test_latest_is_no_run_that_is_under_way(store: Store, made_up_run: MakeRun) -> None:
    number = store.recorder(["compare", "run"])(made_up_run([]))
    store.recorder(["compare", "run"])(made_up_run([], interrupted=True))
    assert store.find("latest") == number
    with pytest.raises(StoreError, match="has 1 runs, and 1 under way, so there is no latest~1"):
        store.find("latest~1")


@pytest.mark.parametrize("digits", [19, 20, 400, 5000])
def test_number_that_no_run_can_have_is_told(store: Store, digits: int) -> None:
    with pytest.raises(StoreError, match="there is no run 99") as told:
        read("9" * digits, lambda: store)
    assert len(str(told.value)) < 100


def test_name_that_is_too_long_for_a_file_is_no_run(store: Store) -> None:
    with pytest.raises(StoreError, match="is no run: give its number"):
        read("/a" * 3000, lambda: store)


def test_run_that_is_not_utf8_on_the_command_line_is_kept(
    store: Store, made_up_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of files may be any bytes but NUL and /."""
    monkeypatch.setattr(sys, "argv", ["compare", "run", "--json", os.fsdecode(b"\xff.json")])
    store.recorder(command_line())(made_up_run([]))
    (entry,) = store.entries()
    assert entry.command == r"compare run --json '\xff.json'"


def test_who_opens_a_new_history_while_another_does_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite itself does not, where the journal becomes another one."""
    path = tmp_path / "history.sqlite3"
    other = sqlite3.connect(path, isolation_level=None)
    busy: list[float] = []

    def until_it_ends(seconds: float) -> None:
        busy.append(seconds)
        other.close()

    bring = Store._bring_up_to_date

    def and_another_reads(store: Store) -> None:
        bring(store)
        store._database.execute("COMMIT")
        other.execute("BEGIN IMMEDIATE")
        store._database.execute("BEGIN")

    monkeypatch.setattr(Store, "_bring_up_to_date", and_another_reads)
    monkeypatch.setattr("compare.results.store.time.sleep", until_it_ends)
    Store(path).close()
    assert busy


def test_store_that_is_forgotten_may_be_collected_in_any_thread(tmp_path: Path) -> None:
    """Where its garbage is a cycle, that thread is whichever allocates next."""
    kept = [Store(tmp_path / "history")]
    forgets = threading.Thread(target=kept.clear)
    forgets.start()
    forgets.join()
    assert not kept


def test_word_that_the_locale_has_no_letters_for_is_kept() -> None:
    code = "from compare.results.store import readable; print(ascii(readable('\\ufffd\\udce9')))"
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **plain}, capture_output=True, text=True
    )
    assert done.stdout == r"'\ufffd\\xe9'" + "\n", done.stderr
