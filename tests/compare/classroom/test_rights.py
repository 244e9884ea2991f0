"""What a user with --as is refused for: to read answers or secrets, to put other files there."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from class_lessons import DUE, RIGHT, hand_in, write_course
from click.testing import CliRunner

from compare.__main__ import main
from compare.classroom import laid_out, private, rights, watched
from compare.classroom.worker import path_without

from .conftest import Grade

pytestmark = [
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.timeout(60),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user"),
]
NOBODY = 65534


def refused(course: Path, submission: Path, *options: str) -> str:
    words = ["class", "grade", str(submission), "--course", str(course), "--student", "ana"]
    result = CliRunner().invoke(main, [*words, "--as", "nobody", *options])
    assert result.exit_code == 2, result.output
    return " ".join(result.stderr.split())


def test_our_own_servers_are_those_of_three_packages() -> None:
    import blocking

    # Another import than that of the module, whose value the fixture has taken away.
    found = {each.name for each in rights._packages()}
    assert found == {"aionet", "blocking", "compare"}
    assert Path(blocking.__file__).parent in set(rights._packages())


@pytest.mark.slow
def test_user_who_can_read_our_own_servers_is_refused(
    course: Path, reachable: Path, tmp_path: Path, grade: Grade, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = reachable / "blocking"
    ours.mkdir(mode=0o755)
    (ours / "__init__.py").touch()
    monkeypatch.setattr(rights, "OURS", (ours,))
    said = refused(course, hand_in(tmp_path / "mine", RIGHT))
    assert f"nobody can read {ours}, whose servers would be good answers: chmod go= {ours}" in said
    ours.chmod(0o700)
    assert grade(RIGHT, "--as", "nobody").points == (4, 4)


def test_no_folder_for_temporary_files_is_told(
    course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", list)
    said = refused(course, hand_in(tmp_path / "mine", RIGHT))
    assert "'--as': no folder for temporary files (TMPDIR): No usable temporary directory" in said


def test_an_environment_is_closed_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/opt/compare")
    inner = Path("/opt/compare/lib/python3.12/site-packages/blocking")
    assert rights._closed(inner) == Path("/opt/compare")
    assert rights._closed(Path("/srv/blocking")) == Path("/srv/blocking")


def test_what_installs_this_package_for_others_closes_it() -> None:
    assert "chmod go= /opt/compare\n" in laid_out.template("setup.sh")
    workflow = laid_out.template("grade.yml")
    assert "sudo chmod go= /opt/compare\n" in workflow
    assert "chmod -R go= course\n" in workflow


def test_path_of_a_program_is_without_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    path = "/opt/compare/bin:/usr/bin::bin:/opt/compare2/bin"
    monkeypatch.setattr(sys, "prefix", "/opt/compare")
    assert path_without(Path("/opt/compare"), path) == "/usr/bin:/opt/compare2/bin"


SEES_PATH = "import os, sys; sys.exit('path ' + os.environ['PATH'])"


@pytest.mark.slow
def test_program_is_not_handed_our_environment(grade: Grade) -> None:
    graded = grade(SEES_PATH, "--as", "nobody")
    reason = graded.kept["marks"][0]["reason"]
    assert "path /" in reason
    assert sys.prefix == sys.base_prefix or f"{sys.prefix}/bin" not in reason


def test_course_that_a_user_can_read_is_refused_for_what_is_hidden_in_it(
    reachable: Path, tmp_path: Path
) -> None:
    course = write_course(reachable / "course")
    path = course / "course.toml"
    path.chmod(0o644)
    said = refused(course, hand_in(tmp_path / "mine", RIGHT))
    assert f"nobody can read {path}: chmod 600 {path}" in said


def test_course_is_the_teachers_alone(tmp_path: Path) -> None:
    laid_out.lay_out(tmp_path / "new", [1], DUE)
    assert (tmp_path / "new" / "course.toml").stat().st_mode & 0o777 == 0o600


def test_course_that_a_user_can_write_is_refused(reachable: Path, tmp_path: Path) -> None:
    course = write_course(reachable / "course")
    path = course / "course.toml"
    path.chmod(0o622)
    said = refused(course, hand_in(tmp_path / "mine", RIGHT))
    assert f"nobody can write to {path}: chmod go-w {path}" in said


@pytest.mark.slow
@pytest.mark.parametrize("what", ["results", "course"])
def test_folder_that_a_user_could_put_another_one_in_place_of_is_refused(
    what: str, reachable: Path, course: Path, tmp_path: Path
) -> None:
    around = reachable / "around"
    inner = around / "inner"
    inner.mkdir(parents=True, mode=0o755)
    around.chmod(0o777)
    mine = hand_in(tmp_path / "mine", RIGHT)
    if what == "results":
        said = refused(course, mine, "--json", str(inner / "x.json"))
    else:
        said = refused(write_course(inner / "course"), mine)
    words = f"could put another inner there: chmod go-w {around}"
    assert f"nobody can write to {around}, and {words}" in said


@pytest.mark.slow
def test_folder_that_is_the_users_own_is_refused(
    reachable: Path, course: Path, tmp_path: Path
) -> None:
    around = reachable / "theirs"
    (around / "inner").mkdir(parents=True)
    os.chown(around, NOBODY, NOBODY)
    around.chmod(0o555)
    said = refused(
        course, hand_in(tmp_path / "mine", RIGHT), "--json", str(around / "inner" / "x.json")
    )
    assert f"{around} is nobody's, who could put another inner there" in said


LEAVES = """
import os, sys
said = []
for place in ("/tmp", "/var/tmp", "/dev/shm"):
    path = place + "/left-by-NAME"
    said.append("found" if os.path.lexists(path) else "nothing")
    os.makedirs(path + "/in/it", exist_ok=True)
    with open(path + "/in/it/answers", "w") as file:
        file.write("all of them")
sys.exit(" ".join(said))
"""


@pytest.mark.slow
@pytest.mark.parametrize("apart", [True, False], ids=["apart", "not-apart"])
def test_what_one_student_leaves_on_disk_serves_no_other(
    apart: bool, grade: Grade, monkeypatch: pytest.MonkeyPatch
) -> None:
    if apart and not watched.apart():
        pytest.skip("it is not permitted here")
    if not apart:
        monkeypatch.setattr(watched, "APART", ("false",))
        watched.apart.cache_clear()
    name = f"{os.getpid()}-{apart}"
    try:
        for student in ("ana", "bea"):
            graded = grade(LEAVES.replace("NAME", name), "--as", "nobody", student=student)
            assert "nothing nothing nothing" in graded.kept["marks"][0]["reason"]
    finally:
        watched.apart.cache_clear()
    for place in private.ALL_WRITE:
        assert not os.path.lexists(f"{place}/left-by-{name}")


STEALS = """
import glob, os, sys
for path in glob.glob({beside!r} + "/*/01-an-echo/echo.py"):
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError:
        continue
    os.execv(sys.executable, [sys.executable, path, *sys.argv[1:]])
sys.exit("nothing to be found")
"""


@pytest.fixture
def outside() -> Iterator[Path]:
    """A folder that every user may enter, and no place where all may write."""
    with tempfile.TemporaryDirectory(dir="/srv") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def not_apart(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(watched, "APART", ("false",))
    watched.apart.cache_clear()
    yield
    watched.apart.cache_clear()


@pytest.mark.slow
def test_another_ones_server_is_not_found_where_folders_can_be_hidden(
    outside: Path, grade: Grade
) -> None:
    if not watched.apart():
        pytest.skip("it is not permitted here")
    hand_in(outside / "bea", RIGHT)
    graded = grade(hand_in(outside / "ana", STEALS.format(beside=str(outside))), "--as", "nobody")
    assert graded.points == (0, 4)
    graded.all_say("nothing to be found")


@pytest.mark.usefixtures("not_apart")
def test_user_who_could_read_what_others_handed_in_is_refused(outside: Path, course: Path) -> None:
    (outside / "bea.zip").touch()
    mine = hand_in(outside / "cem", RIGHT)
    said = refused(course, mine)
    assert f"nobody can read {outside / 'bea.zip'}, and what others handed in" in said
    assert f"would be good answers: chmod go= {outside}" in said
    (outside / "bea.zip").chmod(0o600)
    assert f"nobody can read {mine}" in refused(course, mine)
    mine.chmod(0o711)  # of which names can be guessed
    assert f"nobody can read {mine}" in refused(course, mine)


@pytest.mark.slow
@pytest.mark.usefixtures("not_apart")
def test_submissions_that_are_closed_are_graded(outside: Path, grade: Grade) -> None:
    mine = hand_in(outside / "ana", RIGHT)
    outside.chmod(0o700)
    assert grade(mine, "--as", "nobody").points == (4, 4)


@pytest.mark.usefixtures("not_apart")
def test_in_a_folder_of_everybodys_the_submission_is_what_is_closed(
    reachable: Path, course: Path
) -> None:
    reachable.chmod(0o1777)
    (reachable / "somebodys").touch()
    mine = hand_in(reachable / "ana", RIGHT)
    assert f"would be good answers: chmod go= {mine}" in refused(course, mine)


def test_what_is_needed_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private, "ALL_WRITE", ())
    assert private.hidden_around(tmp_path / "subs" / "ana", []) == tmp_path / "subs"
    assert private.hidden_around(Path("/ana"), []) is None
    assert private.hidden_around(Path("/ana/submission"), []) is None
    assert private.hidden_around(Path(sys.prefix) / "subs", []) is None
    python = str(tmp_path / "opt" / "bin" / "python")
    assert private.hidden_around(tmp_path / "opt" / "ana", [python]) is None
