"""What was handed in: found by its name, and copied to where another user may run it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

import msgspec

from compare.check.student import LONGEST, known_as
from compare.host.user import User
from compare.learn.lesson import SUFFIX, Lesson, Part, Tongue
from compare.models.unreadable import UNREADABLE

MOST_FILES, MOST_BYTES = 1000, 20 * 1024 * 1024
LARGEST_STATE = 1024 * 1024
PACKED = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
DEPTH = 2  # folders that may be around those of the lessons, as in what GitHub packs


class MissingError(Exception):
    """It cannot be judged, and why; that costs the points, and not the grading."""


class Found(NamedTuple):
    """The learner's file, and the language it is in. note: why it is that of several, in a line."""

    path: Path
    tongue: Tongue
    note: str = ""


class _State(msgspec.Struct):
    """Of the course.json in a learner's folder."""

    language: str = ""
    student: str | None = None


def find(submission: Path, lesson: Lesson, part: Part, *, alone: bool) -> Found:
    """The file of a lesson's program. alone: no other lesson is graded, so it may lie on top.

    Links are not followed: they might lead to what is none of the student's. Raises MissingError.
    """
    names = {f"{part.file}{suffix}": tongue for tongue, suffix in SUFFIX.items()}
    wanted = f"{lesson.name}/{' or '.join(names)}"
    if submission.is_file():
        for tongue, suffix in SUFFIX.items():
            if submission.suffix == suffix:
                return Found(submission, tongue)
        known = ", ".join(SUFFIX.values())
        raise MissingError(f"{submission.name} ends with none of {known}")
    places = _folders(submission, lesson.name)
    there: list[Found] = []
    hindered = [f"{_short(each, submission)} {why}" for each in places if (why := _hindrance(each))]
    places = [each for each in places if not _odd(each)]
    for folder in [*places, *([submission] if alone else [])]:
        paths = {folder / name: tongue for name, tongue in names.items()}
        found = [Found(path, tongue) for path, tongue in paths.items() if _plain(path)]
        there += _meant(found, folder, submission) if len(found) > 1 else found
        hindered += [f"{_short(each, submission)} {why}" for each in paths if (why := _odd(each))]
    if len(there) > 1:
        files = " and ".join(_short(each.path, submission) for each in there[:3])
        raise MissingError(f"{files} are there: only one can be meant, leave the other out")
    if there:
        return there[0]
    missing = f"not handed in: there is no {wanted}{_elsewhere(submission, lesson.name)}"
    raise MissingError("; ".join(hindered[:3]) or missing)


def _meant(found: list[Found], folder: Path, submission: Path) -> list[Found]:
    """Of programs in several languages: what is not empty, and of the language of course.json."""
    full = [each for each in found if each.path.stat().st_size] or found
    language = _state(folder.parent).language
    chosen = [each for each in full if each.tongue == language] or full
    if len(chosen) > 1:
        return chosen
    others = " and ".join(_short(e.path, submission) for e in found if e not in chosen)
    why = f"course.json says {language}" if len(full) > 1 else "the other is empty"
    note = f"{_short(chosen[0].path, submission)} is graded, and not {others}: {why}"
    return [chosen[0]._replace(note=note)]


def _elsewhere(submission: Path, name: str) -> str:
    """Where it may be instead, in words; we do not look into what is packed."""
    level = [submission]
    for _ in range(2 * DEPTH):
        inside = [each for one in level for each in _inside(one)][:MOST_FILES]
        if packed := next((each for each in inside if each.suffix in PACKED), None):
            return f"; {_short(packed, submission)} is packed: unpack it first"
        level = [each for each in inside if _folder(each)]
        if deep := next((each for each in level if each.name == name), None):
            return f"; {_short(deep, submission)} lies deeper than is looked"
    return ""


def _short(path: Path, submission: Path) -> str:
    return str(path.relative_to(submission)) if path != submission else path.name


def _folders(top: Path, name: str) -> list[Path]:
    """Of that name, links to some among them."""
    found, level = [], [top]
    for _ in range(DEPTH + 1):
        found += [each / name for each in level if _folder(each / name) or _odd(each / name)]
        level = [each for one in level for each in _inside(one) if _folder(each)][:MOST_FILES]
    return found


def _odd(path: Path) -> str:
    """Why what is there is not taken; empty where there is none, or it is a file or a folder."""
    try:
        mode = path.lstat().st_mode
    except PermissionError:
        return "cannot be read: Permission denied"
    except OSError:
        return ""
    if stat.S_ISLNK(mode):
        return "is a link, which is not followed: hand in what it leads to"
    return "" if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "is no plain file"


def _hindrance(folder: Path) -> str:
    """Why nothing is found in a folder."""
    if why := _odd(folder):
        return why
    try:
        next(folder.iterdir(), None)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return ""


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _plain(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _state(folder: Path) -> _State:
    try:
        content = _read(folder / "course.json", LARGEST_STATE)
        return msgspec.json.decode(content, type=_State)
    except (OSError, *UNREADABLE, MissingError):
        return _State()


def others_named(submission: Path, student: str) -> list[str]:
    """Whose else it is by the course.json that is in it."""
    level, found = [submission] if _folder(submission) else [], []
    for _ in range(DEPTH + 1):
        found += [name for each in level if (name := _state(each).student)]
        level = [each for one in level for each in _inside(one) if _folder(each)][:MOST_FILES]
    names = dict.fromkeys(map(known_as, found))
    return [each[:LONGEST] for each in names if each != known_as(student)]


def copy(found: Found, place: Path, user: User | None, *, beside: bool) -> Path:
    """Where it lies then; beside: with the plain files beside it. Raises MissingError."""
    files, taken = [found.path], 0
    if beside:
        files += [each for each in sorted(found.path.parent.iterdir()) if each != found.path]
    for each in [each for each in files if _plain(each)][:MOST_FILES]:
        try:
            content = _read(each, MOST_BYTES - taken)
        except OSError as error:
            raise MissingError(f"cannot read {each.name}: {error.strerror}") from None
        taken += len(content)
        (place / each.name).write_bytes(content)
    if user:
        for path in (place, *place.iterdir()):
            os.chown(path, user.uid, user.gid)
    return place / found.path.name


def _read(path: Path, most: int) -> bytes:
    """A plain file that is no link; what is longer is no program."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise MissingError(f"{path.name} is no plain file")
        content = file.read(most + 1)
    if len(content) > most:
        raise MissingError(f"there are more than {MOST_BYTES // 1024 // 1024} MiB beside it")
    return content
