"""What programs are told: JSON of every answer, Markdown of a run, and what a shell completes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from compare.__main__ import main
from compare.check.catalogue import CHECKS
from compare.commands.recorder import Keeper
from compare.host import doctor
from compare.host.doctor import Ailment
from compare.models.matrix import MODELS, WORKLOADS
from compare.models.sets import DEFAULT_MODELS, SETS
from compare.report.markdown import markdown_of
from compare.results.records import Cell, Run

Invoke = Callable[..., Result]
MakeCell = Callable[..., Cell]
MakeRun = Callable[..., Run]
HOSTILE = "<script>|*a*|[x](y)\x1b[2J\n"


@pytest.fixture
def run(made_up_cell: MakeCell, made_up_run: MakeRun) -> Run:
    cells = [made_up_cell("epoll", (1000.0,) * 5), made_up_cell("uvloop", (900.0,) * 5)]
    return made_up_run(cells)


# JSON


def test_list_as_json_has_every_model_workload_and_set(invoke: Invoke) -> None:
    told = json.loads(invoke("list", "--json").stdout)
    assert told["format"] == "compare-list/1"
    assert [each["name"] for each in told["workloads"]] == list(WORKLOADS)
    assert {each["name"] for each in told["models"]} == set(MODELS)
    assert {each["name"] for each in told["models"] if each["default"]} == set(DEFAULT_MODELS)
    assert {name: tuple(models) for name, models in told["sets"].items()} == {
        name: tuple(models) for name, (_, models) in SETS.items()
    }


@pytest.mark.parametrize(("ailments", "status"), [((), 0), (("a", "b"), 1)])
def test_doctor_as_json_has_the_machine_and_what_is_wrong_with_it(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, ailments: tuple[str, ...], status: int
) -> None:
    found = [Ailment(each, "effect", "mend") for each in ailments]
    monkeypatch.setattr(doctor, "examine", lambda: iter(found))
    result = invoke("doctor", "--json")
    assert result.exit_code == status
    told = json.loads(result.stdout)
    assert [each["what"] for each in told["ailments"]] == list(ailments)
    assert told["machine"]["python"].endswith(sys.version.split()[0])
    assert told["limits"]["backlog"] > 0


def test_checks_are_listed_as_json(invoke: Invoke, tmp_path: Path) -> None:
    told = json.loads(invoke("check", "--list", "--json", "-").stdout)
    assert {each["id"] for each in told["checks"]} == set(CHECKS)
    path = tmp_path / "checks.json"
    assert invoke("check", "--list", "--json", str(path)).stdout == ""
    assert json.loads(path.read_text()) == told


def test_list_of_checks_that_cannot_be_written_is_told_in_a_line(invoke: Invoke) -> None:
    result = invoke("check", "--list", "--json", "/nowhere/checks.json")
    assert result.exit_code == 2
    assert "'--json': cannot write /nowhere/checks.json" in result.stderr.splitlines()[-1]


# Markdown


def test_run_as_markdown_has_sentences_a_row_for_each_model_and_the_machine(run: Run) -> None:
    text = markdown_of(run)
    assert "- epoll is the fastest with 1,000 operations a second" in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows] == ["| model", "| epoll", "| uvloop"]
    assert len({row.count(" | ") for row in rows}) == 1
    assert "[bold" not in text
    assert "seed" in text.splitlines()[-1]


def test_markdown_obeys_nobody(made_up_cell: MakeCell, made_up_run: MakeRun) -> None:
    text = markdown_of(made_up_run([made_up_cell(HOSTILE, (1.0,) * 3, reasons=[HOSTILE])]))
    assert "<script" not in text.replace("\\<", "")
    assert "\x1b" not in text
    (row,) = [line for line in text.splitlines() if line.startswith("| ?") or "script" in line][-1:]
    assert row.startswith("| ")


def test_markdown_is_written_beside_json(run: Run, tmp_path: Path) -> None:
    outputs = {"json": str(tmp_path / "a.json"), "markdown": str(tmp_path / "a.md")}
    Keeper(outputs, tmp_path / "history")(run)
    assert (tmp_path / "a.md").read_text(encoding="utf-8") == markdown_of(run)
    assert json.loads((tmp_path / "a.json").read_text())["format"] == "compare-run/1"


def test_kept_run_is_exported_as_markdown(run: Run, tmp_path: Path, invoke: Invoke) -> None:
    Keeper({"json": str(tmp_path / "a.json")}, tmp_path / "history")(run)
    result = invoke("export", str(tmp_path / "a.json"), "--markdown", "-")
    assert result.stdout == markdown_of(run)


def test_stdout_is_for_one_of_the_two(invoke: Invoke) -> None:
    result = invoke("run", "--json", "-", "--markdown", "-")
    assert result.exit_code == 2
    assert "cannot both have stdout: name a file" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("option", ["--json", "--markdown"])
def test_file_that_cannot_be_written_is_told_by_its_option(invoke: Invoke, option: str) -> None:
    result = invoke("run", option, "/nowhere/run")
    assert result.exit_code == 2
    assert f"'{option}': cannot write /nowhere/run" in result.stderr.splitlines()[-1]


# The shell


def completed(*words: str) -> list[str]:
    shell = ShellComplete(main, {}, "compare", "_COMPARE_COMPLETE")
    return [each.value for each in shell.get_completions(list(words[:-1]), words[-1])]


def test_commands_options_and_names_are_completed() -> None:
    assert completed("sc") == ["scale"]
    assert "--markdown" in completed("run", "--mar")
    assert completed("run", "--models", "uvl")[0] == "uvloop"
    assert "epoll,uvloop" in completed("run", "--models", "epoll,u")
    assert "epoll,epoll" not in completed("run", "--models", "epoll,e")
    assert completed("run", "--workloads", "udp") == ["udp-echo"]
    assert completed("check", "--profile", "udp-c") == ["udp-client"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="it is bash that is asked")
def test_bash_completes_what_the_command_tells_it(tmp_path: Path) -> None:
    told = CliRunner().invoke(main, env={"_COMPARE_COMPLETE": "bash_source"}, prog_name="compare")
    command = tmp_path / "compare"
    command.write_text(f"#!{sys.executable}\nfrom compare.__main__ import main\nmain()\n")
    command.chmod(0o755)
    script = told.stdout + (
        "COMP_WORDS=(compare run --workloads udp); COMP_CWORD=3\n"
        f"_compare_completion {command}\n"
        'echo "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "-euc", script], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.stdout, done.stderr) == ("udp-echo\n", "")


# The picture


def test_kept_run_is_exported_as_a_picture(run: Run, tmp_path: Path, invoke: Invoke) -> None:
    Keeper({"json": str(tmp_path / "a.json")}, tmp_path / "history")(run)
    light = invoke("export", str(tmp_path / "a.json"), "--svg", "-").stdout
    dark = invoke("export", str(tmp_path / "a.json"), "--svg", "-", "--dark").stdout
    assert light.startswith("<svg ")
    assert light != dark


def test_dark_is_of_the_picture(run: Run, tmp_path: Path, invoke: Invoke) -> None:
    Keeper({"json": str(tmp_path / "a.json")}, tmp_path / "history")(run)
    result = invoke("export", str(tmp_path / "a.json"), "--csv", "-", "--dark")
    assert result.exit_code == 2
    assert "it goes with --svg" in result.stderr.splitlines()[-1]
