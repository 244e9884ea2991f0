"""What `class new` makes, and what is said of a course.toml that cannot be meant."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from class_lessons import RIGHT, hand_in, write_course, write_wheel
from click.testing import CliRunner, Result

import compare
from compare.__main__ import main
from compare.classroom import bundle, laid_out
from compare.classroom.course import Course
from compare.learn.lesson import Lesson

OURS = f"aionet_compare-{bundle.VERSION}-py3-none-any.whl"
pytestmark = pytest.mark.timeout(60)


def real_lessons() -> list[Lesson]:
    folder = Path(compare.__file__).parent / "learn" / "lessons"
    return [Lesson(each.parent) for each in sorted(folder.glob("*/lesson.toml"))]


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["class", *words])


def test_new_course_is_what_can_be_graded(tmp_path: Path) -> None:
    result = run(
        "new", str(tmp_path / "net"), "--lessons", "1-1,4", "--due", "2027-01-31T23:59+01:00"
    )
    assert result.exit_code == 0, result.output
    made = result.stdout.split()
    assert all(Path(each).is_file() for each in made)
    course = Course(tmp_path / "net")
    assert course.words.name == "net"
    assert [each.number for each in course.words.lesson] == [1, 4]
    first, second = (each.due for each in course.words.lesson)
    assert first is not None
    assert second is not None
    assert (second - first).days == 7
    assert course.asked(1)[0].name == "1 echo life/0"
    assert stat.S_IMODE((tmp_path / "net" / "secret").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "net" / "autograder.zip").stat().st_mode) == 0o600
    assert len(course.secret()) == 64


def test_each_course_has_a_secret_of_its_own(tmp_path: Path) -> None:
    for name in "ab":
        run("new", str(tmp_path / name))
    assert Course(tmp_path / "a").secret() != Course(tmp_path / "b").secret()


def test_new_overwrites_nothing(course: Path) -> None:
    before = {each: each.read_bytes() for each in course.iterdir() if each.is_file()}
    result = run("new", str(course))
    assert result.exit_code == 2
    assert f"{course} is not empty; name a folder that is not there yet" in result.stderr
    assert {each: each.read_bytes() for each in course.iterdir() if each.is_file()} == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("12", "there is no lesson 12; there are 1, 4"),
        ("4-1", "there is no lesson 4-1; there are 1, 4"),
        ("1-3", "there is no lesson 2; there are 1, 4"),
        ("all", "'all' is no lesson: such as 1-12, or 1,3,5-7"),
        ("", "'' is no lesson"),
    ],
)
def test_lessons_that_are_not_there_are_refused(words: str, said: str, tmp_path: Path) -> None:
    result = run("new", str(tmp_path / "net"), "--lessons", words)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert not (tmp_path / "net").exists()


FAULTS = [
    ("max_s = 1080", "max_s = 0", "max_s is 0: seconds, above 0"),
    ("max_s = 1080", 'max_s = "long"', 'max_s is a text in "...": a number is meant'),
    ("max_s = 1080", "most_s = 1080", "there is no 'most_s'; there are name, max_s, check_max_s"),
    ("per_day = 0.1", "per_day = 10", "late.per_day is 10: a share, from 0 to 1"),
    ("number = 1 ", "number = 2 ", "there is no lesson 2; there are 1, 4"),
    (
        '"echo tcp/1" = 1',
        '"echo tcp/99" = 1',
        'in "echo tcp/99" is no check of tcp-echo',
    ),
    ('"echo tcp/1" = 1', '"echo fr/1" = 1', "'fr/1' in \"echo fr/1\" is no check of tcp-echo"),
    ('"echo tcp/1" = 1', '"eco tcp/1" = 1', "lesson 1 has no program 'eco'; it has echo"),
    ('"echo tcp/1" = 1', '"echo tcp/1" = -1', '"echo tcp/1" has -1 points: a number, 0 or more'),
    ('"echo tcp/1" = 1', '"echo tcp/1" = nan', '"echo tcp/1" has nan points'),
    ("hidden = []", 'hidden = ["echo tcp/2"]', '"echo tcp/2" has no points, and is in hidden'),
    ("hidden = []", 'max_s = {"echo tcp/1" = -1}', 'max_s of "echo tcp/1" is -1'),
    (
        'visibility = "after_published"',
        'visibility = "never"',
        "visibility is 'never': one of hidden, after_due_date, after_published, visible",
    ),
    ("number = 1 ", 'number = "one" ', "[[lesson]] 1 of the file: number is a text"),
    ('"echo tcp/1" = 1', '"echo tcp/1" = "one"', 'lesson 1: points is a text in "...": a number'),
    ("hidden = []", "hiden = []", "lesson 1: there is no 'hiden'; there are number, due, points"),
    (
        "hidden = []",
        'hidden = "echo tcp/1"',
        'lesson 1: hidden is a text in "...": a list in [...]',
    ),
    ("most_days = 5", "days = 5", "there is no 'days' in late; there are per_day, most_days"),
    ("[lesson.points]", "[lesson.max_s]", "lesson 1: there is no 'points', which is needed"),
    ("+00:00", "", "due has no time zone: such as 2027-01-31T23:59:00+01:00"),
    ("[[lesson]]", "[[[lesson", "is no TOML"),
    ("[[lesson]]", f"x = {'[' * 100_000}", "is no TOML"),
    ("[[lesson]]", f"x = {'1' * 5000}", "is no TOML"),
]


@pytest.mark.parametrize(
    ("old", "new", "said"), FAULTS, ids=[each[1][:40] or "no-zone" for each in FAULTS]
)
def test_value_that_cannot_be_meant_is_named(
    old: str, new: str, said: str, course: Path, tmp_path: Path
) -> None:
    path = course / "course.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    result = run("grade", str(tmp_path), "--course", str(course), "--student", "ana")
    assert result.exit_code == 2
    assert said in result.stderr
    assert str(path) in result.stderr
    assert "Traceback" not in result.output


def test_template_names_a_program_that_lessons_have() -> None:
    text = laid_out.template("course.toml")
    names = {part.file for each in real_lessons() for part in each.words.part}
    assert set(re.findall(r'"(\w+) \w+/\d+"', text)) <= names


def test_python_that_is_not_there_is_named_as_it_is(course: Path, tmp_path: Path) -> None:
    path = course / "course.toml"
    path.write_text("python = '/no/python'\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    result = run("grade", str(tmp_path), "--course", str(course), "--student", "ana")
    assert result.exit_code == 2
    said = " ".join(result.stderr.split())
    assert "python = '/no/python' in course.toml: there is no such program here" in said
    assert "--as" not in said


def test_due_that_is_over_or_has_no_zone_is_told_of(tmp_path: Path) -> None:
    result = run("new", str(tmp_path / "a"), "--due", "2020-01-31T23:59+01:00")
    assert result.exit_code == 0
    assert (
        "2020-01-31T23:59:00+01:00 is over: all of the first lesson will be late" in result.stderr
    )
    result = run("new", str(tmp_path / "b"), "--due", "2099-01-31T23:59")
    assert "2099-01-31T23:59 has no zone: taken as 2099-01-31T23:59:00" in result.stderr


def test_secret_that_is_none_is_named(course: Path, tmp_path: Path) -> None:
    for text, said in (("xyz", "is not of hexadecimal digits"), ("00", "has 2 digits")):
        (course / "secret").write_text(text, encoding="utf-8")
        result = run("grade", str(tmp_path), "--course", str(course), "--student", "ana")
        assert result.exit_code == 2
        assert said in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--lesson", "7"], "the course has no lesson 7; it has 1"),
        (["--student", ""], "'' is no name"),
        (["--student", "a\nb"], "is no name"),
        (["--student", "a" * 201], "a name of 201 characters is too long: 200 at most"),
        (["--json", "x.json", "--junit", "./x.json"], "two outputs are to go to x.json"),
        (["--submitted", "soon"], "'soon' is no time: such as 2027-01-31T23:59+01:00"),
        (["--json", "/nowhere/there.json"], "cannot write /nowhere/there.json"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(
    options: list[str], said: str, course: Path, tmp_path: Path
) -> None:
    words = ["grade", str(tmp_path), "--course", str(course), "--student", "ana", *options]
    result = run(*words)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


def test_bundle_is_made_anew_with_what_the_course_says_now(course: Path, tmp_path: Path) -> None:
    path = course / "course.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("1080", "99"), encoding="utf-8")
    (tmp_path / "wheels").mkdir()
    write_wheel(tmp_path / "wheels" / "click-8.4.0-py3-none-any.whl")
    ours = write_wheel(tmp_path / OURS)
    result = run("bundle", str(course), "--wheel", str(tmp_path / "wheels"), "--wheel", str(ours))
    assert result.exit_code == 0, result.output
    with zipfile.ZipFile(course / "autograder.zip") as archive:
        assert "max_s = 99" in archive.read("course/course.toml").decode()
        assert archive.read(f"wheels/{OURS}") == ours.read_bytes()
        assert "wheels/click-8.4.0-py3-none-any.whl" in archive.namelist()
        setup = archive.read("setup.sh").decode()
        assert f'--no-index "aionet-compare=={bundle.VERSION}" ||' in setup
        assert "--find-links /autograder/source/wheels" in setup
        modes = {each.filename: each.external_attr >> 16 for each in archive.infolist()}
    assert modes["setup.sh"] & 0o111
    assert modes["run_autograder"] & 0o111
    assert not modes["course/secret"] & 0o077


def test_what_pip_would_not_install_is_no_wheel(course: Path, tmp_path: Path) -> None:
    renamed = write_wheel(tmp_path / OURS).rename(tmp_path / "aionet_compare.whl")
    text = tmp_path / OURS
    text.write_text("# README", encoding="utf-8")
    other = write_wheel(tmp_path / "click-8.4.0-py3-none-any.whl")
    (tmp_path / "none").mkdir()
    for path, said in (
        (renamed, "aionet_compare.whl is no name of a wheel, and pip refuses it"),
        (text, "is called a wheel and is none"),
        (other, f"none of them is {OURS}: add the wheel of this package"),
        (tmp_path / "none", "there is no wheel in"),
    ):
        before = (course / "autograder.zip").read_bytes()
        result = run("bundle", str(course), "--wheel", str(path))
        assert result.exit_code == 2
        assert said in " ".join(result.stderr.split())
        assert (course / "autograder.zip").read_bytes() == before


def test_bundle_of_a_lesson_asks_for_that_one(tmp_path: Path) -> None:
    course = write_course(tmp_path / "both", 1, 4)
    assert run("bundle", str(course), "--lesson", "4").stdout.strip().endswith("autograder-4.zip")
    with zipfile.ZipFile(course / "autograder-4.zip") as archive:
        assert 'lessons="4"' in archive.read("run_autograder").decode()
    result = run("bundle", str(course), "--lesson", "5")
    assert result.exit_code == 2
    assert "the course has no lesson 5; it has 1, 4" in result.stderr


def test_programs_of_the_bundle_are_shells(course: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(course / "autograder.zip") as archive:
        archive.extractall(tmp_path / "bundle")
    for name in ("setup.sh", "run_autograder"):
        text = (tmp_path / "bundle" / name).read_text(encoding="utf-8")
        assert "@VERSION" not in text
        assert "@LESSONS" not in text
        subprocess.run(["bash", "-n", str(tmp_path / "bundle" / name)], check=True)


def test_workflow_takes_the_course_by_its_tag_and_keeps_no_credentials(course: Path) -> None:
    text = (course / ".github" / "workflows" / "grade.yml").read_text(encoding="utf-8")
    assert "ref: refs/tags/${{ inputs.tag }}" in text
    assert "workflow_dispatch" in text
    assert "pull_request" not in text
    assert text.count("persist-credentials: false") == text.count("actions/checkout@")
    script = text.partition("      - name: Grade\n")[2].partition("        run: |\n")[2]
    assert "${{" not in script.partition("      - uses")[0]  # what a name holds is not run


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="as Gradescope does, as root")
def test_gradescope_bundle_grades_a_submission(course: Path, tmp_path: Path) -> None:
    base = tmp_path / "autograder"
    with zipfile.ZipFile(course / "autograder.zip") as archive:
        archive.extractall(base / "source")
    hand_in(base / "submission", RIGHT)
    known = {"created_at": "2026-05-01T12:00:00.000000-08:00", "users": [{"email": " Ana@X.edu"}]}
    (base / "submission_metadata.json").write_text(json.dumps(known), encoding="utf-8")
    # Of this package, with lessons of the test: what an installed one has by itself.
    kit = tmp_path / "kit"
    kit.mkdir()
    (kit / "sitecustomize.py").write_text(
        "import sys\n"
        "if '-P' in sys.orig_argv:\n"
        "    from pathlib import Path\n"
        "    from compare.learn import lesson\n"
        f"    lesson.LESSONS = Path({str(tmp_path / 'lessons')!r})\n"
        "    from compare.classroom import rights\n"
        "    rights.OURS = ()\n",
        encoding="utf-8",
    )
    env = os.environ | {
        "AUTOGRADER": str(base),
        "COMPARE_PYTHON": sys.executable,
        "AS_USER": "nobody",
        "PYTHONPATH": f"{kit}:{os.environ.get('PYTHONPATH', '')}:{Path(__file__).parents[3]}",
    }
    done = subprocess.run(
        ["bash", str(base / "source" / "run_autograder")],
        env=env,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((base / "results" / "results.json").read_text(encoding="utf-8"))
    assert [each["score"] for each in found["tests"]] == [1, 1, 1, 1], done.stdout + done.stderr
    assert stat.S_IMODE((base / "results").stat().st_mode) == 0o700


def test_gradescope_bundle_that_cannot_begin_says_so(course: Path, tmp_path: Path) -> None:
    base = tmp_path / "autograder"
    with zipfile.ZipFile(course / "autograder.zip") as archive:
        archive.extractall(base / "source")
    (base / "submission").mkdir()
    env = os.environ | {"AUTOGRADER": str(base), "COMPARE_PYTHON": "/bin/false"}
    subprocess.run(["bash", str(base / "source" / "run_autograder")], env=env, check=True)
    found = json.loads((base / "results" / "results.json").read_text(encoding="utf-8"))
    assert found == {"score": 0, "output": "The autograder could not begin: ask your teacher."}


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        (None, "cannot read"),
        ("{", "has no users with an email each, or no created_at"),
        ('{"users": []}', "has no users with an email each, or no created_at"),
        ('{"users": [{"id": 1}], "created_at": "x"}', "KeyError('email')"),
        ('{"users": [{"email": null}], "created_at": "x"}', "has no users"),
        ('{"users": [{"email": "a"}], "created_at": null}', "or no created_at"),
        ("[]", "has no users with an email each"),
    ],
)
def test_gradescope_metadata_that_are_odd_are_told_in_a_line(
    metadata: str | None, said: str, course: Path, tmp_path: Path
) -> None:
    base = tmp_path / "autograder"
    with zipfile.ZipFile(course / "autograder.zip") as archive:
        archive.extractall(base / "source")
    (base / "submission").mkdir()
    if metadata is not None:
        (base / "submission_metadata.json").write_text(metadata, encoding="utf-8")
    env = os.environ | {"AUTOGRADER": str(base), "COMPARE_PYTHON": sys.executable}
    words = ["bash", str(base / "source" / "run_autograder")]
    done = subprocess.run(words, env=env, check=True, capture_output=True, text=True, timeout=50)
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    found = json.loads((base / "results" / "results.json").read_text(encoding="utf-8"))
    assert found["output"].startswith("The autograder could not begin")


@pytest.mark.parametrize(
    ("tags", "taken"),
    [
        ("py3-none-any", True),
        ("py2.py3-none-any", True),
        ("cp312-cp312-manylinux_2_17_x86_64", True),
        ("cp36-abi3-manylinux2010_x86_64", True),
        ("cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64", False),
        ("cp313-abi3-linux_x86_64", False),
        ("pp310-pypy310_pp73-linux_x86_64", False),
    ],
)
def test_wheel_for_another_python_is_told_of(
    tags: str, taken: bool, course: Path, tmp_path: Path
) -> None:
    ours = write_wheel(tmp_path / OURS)
    other = write_wheel(tmp_path / f"msgspec-0.22.0-{tags}.whl")
    done = run("bundle", str(course), "--wheel", str(ours), "--wheel", str(other))
    assert done.exit_code == 0
    assert (f"{other.name} is not for Python 3.12" in done.stderr) is not taken
