"""Programs that are not handed in to serve: none of them has a point, none ends the grading.

What is written so that it needs nothing but the rights that its user has. With --as that user is
another one, where we are root; test_isolation.py has what that is for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from class_lessons import RIGHT, hand_in, write_course

from compare.classroom import watched

from .conftest import Grade, Graded

AS = [(), *([("--as", "nobody")] if os.geteuid() == 0 else [])]
EACH_USER = pytest.mark.parametrize(  # where there is another one, the same takes its time
    "options",
    [
        pytest.param(each, id="".join(each) or "same", marks=[pytest.mark.slow] * (each != AS[-1]))
        for each in AS
    ],
)
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("nothing_left"), pytest.mark.timeout(120)]

# All know where the results are to be; most look for a way to them that is open.
WRITES_RESULTS = """
import json, os, pathlib, threading, time
target = pathlib.Path({out!r})
one = {{"name": "1 echo life/0", "score": 9, "max_score": 9}}
full = json.dumps({{"score": 100, "tests": [one]}})
def write():
    while True:
        for name in ("gradescope", "json", "junit"):
            try:
                (target / name).write_text(full)
            except OSError:
                pass
        time.sleep(0.001)
threading.Thread(target=write, daemon=True).start()
time.sleep(60)
"""
MOVES_RESULTS = """
import os, shutil, sys
for name in ("gradescope", "json", "junit"):
    path = os.path.join({out!r}, name)
    try:
        os.unlink(path)
        os.mkdir(path)
        open(path + "/full", "w").write("9 of 9")
    except OSError:
        pass
sys.exit(3)
"""
LATER = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.environ.clear()
        os.execve(sys.executable, [sys.executable, "-c", '''
import time
while True:
    for name in ("gradescope", "json"):
        try:
            open({out!r} + "/" + name, "w").write("full")
        except OSError:
            pass
    time.sleep(0.01)
'''], {{}})
    os._exit(0)
sys.exit(1)
"""
PRINTS = """
import os, sys
line = '{"finding": {"id": "life/0", "kind": "MUST", "state": "passed", "took_s": 0.1}}'
for _ in range(100):
    print(line, flush=True)
    print(line, file=sys.stderr, flush=True)
print("4 of 4 points", flush=True)
sys.exit(0)
"""
INTO_PIPES = """
import glob, os
line = b'{"finding":{"id":"life/0","kind":"MUST","state":"passed","took_s":0.1}}\\n'
pid = os.getppid()
while pid > 1:
    for path in glob.glob(f"/proc/{pid}/fd/*"):
        try:
            if os.readlink(path).startswith("pipe:"):
                os.write(os.open(path, os.O_WRONLY | os.O_NONBLOCK), line * 10)
        except OSError:
            pass
    try:
        pid = int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
    except OSError:
        break
"""
KILLS_PARENT = """
import os, signal
os.killpg(os.getpgid(os.getppid()), signal.SIGKILL)
"""
STOPS_PARENT = """
import os, signal, time
os.kill(os.getppid(), signal.SIGSTOP)
time.sleep(60)
"""
STOPS_ALL = """
import os, signal, time
for name in os.listdir("/proc"):
    if name.isdigit() and int(name) != os.getpid():
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                if b"class" in file.read():
                    os.kill(int(name), signal.SIGSTOP)
        except OSError:
            pass
time.sleep(60)
"""
FORKS = """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
"""
LEAVES = """
import os
while True:
    try:
        if os.fork() == 0:
            os.setsid()
            os.environ.clear()
    except OSError:
        pass
"""
TALKS = """
import sys
while True:
    sys.stdout.write("x" * 65536)
    sys.stderr.write("x" * 65536)
"""
FILLS = """
with open("full", "wb") as file:
    while True:
        file.write(bytes(1 << 20))
"""
SHADOWS = "raise SystemExit('shadowed')\n"


def none_earned(graded: Graded) -> None:
    assert graded.points == (0, 4)
    assert graded.kept["finished"]
    assert graded.result.exit_code == 1


@pytest.fixture
def quick(course: Path) -> None:
    """Two seconds for each check."""
    path = course / "course.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("check_max_s = 120", "check_max_s = 4"), encoding="utf-8")


@EACH_USER
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "code", [WRITES_RESULTS, MOVES_RESULTS, LATER], ids=["writes", "moves", "later"]
)
def test_results_are_what_the_grader_says(
    code: str, options: tuple[str, ...], grade: Grade, out: Path
) -> None:
    none_earned(grade(code.format(out=str(out)), *options))
    before = (out / "gradescope").read_bytes()
    time.sleep(0.3)  # in which one that lived on would have written
    assert (out / "gradescope").read_bytes() == before


@EACH_USER
def test_results_that_a_program_prints_are_not_taken(
    options: tuple[str, ...], grade: Grade
) -> None:
    none_earned(grade(PRINTS, *options))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another user")
def test_another_user_writes_into_no_pipe_of_ours(grade: Grade) -> None:
    none_earned(grade(INTO_PIPES, "--as", "nobody"))


@EACH_USER
def test_program_cannot_send_the_checks_to_somebody_else(
    options: tuple[str, ...], grade: Grade, serve: Callable[..., Any]
) -> None:
    """To a server that is right, and none of its own."""
    other = serve("aionet", "serve", "echo", "--listen", "tcp://127.0.0.1:0")
    code = f"print('READY tcp://127.0.0.1:{other.port}', flush=True)\nimport time; time.sleep(60)"
    graded = grade(code, *options)
    none_earned(graded)
    graded.all_say(f"it said READY at 127.0.0.1:{other.port}, and was told to listen at")


@EACH_USER
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("code", [KILLS_PARENT, STOPS_PARENT], ids=["kills", "stops"])
def test_program_that_ends_what_started_it_has_no_point(
    code: str, options: tuple[str, ...], grade: Grade
) -> None:
    none_earned(grade(code, *options))


@EACH_USER
@pytest.mark.usefixtures("quick")
def test_program_finds_nobody_who_grades(options: tuple[str, ...], grade: Grade) -> None:
    """Whom it could stop, where it has our rights."""
    if not options and not watched.apart():
        pytest.skip("processes of one's own are not permitted here")
    none_earned(grade(STOPS_ALL, *options))


@EACH_USER
def test_program_that_serves_and_kills_has_what_it_earned_before(
    options: tuple[str, ...], grade: Grade
) -> None:
    """In the last check, which alone then has no point, or where it may not, goes well."""
    code = RIGHT.replace(
        "except OSError:\n            pass", f"except OSError:\n            {KILL}"
    )
    graded = grade(code, *options)
    assert graded.points == ((4, 4) if options or watched.apart() else (3, 4))


KILL = "import os; os.killpg(os.getpgid(os.getppid()), 9) if os.getppid() > 1 else None"


@pytest.mark.skipif(os.geteuid() != 0, reason="only another user's processes can be counted")
@pytest.mark.slow
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("code", [FORKS, LEAVES], ids=["forks", "leaves"])
def test_program_that_forks_for_ever_is_ended_with_all_of_it(code: str, grade: Grade) -> None:
    none_earned(grade(code, "--as", "nobody"))


@EACH_USER
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("code", [TALKS, FILLS], ids=["talks", "fills"])
def test_program_that_never_ends_has_no_point(
    code: str, options: tuple[str, ...], grade: Grade
) -> None:
    if code == FILLS and not options:
        pytest.skip("what one's own user writes is not bound")
    none_earned(grade(code, *options))


@EACH_USER
def test_modules_beside_a_program_are_its_own_only(
    options: tuple[str, ...], grade: Grade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the grader stands in the folder that was handed in."""
    path = hand_in(tmp_path / "handed", RIGHT)
    for name in ("msgspec", "compare", "json", "sitecustomize"):
        hand_in(path, SHADOWS, f"{name}.py")
    monkeypatch.chdir(path)
    assert grade(path, *options).points == (4, 4)


@EACH_USER
@pytest.mark.parametrize("kind", ["file", "folder", "pipe", "device"])
def test_what_is_no_plain_file_is_not_followed(
    kind: str, options: tuple[str, ...], grade: Grade, tmp_path: Path, course: Path
) -> None:
    place = tmp_path / "handed" / "01-an-echo"
    place.parent.mkdir()
    if kind == "folder":
        hand_in(tmp_path / "elsewhere", RIGHT)
        place.symlink_to(tmp_path / "elsewhere" / "01-an-echo")
    else:
        place.mkdir()
        path = place / "echo.py"
        if kind == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to(course / "secret" if kind == "file" else "/dev/zero")
    graded = grade(place.parent, *options)
    none_earned(graded)
    what = "is no plain file" if kind == "pipe" else "is a link, which is not followed"
    graded.all_say(what)
    assert (course / "secret").read_text(encoding="utf-8").strip() not in graded.result.stdout


def test_what_is_too_large_is_not_taken(grade: Grade, tmp_path: Path) -> None:
    path = hand_in(tmp_path / "handed", RIGHT)
    with (path / "01-an-echo" / "more").open("wb") as file:
        file.truncate(1 << 30)
    graded = grade(path)
    none_earned(graded)
    graded.all_say("there are more than 20 MiB")


@EACH_USER
@pytest.mark.usefixtures("quick")
def test_compiler_that_never_ends_is_ended(
    options: tuple[str, ...], grade: Grade, tmp_path: Path
) -> None:
    graded = grade(hand_in(tmp_path / "c", '#include "/dev/zero"', "01-an-echo/echo.c"), *options)
    assert graded.points == (0, 4)


@EACH_USER
def test_compiler_reads_no_secret(
    options: tuple[str, ...], grade: Grade, tmp_path: Path, course: Path
) -> None:
    if not options:
        pytest.skip("who grades may read it")
    code = f'#include "{course / "secret"}"\nint main(void) {{ return 0; }}'
    graded = grade(hand_in(tmp_path / "c", code, "01-an-echo/echo.c"), *options)
    assert graded.points == (0, 4)
    # It may not, or in a /tmp of its own there is none.
    graded.all_say("No such file" if watched.apart() else "ermission denied")
    assert (course / "secret").read_text(encoding="utf-8").strip() not in graded.result.stdout


def test_another_course_is_none_of_it(tmp_path: Path, grade: Grade) -> None:
    """A course.toml that is handed in gives no points."""
    path = hand_in(tmp_path / "handed", RIGHT.replace("recv(65536)", "recv(1)[:0]"))
    write_course(path / "course")
    assert grade(path).points[0] < 4
