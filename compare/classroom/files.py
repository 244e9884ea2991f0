"""The files that programs read of a grading: at once or not at all, and anew after each check."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import msgspec

from compare.check.catalogue import CHECKS
from compare.classroom import owner
from compare.classroom.course import Visibility
from compare.classroom.marks import Mark, Marks
from compare.report.checks import clean

FORMAT = "compare-class/1"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
LONGEST = 4000  # characters of what is said of one check


class About(msgspec.Struct, frozen=True, kw_only=True):
    """Whose it is, and how it is graded. seeds: by lesson. isolation: in words."""

    course: str
    student: str
    submission: str
    submitted: str
    seeds: dict[str, int]
    variant: str
    isolation: str
    visibility: Visibility


class Unwritten(NamedTuple):
    """Why a file could not be written. full: by no fault of its name."""

    reason: str
    full: bool


class Grading(About, frozen=True, kw_only=True):
    """What `compare class grade --json` writes. finished: whether all was asked. said, notes: above
    all. points: earned of `maximum`.
    """

    format: str = FORMAT
    finished: bool
    said: str
    notes: list[str]
    points: float
    maximum: float
    took_s: float
    marks: list[Mark]


class Files:
    """outputs: where to write which format, json, junit or gradescope. private: for nobody else."""

    def __init__(
        self,
        about: About,
        marks: Marks,
        outputs: Mapping[str, Path | None],
        *,
        private: bool = False,
    ) -> None:
        self._mode = 0o600 if private else 0o666
        self.unwritten: dict[str, Unwritten] = {}
        self._about = about
        self._marks = marks
        self._outputs = {kind: path for kind, path in outputs.items() if path is not None}
        self._began = time.monotonic()

    def write(self, *, finished: bool = False, said: str = "") -> None:
        """said: above all, beside what the marks have."""
        for kind, path in self._outputs.items():
            try:
                put(path, self._content(kind, finished, said), self._mode)
                self.unwritten.pop(kind, None)
            except OSError as error:
                reason = f"cannot write {path}: {error.strerror}"
                self.unwritten[kind] = Unwritten(reason, error.errno in FULL)

    def _content(self, kind: str, finished: bool, said: str) -> bytes:
        took_s = time.monotonic() - self._began
        if kind == "junit":
            return junit(self._marks, self._about, said)
        if kind == "gradescope":
            return msgspec.json.encode(gradescope(self._marks, self._about, said, took_s))
        content = Grading(
            **msgspec.structs.asdict(self._about),
            finished=finished,
            said=said,
            notes=self._marks.notes,
            points=self._marks.earned,
            maximum=self._marks.most,
            took_s=round(took_s, 1),
            marks=list(self._marks),
        )
        return msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"


def put(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Who reads it meanwhile has the old or the new one; what lies in the way is moved away.

    mode: less what the umask takes. Of root's it is the caller's. Raises OSError.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe, /dev/stdout
        path.write_bytes(content)
        return
    new = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            owner.give(file.fileno(), path.absolute().parent)
            file.write(content)
        os.replace(new, path)
    except IsADirectoryError:
        os.replace(path, path.with_name(f"{path.name}.{time.monotonic_ns()}"))
        os.replace(new, path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise


def _was_seen(mark: Mark) -> bool:
    """Whether it was asked, and failed."""
    return mark.finding is not None and mark.finding.state == "failed" and mark.finding.started


def _lines(mark: Mark) -> str:
    """What is said of a check to who made the program."""
    check, finding = CHECKS[mark.asked.check], mark.finding
    lines = [check.what]
    if _was_seen(mark) and finding is not None:
        lines += [f"expected: {finding.expected}", f"actual: {finding.actual}"]
        lines += [f"likely: {finding.likely}"] if finding.likely else []
        lines += [f"again: {mark.again}"] if mark.again else []
    elif mark.reason:
        machine = mark.state == "skipped" and not mark.reason.startswith("not asked: ")
        lines.append(f"this machine could not: {mark.reason}" if machine else mark.reason)
    return clean("\n".join(lines))[:LONGEST]


def gradescope(marks: Marks, about: About, said: str, took_s: float) -> dict[str, Any]:
    """Its results.json. What is above all tells nothing of hidden checks, which all may read."""
    tests = []
    for each in marks:
        test = {
            "name": each.asked.name,
            "score": each.earned,
            "max_score": each.asked.points,
            "output": _lines(each),
            "output_format": "text",
            "visibility": about.visibility if each.asked.hidden else "visible",
        }
        tests.append(test if each.state == "skipped" else test | {"status": each.state})
    above = [each for each in (said, *marks.why(hidden=False)) if each]
    return {
        "output": clean("\n".join(above))[:LONGEST],
        "output_format": "text",
        "execution_time": round(took_s, 1),
        "stdout_visibility": "hidden",
        "visibility": "visible",
        "tests": tests,
    }


def junit(marks: Marks, about: About, said: str) -> bytes:
    """For CI servers. What could not be asked is an error: green is for points only."""
    found = list(marks)
    failed = [each for each in found if each.state == "failed"]
    started = [each for each in failed if _was_seen(each)]
    suite = ElementTree.Element(
        "testsuite",
        name=clean(f"{about.course} {about.student}"),
        tests=str(len(found)),
        failures=str(len(started)),
        errors=str(len(failed) - len(started)),
        skipped=str(sum(each.state == "skipped" for each in found)),
        time=f"{sum(each.finding.took_s for each in found if each.finding):.3f}",
    )
    for each in found:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=f"lesson{each.asked.lesson}",
            name=each.asked.name,
            time=f"{each.finding.took_s if each.finding else 0.0:.3f}",
        )
        if each.state == "failed":
            kind = "failure" if each in started else "error"
            inner = ElementTree.SubElement(case, kind, message=clean(each.reason)[:LONGEST])
            inner.text = _lines(each)
        elif each.state == "skipped":
            ElementTree.SubElement(case, "skipped", message=clean(each.reason)[:LONGEST])
    words = [*([said] if said else []), *marks.why(hidden=True)]
    points = f"{marks.earned:g} of {marks.most:g} points"
    ElementTree.SubElement(suite, "system-out").text = clean("\n".join([points, *words]))
    body: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return body
