"""action.yml: its steps, one after the other, as a runner takes them, on a repository that is made
here; the forge is a program that notes what it was asked.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS: dict[str, dict[str, Any]] = {step["name"]: step for step in ACTION["runs"]["steps"]}
SHORT = "--duration 0.1 --connections 2 --unchecked"
SERVER = """\
import socket, sys, threading
{work}
def serve(conn):
    with conn:
        while data := conn.recv(65536):
            work()
            conn.sendall(data)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""
CHEAP, DEAR = "work = lambda: None", "work = lambda: sum(range(50_000))"
GH = """\
#!/usr/bin/env bash
printf '%s\\n' "$*" >>"{log}"
case $* in *--jq*) printf '%s\\n' {ids} ;; esac
"""


class Runner:
    """What GitHub's runner offers a composite action: folders, files, and expressions."""

    def __init__(self, folder: Path, **inputs: str) -> None:
        self.folder = folder
        self.temporary, self.workspace = folder / "temporary", folder / "workspace"
        for each in (self.temporary, self.workspace, folder / "bin"):
            each.mkdir()
        self.outputs: dict[str, str] = {}
        self.base = self._commit(CHEAP, "base")
        self._commit(CHEAP, "head")
        given = {name: each["default"] for name, each in ACTION["inputs"].items()}
        self.inputs = given | {"token": "x", "base": self.base} | inputs

    def _commit(self, work: str, words: str) -> str:
        (self.workspace / "my_server.py").write_text(SERVER.format(work=work))
        made = ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--allow-empty", "-qam"]
        for command in (["init", "-q"], ["add", "."], [*made, words]):
            subprocess.run(["git", *command], cwd=self.workspace, check=True)
        told = ["git", "rev-parse", "HEAD"]
        return subprocess.check_output(told, cwd=self.workspace, text=True).strip()

    def change(self, work: str) -> None:
        self._commit(work, "changed")

    def forge(self, *ids: int) -> Path:
        """A `gh` that knows these comments of ours; what it was asked."""
        log, program = self.folder / "asked", self.folder / "bin" / "gh"
        program.write_text(GH.format(log=log, ids=" ".join(map(str, ids)) or "''"))
        program.chmod(0o755)
        return log

    def install_this(self) -> None:
        """In the place of the step that does it: the same command, of this checkout."""
        program = self.temporary / "compare" / "bin" / "compare"
        program.parent.mkdir(parents=True)
        command = f'PYTHONPATH={ROOT} exec {sys.executable} -m compare "$@"'
        program.write_text(f"#!/bin/sh\n{command}\n")
        program.chmod(0o755)

    def step(self, name: str) -> subprocess.CompletedProcess[str]:
        """Run one, as the runner does, and take its outputs."""
        step = STEPS[name]
        env = {key: self._value(text) for key, text in step.get("env", {}).items()}
        output, summary = self.folder / "output", self.folder / "summary"
        output.write_text("")
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=self.workspace,
            env={
                **os.environ,
                **env,
                "COMPARE_STORE": str(self.folder / "history"),
                "GITHUB_ACTION_PATH": str(ROOT),
                "GITHUB_OUTPUT": str(output),
                "GITHUB_REPOSITORY": "somebody/something",
                "GITHUB_STEP_SUMMARY": str(summary),
                "GITHUB_WORKSPACE": str(self.workspace),
                "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
                "RUNNER_TEMP": str(self.temporary),
            },
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        self.outputs |= dict(row.split("=", 1) for row in output.read_text().splitlines())
        return done

    def _value(self, text: str) -> str:
        known = {
            **{f"inputs.{name}": value for name, value in self.inputs.items()},
            **{f"steps.measure.outputs.{name}": value for name, value in self.outputs.items()},
            "github.event.pull_request.number": "7",
        }
        return re.sub(r"\$\{\{ (\S+) \}\}", lambda found: known[found[1]], text)


def server_of(runner: Runner) -> dict[str, str]:
    command = f"{shlex.quote(sys.executable)} my_server.py {{port}}"
    return runner.inputs | {"server": command, "options": SHORT, "rounds": "8"}


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


def test_steps_take_inputs_from_the_environment_and_never_as_text() -> None:
    for step in STEPS.values():
        assert "${{" not in step["run"]
        assert step["shell"] == "bash"
    used = set(re.findall(r"inputs\.(\w+)", str(ACTION["runs"])))
    assert used == set(ACTION["inputs"])


def test_the_workflow_of_the_page_gives_what_the_action_takes() -> None:
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (shown,) = (yaml.safe_load(each) for each in blocks if "uses: OWNER/aionet-compare" in each)
    assert shown["permissions"]["pull-requests"] == "write"
    (job,) = shown["jobs"].values()
    assert set(job["steps"][-1]["with"]) <= set(ACTION["inputs"])


def test_no_base_is_told_in_a_line(runner: Runner) -> None:
    runner.inputs["base"] = ""
    done = runner.step("Check the base out")
    assert done.returncode == 2
    assert done.stdout.startswith("::error::there is no base to compare with")


@pytest.mark.parametrize(
    ("answer", "doubt", "status"),
    [
        ("kept", "pass", 0),
        ("kept", "fail", 0),
        ("unclear", "pass", 0),
        ("unclear", "fail", 1),
        ("broken", "pass", 1),
        ("failed", "pass", 1),
        ("", "pass", 1),
    ],
)
def test_answer_is_the_status_of_the_job(
    runner: Runner, answer: str, doubt: str, status: int
) -> None:
    runner.outputs["answer"], runner.inputs["doubt"] = answer, doubt
    assert runner.step("Answer").returncode == status


@pytest.mark.parametrize(
    ("ids", "asked"),
    [
        ((), "api repos/somebody/something/issues/7/comments -F body=@comment.md"),
        ((5, 6), "api -X PATCH repos/somebody/something/issues/comments/5 -F body=@comment.md"),
    ],
)
def test_comment_is_written_once_and_changed_after_that(
    runner: Runner, ids: tuple[int, ...], asked: str
) -> None:
    log = runner.forge(*ids)
    done = runner.step("Comment")
    assert done.returncode == 0, done.stderr
    assert log.read_text().splitlines()[-1] == asked


def test_comment_that_may_not_be_written_fails_nothing(runner: Runner) -> None:
    program = runner.folder / "bin" / "gh"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    done = runner.step("Comment")
    assert done.returncode == 0
    assert done.stdout.startswith("::warning::no comment")


def measured(runner: Runner) -> str:
    """What is said in the comment."""
    assert runner.step("Check the base out").returncode == 0
    done = runner.step("Measure")
    assert done.returncode == 0, done.stderr
    comment = (runner.temporary / "comment.md").read_text()
    assert comment.startswith("<!-- aionet-compare -->\n")
    assert (runner.folder / "summary").read_text() == comment
    return comment


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_server_that_became_dearer_fails_the_job(runner: Runner) -> None:
    runner.change(DEAR)
    runner.install_this()
    runner.inputs = server_of(runner)
    comment = measured(runner)
    assert runner.outputs["answer"] == "broken", comment
    assert "**worse than it may be**, beside its base" in comment
    assert re.search(r"^broken +cpu<=1\.05\*base +head tcp-long", comment, re.MULTILINE)
    assert "| head |" in comment
    assert Path(runner.outputs["json"]).exists()
    assert runner.step("Answer").returncode == 1


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_server_that_is_much_cheaper_than_it_may_be_passes(runner: Runner) -> None:
    runner.install_this()
    runner.inputs = server_of(runner) | {"require": "cpu<=20"}
    comment = measured(runner)
    assert runner.outputs["answer"] == "kept", comment
    assert runner.step("Answer").returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_mistake_in_the_inputs_is_a_failure(runner: Runner) -> None:
    runner.install_this()
    runner.inputs = server_of(runner) | {"require": "speed<=2"}
    comment = measured(runner)
    assert runner.outputs["answer"] == "failed"
    assert "**the measurement failed**" in comment
    assert runner.step("Answer").returncode == 1


@pytest.mark.slow
@pytest.mark.timeout(480)
def test_models_of_this_project_are_measured_by_what_was_installed(runner: Runner) -> None:
    """Of this project itself: the base is a checkout of it, and the step that installs is taken."""
    done = runner.step("Install")
    assert done.returncode == 0, done.stderr
    (runner.temporary / "base").symlink_to(ROOT)
    runner.inputs |= {"options": "--duration 0.1 --connections 2", "rounds": "2"}
    done = runner.step("Measure")
    assert done.returncode == 0, done.stderr
    assert runner.outputs["answer"] in ("kept", "broken", "unclear"), done.stdout + done.stderr
    comment = (runner.temporary / "comment.md").read_text()
    assert "| epoll@base |" in comment
    assert "cpu<=1.05*epoll@base" in comment
