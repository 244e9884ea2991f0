"""What a teacher begins with: a folder with course.toml, a secret, a workflow and a bundle."""

from __future__ import annotations

import datetime
import json
import os
import shutil
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from compare.classroom import bundle, owner
from compare.classroom.course import FILE, SECRET, CourseError, lesson_of
from compare.classroom.seeds import new_secret
from compare.learn.lesson import Lesson

WORKFLOW = ".github/workflows/grade.yml"
WEEK = datetime.timedelta(days=7)


def lay_out(folder: Path, numbers: Sequence[int], due: datetime.datetime) -> list[Path]:
    """Make a course in a folder that is empty or not there; each lesson is due a week later.

    Raises CourseError.
    """
    chosen = [lesson_of(number) for number in numbers]
    was_there = folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise CourseError(f"{folder} is not empty; name a folder that is not there yet")
    except OSError as error:
        raise CourseError(f"cannot write to {folder}: {error.strerror}") from None
    try:
        owner.give(folder, folder.absolute().parent)
        _put(folder / FILE, course_text(folder.resolve().name, chosen, due), 0o600)
        _put(folder / SECRET, f"{new_secret()}\n", 0o600)
        _put(folder / ".gitignore", f"{SECRET}\n{bundle.ZIPS}\n")
        for place in ((folder / WORKFLOW).parents[1], (folder / WORKFLOW).parent):
            place.mkdir()
            owner.give(place, folder)
        _put(folder / WORKFLOW, workflow_text())
        made = bundle.pack(folder)
    except OSError as error:
        for each in folder.iterdir():  # a half is not begun with
            shutil.rmtree(each) if each.is_dir() else each.unlink()
        if not was_there:
            folder.rmdir()
        raise CourseError(f"cannot write to {folder}: {error.strerror}") from None
    return [folder / FILE, folder / SECRET, made, folder / WORKFLOW]


def _put(path: Path, text: str, mode: int = 0o644) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        owner.give(descriptor, path.absolute().parent)
        file.write(text)


def template(name: str) -> str:
    return resources.files("compare.classroom").joinpath("templates", name).read_text("utf-8")


def workflow_text() -> str:
    return template("grade.yml").replace("@VERSION@", bundle.VERSION)


def course_text(name: str, chosen: Sequence[Lesson], due: datetime.datetime) -> str:
    """course.toml, with a point for each check, so that what is to be changed is seen."""
    head = template("course.toml").replace("@NAME@", json.dumps(name, ensure_ascii=False))
    lots = [_of_lesson(each, due + number * WEEK) for number, each in enumerate(chosen)]
    return "\n".join([head, *lots])


def _of_lesson(lesson: Lesson, due: datetime.datetime) -> str:
    names = {
        f"{part.file} {check}": None
        for part in lesson.words.part
        for step in part.step
        for check in step.checks
    }
    rows = [
        "[[lesson]]",
        f"number = {lesson.number}  # {lesson.words.title}",
        f"due = {due.isoformat(timespec='seconds')}",
        "hidden = []",
        "[lesson.points]",
        *(f'"{name}" = 1' for name in names),
    ]
    return "\n".join(rows) + "\n"
