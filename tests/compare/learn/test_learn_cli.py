"""The command without its terminal: what it lays out, says and refuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from made_up_records import made_up_cell, made_up_run
from small_course import PROGRAM, SMALL, Learn, write

from compare.commands.output import as_json
from compare.learn import experiment
from compare.learn.course import Course
from compare.learn.lesson import Lesson

pytestmark = pytest.mark.timeout(60)


def test_a_course_has_a_folder_for_each_lesson_with_what_one_begins_with(
    learn: Learn, tmp_path: Path
) -> None:
    folder = tmp_path / "deep" / "net"
    result = learn("start", str(folder))
    assert result.exit_code == 0
    assert f"2 lessons are in {folder}." in result.output
    files = {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()}
    assert files == {
        *("course.json", ".gitignore", "1-a-stream/text.md", "1-a-stream/server.py"),
        *("2-again/text.md", "2-again/server.py", "2-again/other.py"),
    }


def test_nothing_is_laid_out_where_something_is(learn: Learn, tmp_path: Path) -> None:
    assert learn("start", str(tmp_path / "net")).exit_code == 0
    assert "has a course; cd " in learn("start", str(tmp_path / "net")).output
    (tmp_path / "mine.py").write_text("mine")
    result = learn("start", str(tmp_path))
    assert result.exit_code == 1
    assert "is not empty; name a folder that is not there yet" in result.output
    assert sorted(each.name for each in tmp_path.iterdir()) == ["mine.py", "net"]


def test_no_course_is_laid_out_within_another_one(learn: Learn, course: Course) -> None:
    for name in ("more", "1-a-stream/more"):
        result = learn("start", name)
        assert (result.exit_code, result.output.count("\n")) == (1, 1)
        assert f"{name} is within the course of {course.folder}; name a folder" in result.output
        assert not Path(name).exists()


def test_a_file_in_the_place_of_the_folder_is_said(learn: Learn, tmp_path: Path) -> None:
    (tmp_path / "net").write_text("")
    result = learn("start", str(tmp_path / "net"))
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert "cannot write to" in result.output


@pytest.mark.parametrize(
    "words", [("check",), ("hint",), ("see", "--predict", "1"), ("measure",), ("reset", "1")]
)
def test_a_folder_that_cannot_be_written_is_one_line(
    learn: Learn, course: Course, words: tuple[str, ...]
) -> None:
    """As on a disk that is full."""
    (course.folder / "course.new").mkdir()
    (course.folder / "1-a-stream" / ".built").write_text("")
    result = learn(*words)
    assert result.exit_code == 1
    assert "Error: cannot write to " in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)


@pytest.mark.parametrize(
    "words", [(), ("list",), ("check",), ("hint",), ("see", "--predict", "1"), ("measure",)]
)
def test_outside_of_a_course_it_says_how_to_begin_one(
    learn: Learn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = learn(*words)
    assert result.exit_code == 1
    assert "is in no course; compare learn start DIR" in result.output


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"[]", b'{"language": "cobol"}', b'{"done": 7}', b"\0", b'{"language": "\xff"}'),
        pytest.param(b'{"x": %s' % (b"[" * 100_000), id="too-deep"),
    ],
)
def test_a_state_that_is_none_is_one_line(learn: Learn, course: Course, text: bytes) -> None:
    (course.folder / "course.json").write_bytes(text)
    result = learn("list")
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert "course.json is no course's" in result.output


def test_state_of_lessons_that_are_not_there_any_more_is_left_alone(
    learn: Learn, course: Course
) -> None:
    path = course.folder / "course.json"
    state = json.loads(path.read_text())
    path.write_text(json.dumps(state | {"at": "9-gone", "done": {"9-gone/server": 3}}))
    assert learn("list").output.startswith(">  1 A stream")
    assert learn("reset", "1").exit_code == 0
    assert json.loads(path.read_text())["done"] == {"9-gone/server": 3}


def test_without_a_terminal_it_says_what_asks_once(learn: Learn, course: Course) -> None:
    result = learn()
    assert result.exit_code == 2
    assert "compare learn check asks once" in result.output


def test_a_check_says_everything_and_its_status(learn: Learn, course: Course) -> None:
    write(course, 1, 1)
    result = learn("check")
    assert result.exit_code == 1
    assert "passed  tcp/2" in result.output
    assert "failed  tcp/5" in result.output
    assert "1 failed" in result.output
    write(course, 1, 2)
    assert learn("check", "1").exit_code == 0


def test_files_of_findings_are_of_one_program(learn: Learn, course: Course, tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    result = learn("check", "2", "--json", str(out))
    assert result.exit_code == 2
    assert "--part server or other" in result.output
    result = learn("check", "2", "--part", "third")
    assert result.exit_code == 2
    assert "'third' is none of server.py, other.py" in result.output
    write(course, 2, 1, "other")
    for named in ("other.py", "other"):
        assert learn("check", "2", "--part", named, "--json", str(out)).exit_code == 0
    assert [each["id"] for each in json.loads(out.read_text())["findings"]] == ["tcp/2"]


def test_hints_are_of_the_step_that_is_next_and_of_all_when_none_is(
    learn: Learn, course: Course, small: list[Lesson]
) -> None:
    for number in (1, 2, 3, 3):
        result = learn("hint")
        assert "hint 1/3  What does it do after its first answer?" in result.output
        assert len(re.findall(r"hint \d/3", result.output)) == number
    assert "Who waits" not in result.output
    (part,) = small[0].words.part
    for _ in range(2):
        course.pass_step(small[0], part)
    result = learn("hint", "1")
    assert "What does it do after its first answer?" in result.output
    assert "Who waits" in result.output


def test_a_lesson_that_is_not_there_is_one_line(learn: Learn, course: Course) -> None:
    result = learn("check", "13")
    assert result.exit_code == 2
    assert "there is no lesson '13'; there are 1 to 2" in result.output


def test_a_prediction_comes_before_what_is_seen(learn: Learn, course: Course) -> None:
    result = learn("see", "2")
    assert result.exit_code == 2
    assert "say what you expect: --predict, from 1 to 2" in result.output
    assert learn("see", "2", "--predict", "3").exit_code == 2
    result = learn("see", "2", "--predict", "1")
    assert "\nseen\n\nIt is 1, as you said.\n" in result.output


@pytest.mark.parametrize("words", [("see", "2", "--predict", "1"), ("list",), ("hint", "1")])
def test_into_a_pipe_that_nobody_reads_it_ends_without_a_word(
    course: Course, tmp_path: Path, words: tuple[str, ...]
) -> None:
    program = tmp_path / "main.py"
    program.write_text(PROGRAM)
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as out:
        argv = [sys.executable, str(program), str(SMALL), "learn", *words]
        ended = subprocess.run(argv, stdout=out, stderr=subprocess.PIPE, timeout=30)
    assert (ended.returncode, ended.stderr) == (1, b"")


def test_where_there_is_nothing_to_measure_it_says_so(learn: Learn, course: Course) -> None:
    result = learn("measure", "2")
    assert result.exit_code == 1
    assert "there is nothing for compare run to measure in Two programs: it is" in result.output


def test_what_was_written_is_measured_beside_ours(
    learn: Learn, course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = list[tuple[str, ...]]()

    def measured(words: tuple[str, ...], stdout: int | None = None) -> int:
        assert stdout == subprocess.DEVNULL
        ran.append(words)
        Path(words[-1]).write_bytes(as_json(made_up_run([made_up_cell("yours", (1000.0, 1100.0))])))
        return 0

    monkeypatch.setattr(experiment, "_run", measured)
    result = learn("measure", "1")
    assert result.output.startswith("What does a thread cost?\n$ compare run --server 'yours=")
    assert "server.py {host} {port}' --models yours,epoll " in result.output
    assert result.output.endswith("What does a thread cost?\n")
    (words,) = ran
    assert words[words.index("--models") + 1] == "yours,epoll"
    assert words[-6:-1] == ("--workloads", "tcp-long", "--rounds", "3", "--json")
