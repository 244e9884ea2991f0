"""The commands for runs that are kept, as they are called."""

from __future__ import annotations

import array
import contextlib
import csv
import io
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from compare.__main__ import main
from compare.contract.counts import Counts
from compare.contract.histogram import encode, fold
from compare.report.spreadsheet import table_of
from compare.results.records import Cell, Run
from compare.results.store import Store

MakeCell = Callable[..., Cell]
MakeRun = Callable[..., Run]
HOSTILE = "<script>alert(1)</script>\"'&\x1b[2J\x00\r\n" + "x" * 1_000_000


@pytest.fixture
def history(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite3"


@pytest.fixture
def kept(history: Path, made_up_cell: MakeCell, made_up_run: MakeRun) -> list[int]:
    """Two runs in the history."""
    store = Store(history)
    cells = [made_up_cell("epoll", (1000.0,) * 5), made_up_cell("uvloop", (900.0,) * 5)]
    return [store.recorder(["compare", "run"])(made_up_run(cells)) for _ in range(2)]


@pytest.fixture
def invoke(history: Path) -> Callable[..., Result]:
    return lambda *words: CliRunner().invoke(
        main, [*words, "--store", str(history)], catch_exceptions=False
    )


def test_history_is_listed_and_says_when_there_is_none(invoke, kept: list[int]) -> None:
    said = invoke("history").output
    assert [line.split()[0] for line in said.splitlines()[3:5]] == [str(each) for each in kept]
    assert "2024-01-01 00:00:00 UTC" in said
    assert "2 cells" in said


def test_run_of_one_cell_is_not_said_to_have_cells(
    invoke, history: Path, made_up_cell: MakeCell, made_up_run: MakeRun
) -> None:
    Store(history).recorder(["compare", "run"])(made_up_run([made_up_cell("epoll", (1.0,))]))
    assert "1 cell " in invoke("history").output


def test_empty_history_says_what_makes_a_run(invoke) -> None:
    assert "compare run --quick makes one" in invoke("history").output


def test_run_is_shown_again_by_number_name_and_file(invoke, kept, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    assert invoke("export", "--json", str(path)).exit_code == 0
    shown = {
        invoke("show", name).output for name in (str(kept[0]), "latest", "latest~1", str(path))
    }
    assert len(shown) == 1
    assert "epoll" in shown.pop()


def test_export_writes_what_was_asked_for(invoke, kept, tmp_path: Path) -> None:
    assert json.loads(invoke("export", "1", "--json", "-").output)["format"] == "compare-run/1"
    rows = list(csv.DictReader(io.StringIO(invoke("export", "1", "--csv", "-").output)))
    assert [row["model"] for row in rows] == ["epoll", "uvloop"]
    assert rows[0]["ops_per_s"] == "1000.0"
    assert (rows[0]["rss_kb"], rows[0]["pss_kb"]) == ("90000", "20480")
    assert "say what to write" in invoke("export", "1").output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("show", "99"), "there is no run 99"),
        (("diff", "1", "nothing"), "'nothing' is no run"),
        (("diff", "1", "2", "--threshold", "x"), "'x' is not a share"),
        (("diff", "1", "2", "--metrics", "speed"), "there is no metric 'speed'"),
        (("export", "1", "--csv", "/nowhere/file"), "cannot write /nowhere/file"),
        (("report", "1", "-o", "/nowhere/file"), "cannot write /nowhere/file"),
    ],
)
def test_mistake_is_told_in_a_line(invoke, kept, words: tuple[str, ...], told: str) -> None:
    result = invoke(*words)
    assert result.exit_code == 2
    assert told in result.output
    assert "Traceback" not in result.output


def test_diff_says_nothing_is_worse_and_exits_0(invoke, kept) -> None:
    result = invoke("diff", "1", "2")
    assert result.exit_code == 0, result.output
    assert "nothing is worse by 5% or more" in result.output
    assert json.loads(invoke("diff", "1", "--json").output)["answer"] == "same"
    assert invoke("diff", "1", "--markdown").output.startswith("**nothing is worse by 5% or more**")


def test_diff_of_runs_made_otherwise_is_refused(
    invoke, kept, history: Path, made_up_cell: MakeCell, made_up_run: MakeRun
) -> None:
    other = made_up_run([made_up_cell("epoll", (1000.0,) * 5)], duration_s=3.0)
    Store(history).recorder(["compare", "run"])(other)
    result = invoke("diff", "1")
    assert result.exit_code == 2
    assert "were not made alike (settings: duration_s 1.0 and 3.0); --force" in result.output
    assert "compared all the same" in invoke("diff", "1", "--force").output


def test_report_is_written_and_its_name_said(invoke, kept, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    result = invoke("report", "1", "-o", str(path))
    assert result.output == f"{path}\n"
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_spreadsheet_has_the_payload_of_every_cell(
    made_up_cell: MakeCell, made_up_run: MakeRun
) -> None:
    cells = [made_up_cell("epoll", (3000.0,), size=65_536), made_up_cell("uvloop", ())]
    rows = csv.DictReader(io.StringIO(table_of(made_up_run(cells))))
    assert [row["payload_bytes_per_s"] for row in rows] == ["196608000.0", ""]


def test_text_that_a_spreadsheet_would_compute_is_quoted(
    made_up_cell: MakeCell, made_up_run: MakeRun
) -> None:
    cell = made_up_cell("epoll", (), reasons=["=HYPERLINK(1)", HOSTILE])
    row = next(csv.DictReader(io.StringIO(table_of(made_up_run([cell])))))
    assert row["reasons"].startswith("'=HYPERLINK(1); <script>")
    assert "\x1b" not in row["reasons"]
    assert "\x00" not in row["reasons"]


def test_hostile_text_does_no_harm_in_the_table(
    history: Path, invoke, made_up_cell: MakeCell, made_up_run: MakeRun
) -> None:
    cell = made_up_cell("epoll", (1.0,), verdict="failed", reasons=[HOSTILE, "[bold]loud[/]"])
    Store(history).recorder(["compare", HOSTILE[:50]])(made_up_run([cell]))
    shown = invoke("show").output + invoke("history").output
    assert "\x1b" not in shown
    assert "[bold]loud[/]" in shown


def test_run_is_kept_in_the_history_as_it_is_measured(history: Path) -> None:
    words = [
        "run",
        "--rounds",
        "2",
        "--duration",
        "0.1",
        "--models",
        "epoll",
        "--workloads",
        "tcp-long",
    ]
    words += ["--connections", "2", "--store", str(history)]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0
    assert "kept as run 1: compare show 1" in result.output
    run = Store(history).load(1)
    assert isinstance(run, Run)
    assert not run.interrupted
    assert run.cells[0].trace is not None
    assert msgspec.json.decode(msgspec.json.encode(run), type=Run) == run


def test_history_that_cannot_be_used_is_told_before_measuring(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    path.write_bytes(b"something else entirely, and long enough to be looked at" * 20)
    result = CliRunner().invoke(main, ["run", "--quick", "--store", str(path)])
    assert result.exit_code == 2
    assert "cannot open" in result.output


@pytest.mark.slow
def test_files_of_a_run_are_written_into_the_folder_whatever_its_models_are_called(
    invoke, tmp_path: Path, made_up_cell: MakeCell, made_up_run: MakeRun
) -> None:
    text = encode(fold(array.array("Q", range(1000, 90000, 7))))
    names = ("/absolute", "../above", "a\0b", "\x1b[31mred", "é", "x" * 300, ".")
    cells = [made_up_cell(name, (1.0,), latency_hdr=text) for name in names]
    cells.append(msgspec.structs.replace(cells[0], workload="../../other"))
    (tmp_path / "run.json").write_bytes(msgspec.json.encode(made_up_run(cells)))
    done = invoke("export", str(tmp_path / "run.json"), "--hlog", str(tmp_path / "to"))
    assert done.exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} <= {"run.json", "to", "history.sqlite3"}
    assert len(list((tmp_path / "to").glob("*.hlog"))) == len(cells)


def test_model_of_somebody_elses_run_writes_no_line_of_a_histogram_log(
    invoke, tmp_path: Path, made_up_cell: MakeCell, made_up_run: MakeRun
) -> None:
    """Nor does it stop at letters that the locale lacks."""
    text = encode(fold(array.array("Q", range(1000, 90000, 7))))
    cell = made_up_cell("漢\n#[StartTime: 0]\n1,2", (1.0,), latency_hdr=text)
    (tmp_path / "run.json").write_bytes(msgspec.json.encode(made_up_run([cell])))
    assert invoke("export", str(tmp_path / "run.json"), "--hlog", str(tmp_path)).exit_code == 0
    (log,) = tmp_path.glob("*.hlog")
    lines = log.read_bytes().decode("ascii").splitlines()
    assert [line[:1] for line in lines] == ["#", "#", '"', lines[-1][:1]]


def test_workload_of_another_version_is_shown(
    invoke, tmp_path: Path, made_up_cell: MakeCell, made_up_run: MakeRun
) -> None:
    cell = msgspec.structs.replace(made_up_cell("epoll", (1.0,)), workload="[of tomorrow]")
    (tmp_path / "run.json").write_bytes(msgspec.json.encode(made_up_run([cell])))
    assert "[of tomorrow]" in invoke("show", str(tmp_path / "run.json")).output


def test_cell_of_which_nothing_was_attempted_is_no_crash_of_diff(
    invoke, tmp_path: Path, made_up_cell: MakeCell, made_up_run: MakeRun
) -> None:
    cell = msgspec.structs.replace(made_up_cell("epoll", (1.0,) * 3), counts=Counts())
    (tmp_path / "run.json").write_bytes(msgspec.json.encode(made_up_run([cell])))
    done = invoke("diff", str(tmp_path / "run.json"), str(tmp_path / "run.json"))
    assert done.exit_code in (0, 3)


def test_history_that_is_damaged_is_told_in_a_line(invoke, history: Path, kept) -> None:
    with contextlib.closing(sqlite3.connect(history)) as database, database:
        database.execute("UPDATE run SET started = x'ff'")
    for words in (("history",), ("report", "1", "-o", "/nowhere/page.html")):
        done = CliRunner().invoke(main, [*words, "--store", str(history)])
        assert done.exit_code == 1
        assert "is damaged" in done.output
        assert isinstance(done.exception, SystemExit)


def test_compact_json_says_the_same_but_for_what_pictures_need(
    invoke, tmp_path: Path, made_up_cell: MakeCell, made_up_run: MakeRun
) -> None:
    text = encode(fold(array.array("Q", range(1000, 90000, 7))))
    cell = made_up_cell("epoll", (1000.0,) * 3, latency_hdr=text)
    whole, small = tmp_path / "run.json", tmp_path / "small.json"
    whole.write_bytes(msgspec.json.encode(made_up_run([cell, made_up_cell("uvloop", (9.0,) * 3)])))
    assert invoke("export", str(whole), "--json", str(small), "--compact").exit_code == 0
    assert small.read_bytes().count(b"\n") == 1
    kept = msgspec.json.decode(small.read_bytes(), type=Run)
    assert kept.cells[0].latency_hdr is None
    assert [each.slices for cell in kept.cells for each in cell.rounds] == [[]] * 6
    shown = [invoke("show", str(path)).output.splitlines()[2:] for path in (small, whole)]
    assert shown[0] == shown[1]  # but for how long the slices were, in the title
    assert invoke("report", str(small), "-o", str(tmp_path / "page.html")).exit_code == 0
    assert invoke("diff", str(whole), str(small)).exit_code == 0


def test_compact_without_json_is_refused(invoke, kept) -> None:
    result = invoke("export", "1", "--csv", "-", "--compact")
    assert result.exit_code == 2
    assert "it goes with --json" in result.output
