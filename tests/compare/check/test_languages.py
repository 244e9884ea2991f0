"""Servers in other languages: right ones pass every check, starters fail what the page says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from compare.check.bench import Subject
from compare.check.catalogue import Profile, of_profile
from compare.check.runner import Finding, run

ROOT = Path(__file__).parents[3]
STARTERS = ROOT / "docs" / "starters"
SERVERS = Path(__file__).parent / "servers"
PAGE = (ROOT / "docs" / "checking.md").read_text(encoding="utf-8")
IDS = [each.id for each in of_profile("tcp-echo") if each.kind == "MUST"]
# What each starter fails, whatever its language does by itself, and what it passes.
FAILS = {"tcp/1", "tcp/2", "tcp/3", "tcp/5", "tcp/8", "tcp/9", "tcp/13", "tcp/18", "life/6"}
PASSES = {"tcp/4", "life/1"}


def command(source: Path, folder: Path) -> tuple[str, ...]:
    """What starts it, compiled where that is needed; skips where there is no compiler."""
    if source.suffix == ".py":
        return (sys.executable, str(source), "{port}")
    if source.suffix == ".js":
        if shutil.which("node") is None:
            pytest.skip("there is no node")
        return ("node", str(source), "{port}")
    if source.suffix == ".java":
        if shutil.which("javac") is None:
            pytest.skip("there is no javac")
        subprocess.run(["javac", "-Xlint:all", "-d", folder, source], check=True, timeout=100)
        return ("java", "-cp", str(folder), source.stem, "{port}")
    compilers = {
        ".c": ["cc", "-Wall", "-Wextra", "-Werror", "-O2", "-pthread"],
        ".go": ["go", "build"],
    }
    words = compilers[source.suffix]
    if shutil.which(words[0]) is None:
        pytest.skip(f"there is no {words[0]}")
    program = folder / source.stem
    subprocess.run([*words, "-o", program, source], check=True, timeout=100)
    return (str(program), "{port}")


def findings(command: tuple[str, ...], profile: Profile = "tcp-echo") -> list[Finding]:
    ids = [each.id for each in of_profile(profile) if each.kind == "MUST"]
    return list(run(Subject(profile, command), ids, 7, lambda text: None))


# Collectors come late: what is kept for them is no leak.
COLLECTED = ["echo.js", "EchoThreads.java", "EchoSelector.java"]


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", ["echo.c", "echo.go", *COLLECTED])
def test_correct_server_passes_every_check(name: str, tmp_path: Path) -> None:
    found = findings(command(SERVERS / name, tmp_path))
    assert [each for each in found if each.state != "passed"] == []


OTHER_PROTOCOLS: list[tuple[Profile, str]] = [
    *(("frames", name) for name in ("frames.c", "frames.js", "Frames.java", "frames_asyncio.py")),
    *(("later", name) for name in ("later.c", "later.js", "Later.java", "later_asyncio.py")),
]


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize(("profile", "name"), OTHER_PROTOCOLS, ids=[n for _, n in OTHER_PROTOCOLS])
def test_right_server_of_another_protocol_passes_every_check(
    profile: Profile, name: str, tmp_path: Path
) -> None:
    found = findings(command(SERVERS / name, tmp_path), profile)
    assert [each for each in found if each.state != "passed"] == []


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["echo.py", "echo.c", "echo.go"])
def test_starter_fails_what_one_message_and_no_care_must_fail(name: str, tmp_path: Path) -> None:
    found = findings(command(STARTERS / name, tmp_path))
    failed = {each.id for each in found if each.state == "failed"}
    skipped = {each.id: each.reason for each in found if each.state == "skipped"}
    if skipped:  # a busy machine
        pytest.skip(f"not all could be asked: {skipped}")
    assert failed >= FAILS
    assert not failed & PASSES


def test_order_to_make_them_pass_has_every_must_check() -> None:
    steps = PAGE.partition("## Where to begin")[2].partition("\n## ")[0]
    named = re.findall(r"`((?:tcp|life)/[\w-]+)`", steps)
    assert sorted(named) == sorted(IDS)
