"""Who runs the programs with --as, what that user may not do, and when it is refused."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from class_lessons import RIGHT, hand_in, write_course
from click.testing import CliRunner

from compare.__main__ import main
from compare.classroom import grade as grading
from compare.classroom import watched
from compare.host import user as users

from .conftest import Grade

ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="only root may become another user")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("nothing_left"), pytest.mark.timeout(60)]

DOCKERS = [
    *("+chown", "+dac_override", "+fowner", "+fsetid", "+kill", "+setgid", "+setuid", "+setpcap"),
    *("+net_bind_service", "+net_raw", "+sys_chroot", "+mknod", "+audit_write", "+setfcap"),
]
BEGIN = (
    "from pathlib import Path; from compare.learn import lesson; "
    "from compare.classroom import rights; rights.OURS = (); lesson.LESSONS = Path({!r}); "
    "from compare.__main__ import main; main()"
)
REPORTS = """
import os, resource, sys
found = [f"user {{os.getuid()}}", f"groups {{os.getgroups()}}"]
for path in {paths!r}:
    try:
        open(path).read(1)
        found.append(f"reads {{path}}")
    except OSError as error:
        found.append(f"no {{os.path.basename(path)}}")
try:
    open({out!r} + "/more", "w")
    found.append("writes")
except OSError:
    found.append("writes not")
open_ = [each for each in os.listdir("/proc/self/fd") if int(each) > 2]
found.append(f"open {{len(open_) - 1}}")
found.append(f"secrets {{sorted(each for each in os.environ if 'TOKEN' in each)}}")
found.append(f"processes {{sum(each.isdigit() for each in os.listdir('/proc'))}}")
with open("/proc/self/oom_score_adj") as file:
    found.append("memory " + file.read().strip())
with open("/proc/self/status") as file:
    found += [line.strip() for line in file if line.startswith("NoNewPrivs")]
sys.exit("; ".join(found))
"""


def asked(course: Path, submission: Path, *options: str) -> str:
    words = ["class", "grade", str(submission), "--course", str(course), "--student", "ana"]
    result = CliRunner().invoke(main, [*words, *options])
    assert result.exit_code == 2, result.output
    return " ".join(result.stderr.split())


@as_root
def test_program_is_another_users_who_reads_and_writes_nothing_of_ours(
    grade: Grade, course: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "t")
    paths = [str(course / "secret"), str(out / "gradescope"), str(course / "autograder.zip")]
    graded = grade(REPORTS.format(paths=paths, out=str(out)), "--as", "nobody")
    said = next(each["reason"] for each in graded.kept["marks"])
    assert "user 65534; groups []" in said
    assert "no secret; no gradescope; no autograder.zip; writes not; open 0; secrets []" in said
    assert "memory 500; NoNewPrivs:\t1" in said
    if watched.apart():
        assert "processes 2" in said or "processes 3" in said
        assert graded.kept["isolation"] == "as nobody, with processes and a network of its own"


@as_root
def test_where_processes_of_its_own_are_not_permitted_it_is_graded_all_the_same(
    grade: Grade, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "APART", ("false",))
    watched.apart.cache_clear()
    try:
        graded = grade(RIGHT, "--as", "nobody")
    finally:
        watched.apart.cache_clear()
    assert graded.points == (4, 4)
    assert graded.kept["isolation"] == "as nobody"


@as_root
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_who_forks_for_ever_is_ended_without_processes_of_its_own_too(
    grade: Grade, course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "APART", ("false",))
    monkeypatch.setattr(users, "PROCESSES", 300)
    path = course / "course.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("check_max_s = 120", "check_max_s = 4"), encoding="utf-8")
    watched.apart.cache_clear()
    try:
        for leave in ("", "os.setsid(); os.environ.clear()"):
            code = (
                f"import os\nwhile True:\n  try:\n    if os.fork() == 0: {leave or 'pass'}\n"
                "  except OSError: pass\n"
            )
            assert grade(code, "--as", "nobody").points == (0, 4)
    finally:
        watched.apart.cache_clear()


@as_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="util-linux has it")
def test_root_of_a_container_grades_as_another_user_too(
    tmp_path: Path, course: Path, out: Path
) -> None:
    """With what Docker leaves to it, which is not to look into the processes of others."""
    path = hand_in(tmp_path / "handed", RIGHT)
    words = ["class", "grade", str(path), "--course", str(course), "--student", "ana"]
    words += ["--submitted", "2026-05-01T00:00+00:00", "--as", "nobody"]
    rights = ["setpriv", "--bounding-set", f"-all,{','.join(DOCKERS)}", "--inh-caps", "-all"]
    begin = BEGIN.format(str(tmp_path / "lessons"))
    done = subprocess.run(
        [*rights, sys.executable, "-c", begin, *words, "--json", str(out / "json")],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kept = json.loads((out / "json").read_text(encoding="utf-8"))
    assert (kept["points"], kept["isolation"]) == (4, "as nobody")


def test_another_user_is_refused_where_one_may_not_become_it(
    course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    path = hand_in(tmp_path / "handed", RIGHT)
    watched.apart.cache_clear()  # what it found as somebody else
    request.addfinalizer(watched.apart.cache_clear)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    said = asked(course, path, "--as", "nobody")
    assert "only root may run what is another user's, nobody's: use sudo" in said
    assert "there is no user 'nobody_there' here: useradd -r nobody_there" in asked(
        course, path, "--as", "nobody_there"
    )
    assert "root may do everything: name a user without rights" in asked(
        course, path, "--as", "root"
    )


@as_root
def test_user_who_could_read_the_secret_is_refused(reachable: Path, tmp_path: Path) -> None:
    course = write_course(reachable / "course")
    (course / "secret").chmod(0o644)
    said = asked(course, hand_in(tmp_path / "handed", RIGHT), "--as", "nobody")
    assert f"nobody can read {course / 'secret'}: chmod 600" in said


@as_root
def test_user_who_could_write_the_results_is_refused(
    reachable: Path, course: Path, tmp_path: Path
) -> None:
    place = reachable / "open"
    place.mkdir()
    place.chmod(0o777)
    path = hand_in(tmp_path / "handed", RIGHT)
    said = asked(course, path, "--as", "nobody", "--gradescope", str(place / "results.json"))
    assert f"nobody can write to {place}: chmod go-w {place}" in said


@as_root
def test_python_that_the_user_may_not_run_is_told_of(course: Path, tmp_path: Path) -> None:
    mine = tmp_path / "python"
    shutil.copy("/bin/true", mine)
    mine.chmod(0o700)
    path = course / "course.toml"
    path.write_text(f"python = '{mine}'\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    said = asked(course, hand_in(tmp_path / "handed", RIGHT), "--as", "nobody")
    assert f"nobody may not run {mine}: say python = '/usr/bin/python3' in course.toml" in said


TERMINAL = """
import sys
try:
    open("/dev/tty").close()
except OSError:
    sys.exit("no terminal")
sys.exit("a terminal")
"""


def test_program_has_no_terminal_of_who_grades(tmp_path: Path, course: Path, out: Path) -> None:
    """Begun in one, as from a shell."""
    path = hand_in(tmp_path / "handed", TERMINAL)
    code = BEGIN.format(str(tmp_path / "lessons"))
    words = ["class", "grade", str(path), "--course", str(course), "--student", "ana"]
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", code, *words, "--json", str(out / "json")])
    said = b""
    with contextlib.suppress(OSError), os.fdopen(terminal, "rb", buffering=0) as file:
        while piece := file.read(4096):
            said += piece
    os.waitpid(child, 0)
    kept = json.loads((out / "json").read_text(encoding="utf-8"))
    assert "no terminal" in kept["marks"][0]["reason"], said.decode()


@as_root
def test_place_that_the_user_cannot_enter_is_told_of(
    course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "private"
    place.mkdir(mode=0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    said = asked(course, hand_in(tmp_path / "handed", RIGHT), "--as", "nobody")
    assert f"nobody cannot enter {place}: set TMPDIR=/tmp" in said


def test_python_is_not_that_of_our_environment() -> None:
    words = grading.python_for(None, None)
    assert words[1:] == ["-E", "-s"]
    assert not words[0].startswith(os.environ.get("VIRTUAL_ENV", "/nowhere"))


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _is_theirs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[-4].endswith(b"echo.py")
    except (OSError, IndexError):
        return False


@pytest.mark.parametrize("another", [True, False], ids=["another", "same"])
def test_grader_that_is_killed_leaves_nobody_behind(
    another: bool,
    tmp_path: Path,
    course: Path,
    offspring: Callable[[int], set[int]],
    wait_until: Callable[[Callable[[], object], str], None],
) -> None:
    if another and not ROOT:
        pytest.skip("only root may become another user")
    user = ["--as", "nobody"] if another else []
    code = "import os, time\nif os.fork() == 0: os.setsid()\ntime.sleep(300)\n"
    path = hand_in(tmp_path / "handed", code)
    begin = BEGIN.format(str(tmp_path / "lessons"))
    words = ["class", "grade", str(path), "--course", str(course), "--student", "ana", *user]
    with subprocess.Popen(
        [sys.executable, "-c", begin, *words], stdout=subprocess.DEVNULL
    ) as process:
        # The worker (with who began it), the program and its child, and who sees to their ends.
        wait_until(lambda: sum(map(_is_theirs, offspring(process.pid))) == 2, "the program to run")
        there = offspring(process.pid)
        process.kill()
        process.wait(30)
    wait_until(lambda: not any(map(_lives, there)), "all to be gone")
