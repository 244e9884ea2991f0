"""What is graded, for how many points: one maximum, whatever becomes of the program."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from class_lessons import ECHO, RIGHT, RIGHT_C, hand_in, write_course
from click.testing import CliRunner

from compare.__main__ import main
from compare.classroom import watched
from compare.classroom.grade import Grading
from compare.classroom.seeds import seed_of
from compare.learn.lesson import lessons

from .conftest import Grade

pytestmark = [pytest.mark.usefixtures("nothing_left"), pytest.mark.timeout(60)]


def test_right_program_has_all_points(grade: Grade) -> None:
    graded = grade(RIGHT)
    assert graded.points == (4, 4)
    assert graded.result.exit_code == 0
    assert graded.kept["finished"]
    assert set(graded.states.values()) == {"passed"}


def test_program_in_c_is_compiled(grade: Grade, tmp_path: Path) -> None:
    path = hand_in(tmp_path / "c", RIGHT_C, "01-an-echo/echo.c")
    assert grade(path).points == (4, 4)


def test_what_does_not_compile_has_no_point_and_is_told_what_the_compiler_says(
    grade: Grade, tmp_path: Path
) -> None:
    graded = grade(hand_in(tmp_path / "c", "int main( {", "01-an-echo/echo.c"))
    assert graded.points == (0, 4)
    graded.all_say("it does not compile")
    assert "expected" in graded.gradescope["tests"][0]["output"]
    assert graded.result.stdout.count("error: expected") == 1
    assert "lesson 1, echo (4 checks): it does not compile:\n" in graded.result.stdout
    assert "compare-class-" not in graded.result.stdout + json.dumps(graded.kept)


def test_empty_file_is_said_to_be_one(grade: Grade, tmp_path: Path) -> None:
    graded = grade("")
    assert graded.points == (0, 4)
    graded.all_say("echo.py is empty")


@pytest.mark.slow
def test_program_that_was_compiled_is_compiled_again_where_its_failure_is_asked_again(
    grade: Grade, tmp_path: Path
) -> None:
    wrong = RIGHT_C.replace("sent < got; sent += some", "sent < got && !sent; sent += some + 1")
    graded = grade(hand_in(tmp_path / "c", wrong.replace("got - sent", "1"), "01-an-echo/echo.c"))
    again = next(each["again"] for each in graded.kept["marks"] if each["again"])
    first, _, second = again.partition(" && ")
    assert first.endswith("-o 01-an-echo/echo 01-an-echo/echo.c")
    subprocess.run(shlex.split(first), cwd=tmp_path / "c", check=True)
    with contextlib.chdir(tmp_path / "c"):
        done = CliRunner().invoke(main, shlex.split(second)[1:])
    assert "failed" in done.stdout


def test_carriage_returns_of_a_program_are_none_of_a_reader(grade: Grade) -> None:
    graded = grade("import sys; sys.exit('all well\\rno such\\r\\nluck')")
    for test in graded.gradescope["tests"]:
        assert "\r" not in test["output"]
    assert "\r" not in graded.result.stdout
    assert "\r" not in "".join(str(each.get("message")) for each in graded.suite.iter())


RAISES = """
import sys
def serve():
    raise ValueError("no such luck " + __file__)
serve()
"""


def test_failure_tells_of_no_folder_of_who_grades(grade: Grade, tmp_path: Path) -> None:
    graded = grade(RAISES)
    graded.all_say("no such luck echo.py")
    said = graded.result.stdout + json.dumps(graded.kept) + json.dumps(graded.gradescope)
    assert "compare-class-" not in said
    assert str(tmp_path / "handed") not in json.dumps(graded.gradescope)


@pytest.mark.slow
def test_what_does_not_listen_is_not_told_of_an_option_that_grading_has_not(
    grade: Grade, monkeypatch: pytest.MonkeyPatch
) -> None:
    graded = grade("import time; time.sleep(60)")
    graded.all_say("did not say READY")
    assert "--ready-timeout" not in graded.result.stdout + json.dumps(graded.kept)


def test_server_that_does_not_start_has_no_point_and_all_say_why(grade: Grade) -> None:
    graded = grade("import sys; sys.exit('no such luck')")
    assert graded.points == (0, 4)
    assert graded.result.exit_code == 1
    graded.all_say("no such luck")
    assert graded.suite.get("errors") == "4"


def test_empty_submission_has_no_point_of_the_same_maximum(grade: Grade, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    graded = grade(tmp_path / "empty")
    assert graded.points == (0, 4)
    graded.all_say("not handed in: there is no 01-an-echo/echo.py or echo.c or echo.js")


DIES_AFTER = """
import os, pathlib, sys
count = pathlib.Path("count")
with count.open("a") as file:
    file.write("x")
if count.stat().st_size > 2:
    sys.exit("no more")
"""


def test_server_that_starts_no_more_has_what_it_earned(grade: Grade) -> None:
    graded = grade(DIES_AFTER + RIGHT)
    assert graded.points == (2, 4)
    assert list(graded.states.values()) == ["passed", "passed", "failed", "failed"]
    graded.all_say("no more")


def test_server_that_goes_into_the_background_has_no_point(grade: Grade) -> None:
    graded = grade("import os\nif os.fork(): os._exit(0)\nos.setsid()\n" + RIGHT)
    assert graded.points == (0, 4)
    graded.all_say("it went into the background")


def test_check_that_takes_too_long_fails_and_the_next_ones_are_made(
    grade: Grade, course: Path
) -> None:
    path = course / "course.toml"
    text = path.read_text(encoding="utf-8").replace("hidden = []", 'max_s = {"echo tcp/1" = 0.01}')
    path.write_text(text, encoding="utf-8")
    graded = grade(RIGHT)
    assert graded.states == dict.fromkeys(ECHO, "passed") | {"tcp/1": "failed"}
    assert graded.points == (3, 4)
    graded.all_say("it took longer than 0.01 s")


@pytest.mark.slow
def test_time_for_all_that_is_over_leaves_what_was_earned(grade: Grade, course: Path) -> None:
    slow = "import time; time.sleep(1)\n" + RIGHT
    text = (course / "course.toml").read_text(encoding="utf-8")
    (course / "course.toml").write_text(text.replace("max_s = 1080", "max_s = 3.5", 1), "utf-8")
    graded = grade(slow)
    assert 0 < graded.points[0] < 4
    assert graded.points[1] == 4
    graded.all_say("not asked: the 3.5 s for all were over")
    assert set(graded.states.values()) == {"passed", "failed"}


def test_what_is_wrong_with_this_machine_is_not_said_to_be_the_programs_fault(
    grade: Grade, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "WORKER", "compare.classroom.not_there")
    graded = grade(RIGHT)
    assert graded.points == (0, 4)
    assert set(graded.states.values()) == {"skipped"}
    graded.all_say("this machine: what makes the checks has ended")


@pytest.mark.slow
def test_what_needs_a_check_that_failed_has_failed_and_is_not_this_machines_matter(
    grade: Grade,
) -> None:
    """Only what this machine could not ask is skipped."""
    graded = grade(RIGHT.replace("with conn:", "if True:").replace("pass", "keep.append(conn)"))
    assert graded.points[0] < 4
    assert "skipped" not in graded.states.values()
    unasked = [each for each in graded.kept["marks"] if "comes first" in each["reason"]]
    assert unasked
    name = unasked[0]["asked"]["check"]
    assert graded.states[name] == "failed"
    shown = next(e for e in graded.gradescope["tests"] if e["name"].endswith(name))
    assert shown["status"] == "failed"
    case = next(e for e in graded.suite.iter("testcase") if str(e.get("name")).endswith(name))
    assert case.find("error") is not None
    assert graded.suite.get("skipped") == "0"
    assert f"failed {name}: not asked: " in graded.result.stdout


@pytest.mark.slow
def test_what_is_late_has_less_of_the_same_maximum(grade: Grade) -> None:
    graded = grade(RIGHT, "--submitted", "2026-06-02T13:00+00:00")
    assert graded.points == (3.2, 4)
    graded.all_say("lesson 1 was handed in 2 days late: 80% of its points")
    assert grade(RIGHT, "--submitted", "2026-06-20T13:00+00:00").points == (0, 4)


LEAVES_LATER = """
import os, sys, threading, time
if child := os.fork():
    time.sleep({after})
    os._exit(0)
{leave}
"""


@pytest.mark.parametrize("after", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("leave", ["os.setsid()", "pass"], ids=["session", "same"])
def test_server_that_was_seen_to_leave_has_no_point_whenever_it_did(
    leave: str, after: float, grade: Grade
) -> None:
    graded = grade(LEAVES_LATER.format(leave=leave, after=after) + RIGHT)
    assert graded.points == (0, 4), graded.result.stdout
    assert set(graded.states.values()) == {"failed"}
    graded.all_say("it went into the background")


def test_server_whose_children_share_its_socket_has_all_points(grade: Grade) -> None:
    """The one that was started listens as well."""
    both = RIGHT.replace("while True:", "import os\nos.fork()\nwhile True:", 1)
    assert grade(both).points == (4, 4)


def test_of_two_languages_it_is_told_which_was_graded(grade: Grade, tmp_path: Path) -> None:
    path = hand_in(tmp_path / "two", RIGHT)
    hand_in(path, "", "01-an-echo/echo.c")
    graded = grade(path)
    assert graded.points == (4, 4)
    graded.all_say("01-an-echo/echo.py is graded, and not 01-an-echo/echo.c: the other is empty")
    hand_in(path, "int main(void) { return 3; }", "01-an-echo/echo.c")
    (path / "course.json").write_text('{"language": "c"}', encoding="utf-8")
    graded = grade(path)
    assert graded.points == (0, 4)
    graded.all_say("echo.c is graded, and not 01-an-echo/echo.py: course.json says c")


def test_time_without_a_zone_is_told_as_it_was_taken(grade: Grade) -> None:
    graded = grade(RIGHT, "--submitted", "2026-05-01T00:00")
    assert "2026-05-01T00:00 has no zone: taken as 2026-05-01T00:00:00" in graded.result.stderr
    graded.all_say("2026-05-01T00:00 has no zone: taken as 2026-05-01T00:00:00")


@pytest.mark.slow
def test_failure_has_the_seed_that_makes_the_same_run(
    grade: Grade, course: Path, tmp_path: Path
) -> None:
    wrong = RIGHT.replace("conn.sendall(data)", "conn.sendall(data[:50000])")
    graded = grade(wrong)
    seed = seed_of((course / "secret").read_text(encoding="utf-8").strip(), "ana", 1)
    assert graded.kept["seeds"] == {"1": seed}
    assert f"--seed {seed}" in graded.result.stdout
    (failed,) = [each for each in graded.kept["marks"] if each["state"] == "failed"][:1]
    words = failed["again"].split()
    assert words[:3] == ["compare", "check", "--profile"]
    words[words.index("python")] = sys.executable
    assert "01-an-echo/echo.py" in words  # in what was handed in, wherever that is
    with contextlib.chdir(tmp_path / "handed"):
        again = CliRunner().invoke(main, words[1:])
    assert failed["asked"]["check"] in again.stdout
    assert "failed" in again.stdout


def test_seeds_are_of_student_and_lesson_and_secret() -> None:
    secret, other = "00" * 32, "11" * 32
    found = {
        seed_of(*each)
        for each in ((secret, "ana", 1), (secret, "bea", 1), (secret, "ana", 2), (other, "ana", 1))
    }
    assert len(found) == 4
    assert seed_of(secret, "ana", 1) == seed_of(secret, "ana", 1) < 2**63


def test_zeros_are_there_before_the_first_check(
    course: Path, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def run(*given: object) -> object:
        seen.append(json.loads((out / "g.json").read_text(encoding="utf-8")))
        raise KeyboardInterrupt

    monkeypatch.setattr(Grading, "run", run)
    path = hand_in(tmp_path / "handed", RIGHT)
    words = ["class", "grade", str(path), "--course", str(course), "--student", "ana"]
    result = CliRunner().invoke(main, [*words, "--gradescope", str(out / "g.json")])
    assert result.exit_code == 130
    assert [each["score"] for each in seen[0]["tests"]] == [0, 0, 0, 0]
    assert [each["max_score"] for each in seen[0]["tests"]] == [1, 1, 1, 1]
    assert "interrupted" in (out / "g.json").read_text(encoding="utf-8")


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_graded(course: Path, tmp_path: Path, out: Path) -> None:
    """And leaves nobody behind."""
    waits = DIES_AFTER.replace('sys.exit("no more")', "__import__('time').sleep(60)")
    path = hand_in(tmp_path / "handed", waits + RIGHT)
    code = (
        "from pathlib import Path; from compare.learn import lesson; "
        f"lesson.LESSONS = Path({str(tmp_path / 'lessons')!r}); "
        "from compare.__main__ import main; main()"
    )
    words = ["class", "grade", str(path), "--course", str(course), "--student", "ana"]
    words += ["--submitted", "2026-05-01T00:00+00:00", "--gradescope", str(out / "g.json")]
    with subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True
    ) as process:
        while not (out / "g.json").exists() or points_in(out / "g.json") < 2:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "2 of 4 points" in said
    assert points_in(out / "g.json") == 2
    assert "interrupted" in (out / "g.json").read_text(encoding="utf-8")


def points_in(path: Path) -> float:
    return float(sum(each["score"] for each in json.loads(path.read_text("utf-8"))["tests"]))


SUMMER = (Path(__file__).parents[1] / "check" / "servers" / "frames.py").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("student", "speaks", "earned"), [("ana", "own", 3), ("ana", "4,bytes", 0)]
)
def test_frames_are_those_of_the_student(
    student: str, speaks: str, earned: int, tmp_path: Path, grade: Grade, course: Path
) -> None:
    from compare.check.variant import DEFAULT, of_student

    names = (f"{student}{number}" for number in range(100))
    name = next(each for each in names if of_student(each) != DEFAULT)
    spoken = str(of_student(name)) if speaks == "own" else speaks
    shutil.rmtree(course)
    write_course(course, 4)
    code = re.sub(r"sys\.argv\[1\]", repr(f"none:{spoken}"), SUMMER)
    graded = grade(hand_in(tmp_path / "sum", code, "04-frames/summer.py"), student=name)
    assert graded.points == (earned, 3)
    assert graded.kept["variant"] == str(of_student(name))
    if not earned:
        graded.all_say(f"--variant {of_student(name)}")
        assert "it speaks another variant" in graded.gradescope["tests"][0]["output"]


@pytest.mark.slow
def test_lessons_are_graded_together_with_one_maximum(
    grade: Grade, course: Path, tmp_path: Path
) -> None:
    shutil.rmtree(course)
    write_course(course, 1, 4)
    graded = grade(RIGHT)
    assert graded.points == (4, 7)
    graded.all_say("not handed in: there is no 04-frames/summer.py")
    assert grade(RIGHT, "--lesson", "1").points == (4, 4)


@pytest.mark.slow
@pytest.mark.parametrize(("code", "earned"), [(RIGHT, 4), ("import sys; sys.exit(1)", 0)])
def test_check_that_is_of_other_languages_counts_as_the_rest_of_the_program(
    code: str, earned: int, grade: Grade, tmp_path: Path
) -> None:
    path = tmp_path / "lessons" / "01-an-echo" / "lesson.toml"
    text = path.read_text(encoding="utf-8").replace(", 'tcp/6']", "]")
    step = text[text.index("[[part.step]]") : text.index("[see]")]
    other = step.replace("checks = [", "checks = ['tcp/6'] #").replace(
        "[[part.step]]", "[[part.step]]\nonly = ['c']"
    )
    path.write_text(text.replace("[see]", other + "[see]"), encoding="utf-8")
    lessons.cache_clear()
    graded = grade(code)
    assert graded.points == (earned, 4)
    graded.all_say(
        "not asked in python: it counts as the others of echo do"
    ) if not earned else None
    assert graded.result.exit_code == (0 if earned else 1)


@pytest.mark.slow
@pytest.mark.parametrize("module", ["aionet", "blocking", "compare"])
def test_our_own_servers_are_no_answer(module: str, grade: Grade) -> None:
    graded = grade(f"import {module}\n{RIGHT}")
    assert graded.points == (0, 4)
    graded.all_say(f"No module named '{module}'")
