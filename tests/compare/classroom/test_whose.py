"""Every start of what was handed in is that of the other user: the first of a check, and more."""

from __future__ import annotations

import ast
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from class_lessons import RIGHT

import compare
from compare.check import variant
from compare.check.catalogue import CHECKS, PROFILES, Profile, of_profile
from compare.check.declared import known, read_limit
from compare.classroom import private, submission
from compare.classroom.grade import python_for
from compare.classroom.submission import Found
from compare.classroom.watched import Worker
from compare.classroom.worker import Job
from compare.host.user import User
from compare.learn import lesson as lessons_of

pytestmark = [
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user"),
]
RECORDS = """
import os as _os
with open(_os.environ["HOME"] + "/starts", "a") as _file:
    _file.write(f"{_os.getuid()} {_os.getgid()} {_os.getgroups()}\\n")
"""
LESSONS = Path(compare.__file__).parent / "learn" / "lessons"


def users(profile: Profile, ids: list[str], code: str, place: Path, count: int) -> set[str]:
    """Who each of the starts was, of which there are at least so many."""
    place.chmod(0o755)
    source = place / "theirs.py"
    source.write_text(RECORDS + code, encoding="utf-8")
    user = User.find("nobody")
    inner = place / "inner"
    inner.mkdir()
    copied = submission.copy(Found(source, "python"), inner, user, beside=False)
    job = Job(
        profile=profile,
        tongue="python",
        source=str(copied),
        place=str(inner),
        ids=ids,
        failed=[],
        seed=7,
        limits=dict(read_limit(f"{name}=2") for name in known()),
        style=None,
        variant=str(variant.DEFAULT),
        python=python_for(user, None),
        build_s=10,
        user=user,
    )
    with Worker(job) as worker:
        for each in (None, *ids):
            said = worker.hear(time.monotonic() + 120)
            assert said is not None, each
            assert not said.unbuilt
    starts = (inner / "starts").read_text(encoding="ascii").splitlines()
    assert len(starts) >= count
    return set(starts)


@pytest.fixture
def place() -> Iterator[Path]:
    """Which other gradings of that user pass by when they remove what it has left."""
    with private.workshop() as made:
        yield made


@pytest.mark.timeout(60)
def test_second_server_at_a_port_that_is_taken_is_the_other_users(place: Path) -> None:
    assert users("tcp-echo", ["life/6"], RIGHT, place, 2) == {"65534 65534 []"}


def _solution(profile: Profile) -> str:
    for each in (lessons_of.Lesson(path.parent) for path in sorted(LESSONS.glob("*/lesson.toml"))):
        for part in each.words.part:
            if part.profile == profile:
                steps = len(each.steps(part, "python"))
                return each.source(part, "python", steps).read_text(encoding="utf-8")
    raise AssertionError(profile)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("profile", PROFILES)
def test_every_start_of_every_check_is_the_other_users(profile: Profile, place: Path) -> None:
    ids = [each.id for each in of_profile(profile)]
    assert len(ids) > 3
    # Those of a STRICT kind or a style that is not asked for start nobody.
    asked = [each for each in ids if CHECKS[each].kind == "MUST" and not CHECKS[each].style]
    found = users(profile, ids, _solution(profile), place, len(asked) // 2)
    assert found == {"65534 65534 []"}


def test_checks_start_nothing_but_by_the_one_place_that_says_whose_it_is() -> None:
    """No process is begun in the checks, nor beside them, without start(), which asks nobody."""
    begins = {"Popen", "run", "call", "check_output", "check_call", "fork", "posix_spawn", "system"}
    root = Path(compare.__file__).parent
    found = []
    for path in [*root.glob("check/*.py"), *root.glob("host/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            called = ast.unparse(node.func)
            if called in {f"{each}.{name}" for each in ("subprocess", "os") for name in begins}:
                found.append(f"{path.relative_to(root)} {called}")
    # Ours: strace(1), py-spy and openssl(1) of a measurement, who watches our own end, and test(1).
    assert sorted(found) == [
        "host/certificate.py subprocess.run",
        "host/guard.py subprocess.Popen",
        "host/launch.py subprocess.Popen",
        "host/onlooker.py subprocess.Popen",
        "host/user.py subprocess.run",
    ]
