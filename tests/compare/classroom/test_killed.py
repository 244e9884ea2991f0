"""A grading that is ended, in whatever way: nobody lives on, and nothing is left on disk."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from class_lessons import RIGHT, hand_in

from compare.classroom import locks, private
from compare.classroom.locks import held

ROOT = os.geteuid() == 0
pytestmark = [pytest.mark.timeout(120)]
BEGIN = (
    "from pathlib import Path; from compare.learn import lesson; "
    "from compare.classroom import locks, rights, watched; rights.OURS = (); "
    "locks.PLACE = {place!r}; watched.APART = {apart!r}; "
    "lesson.LESSONS = Path({lessons!r}); from compare.__main__ import main; main()"
)
LINGERS = """
import os, sys
for place in ("/tmp", "/var/tmp", "/dev/shm"):
    open(place + "/{name}", "w").close()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        words = [sys.executable, "-c", "import time; time.sleep(300)", "{name}"]
        os.execve(sys.executable, words, {{}})
    os._exit(0)
__import__("time").sleep(300)
"""
UNAPART, APART = ("false",), ("unshare", "--pid", "--mount-proc", "--fork", "--kill-child")
ENDS = {
    "int": [signal.SIGINT],
    "twice": [signal.SIGINT, signal.SIGINT],
    "term": [signal.SIGTERM],
    "hup": [signal.SIGHUP],
    "quit": [signal.SIGQUIT],
    "kill": [signal.SIGKILL],
}


def those_of(name: str) -> list[int]:
    found = []
    for each in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if name.encode() in Path(f"/proc/{each}/cmdline").read_bytes():
                found.append(int(each))
    return found


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not ROOT, reason="only root may become another user")
@pytest.mark.parametrize("apart", [UNAPART, APART], ids=["not-apart", "apart"])
@pytest.mark.parametrize("signals", ENDS.values(), ids=list(ENDS))
def test_whatever_ends_it_nobody_lives_on_and_nothing_is_left(
    signals: list[signal.Signals],
    apart: tuple[str, ...],
    tmp_path: Path,
    course: Path,
    out: Path,
    reachable: Path,
    monkeypatch: pytest.MonkeyPatch,
    offspring: Callable[[int], set[int]],
    wait_until: Callable[[Callable[[], object], str], None],
) -> None:
    name = f"lingers-{os.getpid()}-{'-'.join(map(str, map(int, signals)))}-{len(apart)}"
    path = hand_in(tmp_path / "handed", LINGERS.format(name=name))
    lessons = str(tmp_path / "lessons")
    begin = BEGIN.format(place=str(tmp_path), apart=apart, lessons=lessons)
    words = ["class", "grade", str(path), "--course", str(course), "--student", "ana"]
    words += ["--as", "nobody", "--json", str(out / "json")]
    with subprocess.Popen(
        [sys.executable, "-c", begin, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"TMPDIR": str(reachable)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    ) as process:
        wait_until(lambda: len(those_of(f"\0{name}\0")) == 1, "the program to linger")
        there = offspring(process.pid)
        for each in signals:
            os.killpg(process.pid, each)
        process.communicate(timeout=60)
    wait_until(lambda: not those_of(f"\0{name}\0"), "it to be gone")
    wait_until(lambda: not any(map(lives, there)), "all of ours to be gone")
    wait_until(
        lambda: not any(os.path.lexists(f"{each}/{name}") for each in private.ALL_WRITE),
        "its files to be gone",
    )
    left = list(reachable.iterdir())
    if signals == [signal.SIGKILL]:
        assert len(left) == 1
        os.utime(left[0], (0, 0))
        monkeypatch.setattr(tempfile, "tempdir", str(reachable))
        private.remove_dead()  # as a later grading does
        assert not list(reachable.iterdir())
        return
    assert not left
    assert process.returncode == 130
    kept = json.loads((out / "json").read_text(encoding="utf-8"))
    assert (kept["finished"], kept["said"]) == (False, "the grading was interrupted")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_folder_of_a_grading_that_lives_is_left(place: Path) -> None:
    with private.workshop() as inner:
        (inner / "theirs").touch()
        os.utime(inner.parent, (0, 0))
        private.remove_dead()
        assert (inner / "theirs").exists()
        dead = place / f"{private.PREFIX}dead"
        shutil.copytree(inner.parent, dead)
        os.utime(dead)
        private.remove_dead()
        assert dead.exists()  # it may not be locked yet
        os.utime(dead, (0, 0))
        private.remove_dead()
        assert not dead.exists()
    assert not list(place.glob(f"{private.PREFIX}*"))


def test_link_that_is_called_like_such_a_folder_is_left_with_what_it_leads_to(place: Path) -> None:
    (place / "kept").mkdir()
    (place / "kept" / "file").touch()
    link = place / f"{private.PREFIX}link"
    link.symlink_to("kept")
    os.utime(link, (0, 0), follow_symlinks=False)
    private.remove_dead()
    assert (place / "kept" / "file").exists()


def test_lock_is_waited_for_and_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "PLACE", str(tmp_path))
    told: list[str] = []
    with held("a", lambda: told.append("a")), held("b", lambda: told.append("b")):
        path = tmp_path / "compare-class-a.lock"
        with path.open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert not told
    other = os.open(path, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)

    def waits() -> None:
        told.append("a")
        os.close(other)

    with held("a", waits):
        assert told == ["a"]


def test_lock_that_somebody_else_has_put_there_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "PLACE", str(tmp_path))
    (tmp_path / "target").write_text("kept", encoding="utf-8")
    (tmp_path / "compare-class-a.lock").symlink_to("target")
    with held("a", lambda: None):
        pass
    assert not (tmp_path / "compare-class-a.lock").is_symlink()
    assert (tmp_path / "target").read_text(encoding="utf-8") == "kept"


@pytest.mark.slow
@pytest.mark.skipif(not ROOT, reason="only root may become another user")
def test_gradings_of_one_user_take_turns(
    tmp_path: Path, course: Path, out: Path, wait_until: Callable[[Callable[[], object], str], None]
) -> None:
    path = hand_in(tmp_path / "handed", RIGHT)
    begin = BEGIN.format(place=str(tmp_path), apart=APART, lessons=str(tmp_path / "lessons"))
    words = ["class", "grade", str(path), "--course", str(course), "--student", "ana"]
    words += ["--as", "nobody", "--json", str(out / "json"), "--submitted", "2026-05-01T00:00Z"]
    held_ = os.open(tmp_path / "compare-class-user-65534.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(held_, fcntl.LOCK_EX)
    with subprocess.Popen(
        [sys.executable, "-c", begin, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said = "another grading runs programs as nobody: this one waits for its end\n"
        assert process.stderr.readline() == said
        os.close(held_)
        assert "4 of 4 points" in process.communicate(timeout=60)[0]
