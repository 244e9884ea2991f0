"""docs/questions.md: its figures are those of the runs that are kept, and its commands are some."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import answers_script
import msgspec
import pytest

from compare.__main__ import main
from compare.results.compact import compact
from compare.results.records import Run

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGE = (DOCS / "questions.md").read_text(encoding="utf-8")
SECTIONS = PAGE.split("\n## ")[1:]
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]
SHORT = {
    "run": ("--duration", "0.1", "--rounds", "1", "--connections", "4"),
    "scale": ("--duration", "0.1", "--rounds", "1", "--connections", "4"),
    "check": (),
}
FAIL = ("asyncio_protocol.py", "uvloop_protocol.py")  # as the page says


@pytest.fixture(scope="module")
def answers() -> ModuleType:
    return answers_script.load()


# The page.


def test_contents_list_every_question_in_its_order() -> None:
    listed = re.findall(r"^- \[(.*)\]\(#", PAGE.partition("\n## ")[0], re.MULTILINE)
    assert listed == [section.partition("\n")[0] for section in SECTIONS]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.partition("?")[0])
def test_a_question_has_a_bold_answer_a_command_what_it_depends_on_and_threads(
    section: str,
) -> None:
    heading, _, text = section.partition("\n\n")
    assert heading.endswith("?")
    assert text.startswith("**")
    assert "```sh\ncompare " in text
    assert "\nIt depends on " in text
    _, _, threads = text.partition("\nWhere it is argued: ")
    assert 2 <= len(re.findall(r"\]\(https://", threads)) <= 3


def test_every_figure_belongs_to_a_question_of_the_script(answers: ModuleType) -> None:
    named = [name for name, _ in re.findall(r"<!-- (\w+):([\w-]+) -->", PAGE)]
    assert list(dict.fromkeys(named)) == [*answers.QUESTIONS]
    assert len(named) == PAGE.count("<!-- / -->") == len(answers._FIGURE.findall(PAGE))
    for name in answers.QUESTIONS:
        assert answers.commands(PAGE, name)


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_one(command: str) -> None:
    program, name, *words = shlex.split(command)
    assert program == "compare"
    found = main.get_command(main.make_context("compare", [name, "--help"]), name)
    assert found is not None
    with found.make_context(name, words):
        pass


# The figures.


def test_figures_are_those_of_the_runs_that_are_kept(answers: ModuleType, capsys: Any) -> None:
    again = "python tests/yardstick/answers.py --write"
    page, images = answers.written(DOCS, PAGE, [*answers.QUESTIONS])
    assert capsys.readouterr().err == ""
    assert page == PAGE, again
    for path, content in images.items():
        assert (DOCS / path).read_text(encoding="utf-8") == content, again


def test_what_was_not_measured_is_said_so(answers: ModuleType) -> None:
    for name, figure, text in answers._FIGURE.findall(PAGE):
        if answers.facts_of(DOCS, PAGE, name) is None:
            assert text == answers.EMPTY, f"{name}:{figure}"


def test_kept_runs_are_small_belong_to_a_question_and_name_no_path(answers: ModuleType) -> None:
    known = {each for name in answers.QUESTIONS for each in answers.run_names(PAGE, name)}
    kept = [*(DOCS / "results").glob("*")]
    assert sum(path.stat().st_size for path in kept) < 1_000_000
    for path in kept:
        run = msgspec.json.decode(path.read_bytes(), type=Run)
        assert any(path.name == answers.file_name(run, name) for name in known), path.name
        assert path.read_bytes() == compact(run)
        assert not any(os.sep in each.path for each in run.settings.interpreters)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("command", COMMANDS)
def test_command_runs(command: str) -> None:
    here = re.sub(r"(?<![-\w])python(3\.\d+t?)?(?= )", sys.executable, command)
    words = [sys.executable if word.startswith("python") else word for word in shlex.split(here)]
    _, name, *rest = words
    rest += SHORT[name]
    if rest.count("--server") > 2:  # each of which is else held to all checks first
        rest += ["--unchecked"]
    if "--idle" in rest:
        rest += ["--idle", "10"]
    done = subprocess.run(
        [sys.executable, "-m", "compare", name, *rest],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=170,
        check=False,
    )
    fails = any(each in command for each in FAIL)
    assert done.returncode == fails, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_script_measures_shows_and_keeps_only_where_it_is_told(tmp_path: Path) -> None:
    script = [sys.executable, "tests/yardstick/answers.py", "streams", "--quick"]
    done = subprocess.run(
        [*script, "--folder", str(tmp_path)], capture_output=True, text=True, cwd=ROOT, timeout=170
    )
    assert done.returncode == 0, done.stderr
    assert "[1/1] streams, about " in done.stderr
    assert re.search(r"^  asyncio: [\d.]+ \[", done.stdout, re.MULTILINE)
    assert "1 January" not in done.stdout
    assert len([*(tmp_path / "results").glob("*-streams.json")]) == 1
    assert (DOCS / "questions.md").read_text(encoding="utf-8") == PAGE
