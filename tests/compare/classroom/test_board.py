"""The board: ratios to bare-epoll of the same run, with intervals, of who passes all checks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from made_up_records import made_up_cell, made_up_round, made_up_run

from compare.__main__ import main
from compare.classroom.board import leaderboard, standings, student_of
from compare.classroom.board_page import page
from compare.contract.counts import Counts
from compare.results.records import Cell, Run

pytestmark = pytest.mark.timeout(60)


def cell(model: str, *costs: float, **changes: Any) -> Cell:
    """A round for each cost, in microseconds of an operation."""
    rounds = [
        made_up_round(1000.0, number=number, cost=cost) for number, cost in enumerate(costs, 1)
    ]
    return made_up_cell(model, (1000.0,) * len(costs), **{"rounds": rounds, **changes})


def run_of(*costs: float, bare: tuple[float, ...] = (5.0, 5.1, 5.0), **changes: Any) -> Run:
    cells = [cell("bare-epoll", *bare), cell("yours", *costs, **changes)]
    return made_up_run(cells, servers={"yours": ["python", "mine.py"]})


def board(folder: Path, *names: str, options: tuple[str, ...] = ()) -> Result:
    words = ["class", "board", *(str(folder / each) for each in names)]
    return CliRunner().invoke(main, [*words, "-o", str(folder / "board.html"), *options])


def keep(folder: Path, name: str, run: Run) -> None:
    (folder / name).write_bytes(msgspec.json.encode(run))


def kept_grade(
    folder: Path, student: str, *states: str, finished: bool = True, hidden: tuple[int, ...] = ()
) -> None:
    marks = [
        {"asked": {"check": f"tcp/{number}", "hidden": number in hidden}, "state": state}
        for number, state in enumerate(states, 1)
    ]
    content = {"format": "compare-class/1", "student": student, "finished": finished}
    (folder / f"{student}.grade.json").write_text(json.dumps({**content, "marks": marks}), "utf-8")


class Rows(HTMLParser):
    """The texts of each row of tables."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])

    def handle_data(self, data: str) -> None:
        if self.rows and data.strip():
            self.rows[-1].append(data.strip())


def rows(folder: Path) -> list[list[str]]:
    parser = Rows()
    parser.feed((folder / "board.html").read_text(encoding="utf-8"))
    return parser.rows


def test_places_are_by_ratio_with_their_intervals(tmp_path: Path) -> None:
    keep(tmp_path, "bea.json", run_of(10.0, 10.3, 10.1))
    keep(tmp_path, "ana.run.json", run_of(6.0, 6.2, 6.1))
    result = board(tmp_path, "bea.json", "ana.run.json")
    assert result.exit_code == 0, result.output
    found = [each for each in rows(tmp_path) if each[1:2] in (["ana"], ["bea"])]
    assert [each[:3] for each in found] == [["1", "ana", "1.21"], ["2", "bea", "2.01"]]
    low, high = map(float, found[0][3:5])
    assert low < 1.21 < high


def test_page_has_no_rate_and_needs_nothing_else(tmp_path: Path) -> None:
    keep(tmp_path, "ana.json", run_of(6.0, 6.2, 6.1))
    board(tmp_path, "ana.json")
    text = (tmp_path / "board.html").read_text(encoding="utf-8")
    assert "ops/s" not in text
    assert "operations/s" not in text
    assert "1,000" not in text
    assert "<script" not in text
    assert not re.search(r"(?:src|href)=\"(?!#)", text)


def test_who_cannot_be_told_apart_shares_a_place(tmp_path: Path) -> None:
    keep(tmp_path, "ana.json", run_of(6.0, 6.4, 6.2))
    keep(tmp_path, "bea.json", run_of(6.1, 6.3, 6.4))
    keep(tmp_path, "cem.json", run_of(20.0, 20.5, 20.1))
    board(tmp_path, "ana.json", "bea.json", "cem.json")
    places = {each[1]: each[0] for each in rows(tmp_path) if each[0] in "123"}
    assert places == {"ana": "1", "bea": "1", "cem": "3"}


WITHOUT: list[tuple[Callable[[], Run], str]] = [
    (lambda: run_of(6.0), "one round tells nothing of chance"),
    (lambda: run_of(2.0, 20.0, 6.0), "noisy: from"),
    (lambda: run_of(6.0, 6.1, 6.0, verdict="failed", reasons=["it fails tcp/1"]), "it fails tcp/1"),
    (lambda: run_of(6.0, 6.1, 6.0, verdict="errors", reasons=["30%"]), "errors: 30%"),
    (lambda: run_of(6.0, 6.1, 6.0, reasons=["unchecked: nobody knows"]), "measured unchecked"),
    (lambda: run_of(6.0, 6.1, 6.0, verdicts=["throttled"]), "noisy: a quota held it back"),
    (
        lambda: made_up_run([cell("yours", 6.0, 6.1)], servers={"yours": ["x"]}),
        "bare-epoll was not measured beside it: --models bare-epoll",
    ),
    (lambda: made_up_run([cell("bare-epoll", 6.0, 6.1)]), "--server yours=..."),
    (lambda: msgspec.structs.replace(run_of(6.0, 6.1), interrupted=True), "was interrupted"),
    (
        lambda: run_of(
            *(6.0, 6.1, 6.0),
            rounds=[
                made_up_round(1000.0, number=number, cost=6.0, driver_waited=0.3)
                for number in (1, 2, 3)
            ],
        ),
        "noisy: others had 30% of the driver's core",
    ),
]


@pytest.mark.parametrize(("made", "why"), WITHOUT, ids=[each[1] for each in WITHOUT])
def test_who_is_without_a_place_is_told_why(
    made: Callable[[], Run], why: str, tmp_path: Path
) -> None:
    keep(tmp_path, "ana.json", made())
    result = board(tmp_path, "ana.json")
    assert result.exit_code == 0, result.output
    assert why in result.stderr
    assert [each for each in rows(tmp_path) if each[0] == "ana"]
    assert not [each for each in rows(tmp_path) if each[0] == "1"]


@pytest.mark.parametrize(
    ("states", "why"),
    [
        (("passed", "failed"), "it does not pass tcp/2"),
        (("passed", "skipped"), "it does not pass tcp/2"),
        ((), "no grade of it is among what was given"),
    ],
)
def test_who_does_not_pass_all_checks_has_no_place(
    states: tuple[str, ...], why: str, tmp_path: Path
) -> None:
    keep(tmp_path, "ana.json", run_of(6.0, 6.2, 6.1))
    keep(tmp_path, "bea.json", run_of(7.0, 7.2, 7.1))
    kept_grade(tmp_path, "bea", "passed", "passed")
    names = ["ana.json", "bea.json", "bea.grade.json"]
    if states:
        kept_grade(tmp_path, "ana", *states)
        names.append("ana.grade.json")
    result = board(tmp_path, *names)
    assert f"no place for ana: {why}" in result.stderr
    assert [each[1] for each in rows(tmp_path) if each[0] == "1"] == ["bea"]


def test_grading_that_was_not_finished_gives_no_place(tmp_path: Path) -> None:
    keep(tmp_path, "ana.json", run_of(6.0, 6.2, 6.1))
    kept_grade(tmp_path, "ana", "passed", finished=False)
    assert "was not finished" in board(tmp_path, "ana.json", "ana.grade.json").stderr


def test_gradescope_gets_the_place_beside_what_is_there(tmp_path: Path) -> None:
    keep(tmp_path, "ana.json", run_of(6.0, 6.2, 6.1))
    path = tmp_path / "results.json"
    path.write_text('{"tests": [{"score": 1, "max_score": 1}]}', encoding="utf-8")
    result = board(tmp_path, "ana.json", options=("--gradescope", str(path)))
    assert result.exit_code == 0, result.output
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "tests": [{"score": 1, "max_score": 1}],
        "leaderboard": [{"name": "CPU of bare-epoll's", "value": 1.21, "order": "asc"}],
    }


def test_gradescope_gets_no_place_of_who_is_noisy(tmp_path: Path) -> None:
    keep(tmp_path, "ana.json", run_of(2.0, 20.0, 6.0))
    path = tmp_path / "results.json"
    path.write_text("{}", encoding="utf-8")
    board(tmp_path, "ana.json", options=("--gradescope", str(path)))
    assert json.loads(path.read_text(encoding="utf-8")) == {"leaderboard": []}


@pytest.mark.parametrize("content", [b"[]", b'{"x": "\xff"}', b'{"x": %s' % (b"[" * 100_000)])
def test_what_is_no_result_of_gradescope_is_told(tmp_path: Path, content: bytes) -> None:
    keep(tmp_path, "ana.json", run_of(6.0, 6.2, 6.1))
    path = tmp_path / "results.json"
    path.write_bytes(content)
    result = board(tmp_path, "ana.json", options=("--gradescope", str(path)))
    assert result.exit_code == 2
    assert "is no results.json: " in result.stderr.splitlines()[-1]
    assert path.read_bytes() == content


def test_gradescope_is_of_one_student(tmp_path: Path) -> None:
    for name in ("ana.json", "bea.json"):
        keep(tmp_path, name, run_of(6.0, 6.2, 6.1))
    (tmp_path / "results.json").write_text("{}", encoding="utf-8")
    options = ("--gradescope", str(tmp_path / "results.json"))
    result = board(tmp_path, "ana.json", "bea.json", options=options)
    assert result.exit_code == 2
    assert "--gradescope is of one student" in result.stderr


def test_several_loads_have_a_table_and_an_entry_each() -> None:
    many = [
        cell(name, *costs, connections=connections)
        for connections in (4, 16)
        for name, costs in (("bare-epoll", (5.0, 5.1)), ("yours", (6.0, 6.1)))
    ]
    places, left = standings([("ana", made_up_run(many, servers={"yours": ["x"]}))], [])
    assert not left
    assert [each["name"] for each in leaderboard(places)] == [
        "CPU of bare-epoll's, tcp-long 4",
        "CPU of bare-epoll's, tcp-long 16",
    ]
    assert page("t", places, left).count("<table") == 2


def test_name_that_is_markup_is_text(tmp_path: Path) -> None:
    keep(tmp_path, "<b>x.json", run_of(6.0, 6.2, 6.1))
    board(tmp_path, "<b>x.json")
    assert "<b>x" not in (tmp_path / "board.html").read_text(encoding="utf-8")


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ana.json").write_text("{}", encoding="utf-8")
    result = board(tmp_path, "ana.json")
    assert result.exit_code == 2
    assert "is not a run that compare wrote" in " ".join(result.stderr.split())


def test_counts_are_of_no_matter() -> None:
    """Who was not served is in the verdict already."""
    run = run_of(6.0, 6.2, 6.1, counts=Counts(attempted=9, connected=9, served=9))
    assert [each.who for each in standings([("ana", run)], [])[0]] == ["ana"]


def test_student_is_what_is_before_the_ending_and_an_address_has_dots(tmp_path: Path) -> None:
    names = {
        "ana.json": "ana",
        "ana.run.json": "ana",
        "ana.grade.json": "ana",
        "ana@example.org.json": "ana@example.org",
        "Ana@Example.org.run.json": "ana@example.org",
        "j.doe.json": "j.doe",
    }
    assert {name: student_of(Path(name)) for name in names} == names
    keep(tmp_path, "ana@example.org.json", run_of(6.0, 6.1, 6.0))
    kept_grade(tmp_path, "ana@example", "passed")
    result = board(tmp_path, "ana@example.org.json", "ana@example.grade.json")
    assert "no place for ana@example.org: no grade of it" in result.stderr


def test_grades_alone_make_no_board(tmp_path: Path) -> None:
    kept_grade(tmp_path, "ana", "passed")
    result = board(tmp_path, "ana.grade.json")
    assert result.exit_code == 2
    assert "all of that are grades: name a run as well" in result.stderr
    assert not (tmp_path / "board.html").exists()


def test_check_that_is_hidden_is_not_named_to_all(tmp_path: Path) -> None:
    keep(tmp_path, "ana.json", run_of(6.0, 6.1, 6.0))
    keep(tmp_path, "bea.json", run_of(6.0, 6.1, 6.0))
    kept_grade(tmp_path, "ana", "passed", "failed", hidden=(2,))
    kept_grade(tmp_path, "bea", "failed", "failed", hidden=(2,))
    grades = [str(tmp_path / f"{each}.grade.json") for each in ("ana", "bea")]
    done = board(tmp_path, "ana.json", "bea.json", options=tuple(grades))
    shown = done.stderr + (tmp_path / "board.html").read_text(encoding="utf-8")
    assert "tcp/2" not in shown
    assert "no place for ana: it does not pass all of its checks\n" in done.stderr
    assert "no place for bea: it does not pass tcp/1\n" in done.stderr


def test_run_need_not_be_called_after_all_of_an_address(tmp_path: Path) -> None:
    keep(tmp_path, "ana.json", run_of(6.0, 6.1, 6.0))
    kept_grade(tmp_path, "ana@example.org", "passed")
    grade = str(tmp_path / "ana@example.org.grade.json")
    done = board(tmp_path, "ana.json", options=(grade,))
    assert (done.exit_code, done.stderr) == (0, "")
    kept_grade(tmp_path, "ana@example.net", "passed")
    other = str(tmp_path / "ana@example.net.grade.json")
    said = board(tmp_path, "ana.json", options=(grade, other)).stderr
    assert "ana@example.org and ana@example.net have grades: call the run after one of them" in said
