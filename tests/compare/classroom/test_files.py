"""Files of a grading: whose they are, who may read them, and what is left where one cannot be."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

import pytest
from class_lessons import DUE, RIGHT, hand_in
from click.testing import CliRunner

from compare.__main__ import main
from compare.classroom import bundle, files, owner
from compare.classroom.laid_out import lay_out

from .conftest import Grade

pytestmark = [pytest.mark.usefixtures("nothing_left"), pytest.mark.timeout(60)]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root writes what is another's")


def test_file_has_the_mode_that_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        files.put(tmp_path / "x.json", b"{}")
    finally:
        os.umask(before)
    assert (tmp_path / "x.json").stat().st_mode & 0o777 == 0o640


@pytest.mark.slow
@as_root
def test_what_root_writes_under_sudo_is_the_callers(
    grade: Grade, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_UID", "1234")
    monkeypatch.setenv("SUDO_GID", "1235")
    grade(RIGHT, "--as", "nobody")
    lay_out(tmp_path / "new", [1], DUE)
    made = [out / "json", out / "junit", out / "gradescope", *(tmp_path / "new").rglob("*")]
    assert {(each.stat().st_uid, each.stat().st_gid) for each in made} == {(1234, 1235)}
    assert (out / "json").stat().st_mode & 0o777 == 0o600  # the other user is not to read it


@as_root
def test_what_root_writes_without_sudo_is_that_of_who_has_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUDO_UID", raising=False)
    os.chown(tmp_path, 1234, 1235)
    files.put(tmp_path / "x.json", b"{}")
    found = (tmp_path / "x.json").stat()
    assert (found.st_uid, found.st_gid) == (1234, 1235)


@pytest.mark.slow
def test_disk_that_is_full_is_told_of_by_another_status_and_leaves_nothing_half(
    course: Path, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first check on."""
    gave = owner.give

    def full(file: int | Path, folder: Path) -> None:
        if (out / "x.json").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        gave(file, folder)

    monkeypatch.setattr(owner, "give", full)
    path = hand_in(tmp_path / "handed", RIGHT)
    words = ["class", "grade", str(path), "--course", str(course), "--student", "ana"]
    words += ["--submitted", "2026-05-01T00:00+00:00", "--json", str(out / "x.json")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 4, result.output
    assert "cannot write" in result.stderr
    assert "No space left on device" in result.stderr
    assert [each.name for each in out.iterdir()] == ["x.json"]


def test_disk_that_is_full_from_the_beginning_on_is_no_mistake_in_the_options(
    course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int | Path, folder: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(owner, "give", full)
    words = ["class", "grade", str(tmp_path), "--course", str(course), "--student", "ana"]
    result = CliRunner().invoke(main, [*words, "--json", str(tmp_path / "x.json")])
    assert result.exit_code == 4
    assert result.stderr == f"cannot write {tmp_path}/x.json: No space left on device\n"


@pytest.mark.parametrize("there", [True, False])
def test_course_that_cannot_be_written_as_a_whole_leaves_nothing(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object) -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    folder = tmp_path / "net"
    if there:
        folder.mkdir()
    monkeypatch.setattr(bundle, "pack", full)
    result = CliRunner().invoke(main, ["class", "new", str(folder)])
    assert result.exit_code == 2
    assert "No space left on device" in result.stderr
    assert folder.exists() is there
    assert not there or not list(folder.iterdir())


@pytest.mark.slow
def test_course_json_of_another_student_is_told_of(grade: Grade, tmp_path: Path) -> None:
    path = hand_in(tmp_path / "handed", RIGHT)
    (path / "course.json").write_text('{"language": "python", "student": "bea"}', "utf-8")
    graded = grade(path)
    graded.all_say("course.json is of bea, and this is graded as ana's")
    (path / "course.json").write_text('{"language": "python", "student": " ana"}', "utf-8")
    assert "course.json" not in grade(path).result.stdout


def test_two_outputs_are_two_files(course: Path, tmp_path: Path) -> None:
    words = ["class", "grade", str(tmp_path), "--course", str(course), "--student", "ana"]
    with contextlib.chdir(tmp_path):
        result = CliRunner().invoke(main, [*words, "--json", "x", "--junit", "./x"])
    assert result.exit_code == 2
    assert "two outputs are to go to x" in result.stderr
    assert not (tmp_path / "x").exists()
