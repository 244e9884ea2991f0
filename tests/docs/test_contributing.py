"""What CONTRIBUTING.md says of adding a part is done by it, in as many lines as it says."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PARTS = dict(
    re.findall(r"^## A (\w+), in \d+ lines\n\n```diff\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
)
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]
TINY = ("--rounds", "1", "--duration", "0.1", "--connections", "2")


def changed(before: str, hunk: str) -> str:
    """A file with the lines of a hunk put where the others of it stand, once."""
    lines = hunk.splitlines()
    old = "".join(f"{line[1:]}\n" for line in lines if line[:1] in " -")
    new = "".join(f"{line[1:]}\n" for line in lines if line[:1] in " +")
    assert before.count(old) == 1, f"these lines are not there any more:\n{old}"
    return before.replace(old, new)


def applied(diff: str, root: Path) -> None:
    for part in diff.split("--- ")[1:]:
        name, *hunks = part.split("\n@@\n")
        path = root / name
        text = path.read_text(encoding="utf-8") if path.exists() else "\n"
        for hunk in hunks:
            text = changed(text, hunk) if path.exists() else changed("", hunk)
        path.write_text(text, encoding="utf-8")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What can be imported of this checkout, to be changed."""
    for name in ("aionet", "blocking", "compare"):
        ignored = shutil.ignore_patterns("__pycache__", "lessons")
        shutil.copytree(ROOT / name, tmp_path / "copy" / name, ignore=ignored)
    return tmp_path / "copy"


def compare(*words: str, root: Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "compare", *words],
        cwd=cwd or root,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize("part", PARTS)
def test_a_part_takes_as_many_lines_as_it_says(part: str) -> None:
    (said,) = re.findall(rf"^## A {part}, in (\d+) lines$", PAGE, re.MULTILINE)
    added = re.findall(r"^\+", PARTS[part], re.MULTILINE)
    assert len(added) == int(said)


def test_the_parts_are_those_that_there_are() -> None:
    assert list(PARTS) == ["loop", "model", "workload", "check"]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_fits_what_it_is_to_be_put_into(part: str, copy: Path) -> None:
    applied(PARTS[part], copy)
    code = "\n".join(line[1:] for line in PARTS[part].splitlines() if line.startswith("+"))
    assert max(map(len, code.splitlines())) <= 100
    assert {"loop": "polling", "model": "bare-s", "workload": "tcp-text", "check": "tcp/99"}[
        part
    ] in code


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("part", "model", "workload"),
    [
        ("loop", "polling", "tcp-long,udp-echo"),
        ("model", "bare-socketserver", "tcp-long"),
        ("workload", "epoll", "tcp-text"),
    ],
)
def test_a_part_that_was_added_is_measured(
    part: str, model: str, workload: str, copy: Path
) -> None:
    applied(PARTS[part], copy)
    done = compare("run", *TINY, "--models", model, "--workloads", workload, root=copy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"^{model} .* 2/2 ", done.stdout, re.MULTILINE), done.stdout


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_check_that_was_added_passes_ours_and_fails_who_takes_a_byte_for_an_end(
    copy: Path,
) -> None:
    applied(PARTS["check"], copy)
    wrong = copy / "wrong.py"
    wrong.write_text(
        "import socket, sys\n"
        "listener = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
        "while True:\n"
        "    conn, _ = listener.accept()\n"
        "    while (data := conn.recv(4096)) and data != b'\\4':\n"
        "        conn.sendall(data)\n"
        "    conn.close()\n"
    )
    asked = ("check", "--only", "life/0,tcp/99", "--alone", "--")
    right = [sys.executable, "-m", "blocking", "serve", "echo", "--model", "epoll"]
    done = compare(*asked, *right, root=copy)
    assert done.returncode == 0, done.stdout + done.stderr
    done = compare(*asked, sys.executable, str(wrong), "{port}", root=copy)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "byte 4 back" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_change_is_held_against_what_was_before_it(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "before").symlink_to(ROOT)
    (command,) = [each for each in COMMANDS if "--source" in each]
    words = [*shlex.split(command)[1:], "--rounds", "1", "--duration", "0.1"]
    done = compare(*words, root=ROOT, cwd=tmp_path / "here")
    assert done.returncode in (0, 1, 3), done.stderr
    assert "epoll@base" in done.stdout


def test_commands_of_the_page_are_what_ci_runs_or_exist() -> None:
    """Those on tests name folders, those of .ci its own steps; the rest is run by .ci/run."""
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    known = {
        "python3 -m venv .venv && .venv/bin/pip": "step 2",
        "ruff check": ".venv/bin/ruff check .",
        "pytest -q": 'bash -euo pipefail -c "$(readme 2)"',
        "pip install -q -c constraints.txt -e": '".[test,docs]"',
        "sphinx-build": ".venv/bin/sphinx-build -q -W --keep-going docs build/site",
    }
    for command in COMMANDS:
        words = shlex.split(command)
        if command.startswith("pytest -q -n"):
            assert (ROOT / words[-1]).is_dir(), command
        elif words[0].startswith(".ci/"):
            assert (ROOT / words[0]).exists()
            done = subprocess.run(
                [ROOT / ".ci" / "nightly", "list"], capture_output=True, text=True, check=True
            )
            steps = {"list", *done.stdout.split()}
            assert {*words[1:]} <= steps
        elif words[0] == "python":
            assert (ROOT / words[1]).exists()
        elif words[0] not in (".", "git", "compare"):
            found = [how for start, how in known.items() if command.startswith(start)]
            assert found, command
            assert found[0] in ci or found[0] == "step 2"
