"""What is written as JSON is what docs/schema/ says of it."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from click.testing import CliRunner
from made_up_records import made_up_cell, made_up_run

from compare.__main__ import main
from compare.check.catalogue import CHECKS
from compare.check.runner import Finding, not_asked
from compare.classroom.course import Asked
from compare.classroom.files import About, Files
from compare.classroom.marks import Marks
from compare.commands.output import as_json
from compare.host import doctor
from compare.host.doctor import Ailment
from compare.report.checks import Findings

ROOT = Path(__file__).parents[2]
SCHEMAS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "docs" / "schema").glob("*.json"))
}
ECHO = [sys.executable, str(ROOT / "docs" / "starters" / "echo.py"), "{port}"]


def validated(content: bytes | str, name: str = "") -> str:
    """By which of the schemas it is what it says that it is."""
    told: dict[str, Any] = json.loads(content)
    name = name or told["format"].replace("/", "-")
    jsonschema.Draft202012Validator(SCHEMAS[name]).validate(told)
    return name


def said_by(*words: str) -> str:
    """By the command, on stdout."""
    done = CliRunner().invoke(main, words)
    assert done.exit_code in (0, 1, 3), done.output
    return done.stdout


def test_every_schema_is_one() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    formats = [made["format_of"](record).replace("/", "-") for record in made["RECORDS"]]
    assert sorted(formats) == sorted(SCHEMAS)
    for each in SCHEMAS.values():
        jsonschema.Draft202012Validator.check_schema(each)


def test_run_and_the_difference_of_two_are_as_their_schemas_say(tmp_path: Path) -> None:
    cells = [made_up_cell("epoll", (1000.0,) * 5), made_up_cell("uvloop", (900.0,) * 5)]
    for name in ("a", "b"):
        content = as_json(made_up_run(cells))
        assert validated(content) == "compare-run-1"
        (tmp_path / name).write_bytes(content)
    compact = said_by("export", str(tmp_path / "a"), "--json", "-", "--compact")
    assert validated(compact) == "compare-run-1"
    words = ("diff", *(str(tmp_path / name) for name in ("a", "b")), "--json")
    assert validated(said_by(*words)) == "compare-diff-1"


def test_lists_are_as_their_schemas_say() -> None:
    assert validated(said_by("list", "--json")) == "compare-list-1"
    assert validated(said_by("check", "--list", "--json", "-")) == "compare-checks-1"


def test_machine_is_as_its_schema_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "examine", lambda: iter([Ailment("what", "effect", "mend")]))
    assert validated(said_by("doctor", "--json")) == "compare-doctor-1"


def test_findings_and_grades_are_as_their_schemas_say(tmp_path: Path) -> None:
    failed = Finding(id="tcp/1", kind="MUST", state="failed", took_s=0.1, actual="nothing came")
    found = [failed, not_asked("tcp/2", "not asked: a reason")]
    assert validated(as_json(Findings(subject="x", findings=found))) == "compare-check-1"
    asked = [
        Asked(lesson=2, part="server", check=name, points=1.0, hidden=False, max_s=9.0)
        for name in list(CHECKS)[:2]
    ]
    marks = Marks(asked, {})
    marks.fail(asked[0], "it does not compile")
    about = About(
        **dict.fromkeys(("course", "student", "submission", "variant", "isolation"), "x"),
        submitted="2024-01-01T00:00:00+00:00",
        seeds={"2": 1},
        visibility="hidden",
    )
    Files(about, marks, {"json": tmp_path / "x"}).write()
    assert validated((tmp_path / "x").read_bytes()) == "compare-class-1"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda run: run["cells"][0].update(verdict="fast"),
        lambda run: run["cells"][0].pop("reasons"),
        lambda run: run.update(took_s="long"),
        lambda run: run.update(format="compare-run/2"),
        lambda run: run["machine"].update(cores=None),
    ],
)
def test_what_is_none_is_refused(spoil: Callable[[dict[str, Any]], object]) -> None:
    run = msgspec.to_builtins(made_up_run([made_up_cell("epoll", (1000.0,) * 5)]))
    assert validated(json.dumps(run)) == "compare-run-1"
    spoil(run)
    with pytest.raises(jsonschema.ValidationError):
        validated(json.dumps(run), "compare-run-1")


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "words",
    [
        ("--models", "epoll,blocking", "--workloads", "tcp-long,udp-echo"),
        ("--rate", "500", "--models", "epoll", "--workloads", "tcp-long"),
        ("--idle", "10", "--workloads", "tcp-long", "--models", "epoll"),
        ("--drivers", "2", "--workloads", "chat", "--models", "asyncio"),
    ],
)
def test_real_run_is_as_its_schema_says(words: tuple[str, ...]) -> None:
    short = ("--rounds", "2", "--duration", "0.1", "--json", "-")
    assert validated(said_by("run", *words, *short)) == "compare-run-1"


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_what_was_checked_and_what_was_seen_is_as_its_schema_says() -> None:
    checked = said_by("check", "--only", "life/0,tcp/1", "--json", "-", "--", *ECHO)
    assert validated(checked) == "compare-check-1"
    assert validated(said_by("see", "--json", "-", "--", *ECHO)) == "compare-see-1"
