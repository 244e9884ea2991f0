"""The history and files of runs that are damaged, or that somebody has edited."""

from __future__ import annotations

import array
import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from compare.contract.histogram import encode, fold
from compare.results.records import Cell, Run
from compare.results.store import Store, StoreError, read

MakeRun = Callable[..., Run]
MakeCell = Callable[..., Cell]
HISTOGRAM = encode(fold(array.array("Q", range(1000, 90000, 7))))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "history.sqlite3")


def set_in(record: Any, path: tuple[Any, ...], value: Any) -> None:
    for each in path[:-1]:
        record = record[each]
    record[path[-1]] = value


CELL = ("cells", 0)
ROUND = (*CELL, "rounds", 0)
EDITED = [
    (("started",), "yesterday"),
    (("started",), "0001-01-01"),  # of which there is no time since the epoch
    (("took_s",), -1.0),
    ((*CELL, "ops_per_s"), -5.0),
    ((*CELL, "latency_hdr"), "no base64"),
    ((*CELL, "latency_hdr"), "AAAA"),
    ((*CELL, "latency_hdr"), "é"),
    ((*CELL, "latency_us", "p99"), -1.0),
    ((*CELL, "counts", "served"), -3),
    ((*CELL, "server", "cpu_us_per_op"), -1.0),
    ((*ROUND, "ops_per_s"), -1.0),
    ((*ROUND, "window_s"), -1.0),
    ((*ROUND, "ops_per_s"), 1e308),
    ((*ROUND, "latency_us", "p99"), 1e308),
    ((*ROUND, "server", "cpu_us_per_op"), -1.0),
    ((*CELL, "size"), 10**40),
    ((*CELL, "cores"), 2**63),
    ((*CELL, "connections"), -1),
    ((*CELL, "counts", "timed_out"), 10**40),
    ((*CELL, "errors"), {"lost": 10**40}),
    ((*ROUND, "errors"), {"lost": 2**63}),
    ((*ROUND, "driver", "cpu_fraction"), -1e300),
    ((*ROUND, "warmup_s"), 1e300),
    (("settings", "margin"), 1e300),
    (("settings", "rounds"), 10**40),
    (("comparisons", 0, "ratio"), 0.0),
    (("comparisons", 0, "ratio"), -1e308),
    (("comparisons", 0, "ratio_ci95"), [-1.0, 1.0]),
    ((*ROUND, "slices", 0, 0), 0),
    ((*ROUND, "slices", 0, 1), -1),
]


@pytest.mark.parametrize(("path", "value"), EDITED)
def test_value_that_nobody_can_have_measured_is_told(
    store: Store,
    made_up_cell: MakeCell,
    made_up_run: MakeRun,
    tmp_path: Path,
    path: tuple[Any, ...],
    value: Any,
) -> None:
    rounds = (1000.0,) * 3
    run = made_up_run([made_up_cell("epoll", rounds, latency_hdr=HISTOGRAM)])
    run = made_up_run([*run.cells, made_up_cell("uvloop", rounds)])
    assert run.comparisons
    record = msgspec.to_builtins(run)
    set_in(record, path, value)
    edited = tmp_path / "edited.json"
    edited.write_bytes(msgspec.json.encode(record))
    with pytest.raises(StoreError, match=r"edited\.json is not a run that compare wrote: ") as told:
        read(str(edited), lambda: store)
    assert "\n" not in str(told.value)


KINDS = {"pid": "INTEGER", "pid_started": "REAL"}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("started", 7), ("started", b"\xff"), ("pid_started", "x"), ("format", 1.5)),
        *(("pid", -5), ("pid", "x")),
    ],
)
def test_history_of_which_a_value_is_damaged_is_told(
    store: Store, made_up_run: MakeRun, column: str, value: Any
) -> None:
    store.recorder(["compare", "run"])(made_up_run([], interrupted=True))
    with contextlib.closing(sqlite3.connect(store.path)) as database, database:
        # Without the table's own word on what may be in a column, as a damaged page has none.
        database.execute("PRAGMA ignore_check_constraints = 1")
        database.execute("PRAGMA writable_schema = 1")
        database.execute(
            "UPDATE sqlite_master SET sql = replace(replace(sql, 'NOT NULL', ''), ?, ?)",
            (f"{column} {KINDS.get(column, 'TEXT')}", column),
        )
    with contextlib.closing(sqlite3.connect(store.path)) as database, database:
        database.execute(f"UPDATE run SET {column} = ?", (value,))
    with pytest.raises(StoreError, match="cannot read "):
        Store(store.path).entries()


NOT_JSON = [b'{"format": "\xff"}', b'{"format": "compare-run/1", "x": %s' % (b"[" * 100_000)]


@pytest.mark.parametrize("content", NOT_JSON, ids=["not-utf-8", "too-deep"])
def test_file_whose_letters_or_depth_are_none_of_ours_is_told(
    store: Store, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"run\.json is not a run that compare wrote: ") as told:
        read(str(path), lambda: store)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("table", ["run", "part"])
def test_record_with_a_letter_that_is_none_is_told(
    store: Store, made_up_cell: MakeCell, made_up_run: MakeRun, table: str
) -> None:
    run = made_up_run([made_up_cell("epoll", (1.0,) * 3, reasons=["a reason"])])
    run = msgspec.structs.replace(run, ended="a reason")
    number = store.recorder(["compare", "run"])(run)
    with sqlite3.connect(store.path) as database:
        (record,) = database.execute(f"SELECT record FROM {table}").fetchone()
        database.execute(
            f"UPDATE {table} SET record = ?", (record.replace(b"a reason", b"a \xff"),)
        )
    with pytest.raises(StoreError, match=f"run {number} cannot be read: "):
        store.load(number)


def test_file_of_which_a_letter_of_the_tables_is_damaged_is_told(store: Store) -> None:
    """What SQLite says of it has that letter, which is none."""
    store.close()
    content = store.path.read_bytes()
    assert content.count(b"CREATE TABLE run") == 1
    store.path.write_bytes(content.replace(b"CREATE TABLE run", b"CREATE T\xffBLE run"))
    with pytest.raises(StoreError, match="cannot open "):
        Store(store.path)
