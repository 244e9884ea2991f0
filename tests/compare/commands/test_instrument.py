"""`compare selftest` and `compare list` as they are called."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import Result

from compare.commands import instrument
from compare.host.cores import Cores, claimed
from compare.models.matrix import MODELS, WORKLOADS
from compare.models.sets import SETS
from compare.selftest import trials
from compare.selftest.finding import Finding

Invoke = Callable[..., Result]


# The self-test


@pytest.fixture
def findings(monkeypatch: pytest.MonkeyPatch, invoke: Invoke) -> Callable[..., tuple[Result, Any]]:
    """Runs the self-test with findings of these states; the result, and what was asked for."""

    def run(*states: str, interrupted: bool = False) -> tuple[Result, Any]:
        asked: list[Any] = []

        def find(cores: Any, comparisons: int, told: Callable[[str], None]) -> Iterator[Finding]:
            asked.append((cores, comparisons))
            told("something")
            for state in states:
                yield Finding(f"a [row] of {state}", "1", "2", state)  # type: ignore[arg-type]
            if interrupted:
                raise KeyboardInterrupt

        monkeypatch.setattr(trials, "selftest", find)
        return invoke("selftest", "--comparisons", "0"), asked[0]

    return run


@pytest.mark.parametrize(
    ("states", "status"),
    [
        ((), 0),
        (("right", "right"), 0),
        (("right", "noisy"), 0),
        (("right", "wrong", "noisy"), 1),
    ],
)
def test_self_test_fails_only_where_something_is_wrong(
    findings: Callable[..., tuple[Result, Any]], states: tuple[str, ...], status: int
) -> None:
    result, (_, comparisons) = findings(*states)
    assert result.exit_code == status
    assert comparisons == 0
    for state in states:
        assert f"a [row] of {state} " in result.stdout
    for state in ("right", "wrong", "noisy"):
        assert f"{states.count(state)} {state}" in result.stdout
    assert ("stop other programs" in result.stdout) == ("noisy" in states)


def test_interrupted_self_test_shows_what_was_found(
    findings: Callable[..., tuple[Result, Any]],
) -> None:
    result, _ = findings("right", "wrong", interrupted=True)
    assert result.exit_code == 130
    assert "a [row] of wrong " in result.stdout


def test_other_run_on_a_core_of_ours_is_told_in_a_line(
    findings: Callable[..., tuple[Result, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers that no machine of a test has."""
    monkeypatch.setattr(instrument, "pinned_to", lambda cores: Cores((8011,), 8012))
    with claimed({8012}):
        result, _ = findings("right")
    assert "another run measures on core 8012, too" in result.stderr
    assert "--cores chooses others" in result.stderr
    assert "another run" not in findings("right")[0].stderr


@pytest.mark.parametrize("value", ["-1", "many", "100001"])
def test_bad_number_of_comparisons_is_refused(invoke: Invoke, value: str) -> None:
    result = invoke("selftest", "--comparisons", value)
    assert result.exit_code == 2
    assert "--comparisons" in result.stderr.splitlines()[-1]


# The catalogue


def test_list_names_every_model_and_workload(invoke: Invoke) -> None:
    result = invoke("list")
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert "…" not in result.stdout
    lines = result.stdout.splitlines()
    for name in [*MODELS, *WORKLOADS]:
        assert [line for line in lines if line.startswith(f"{name} ")], name
    for model in MODELS.values():
        here = [
            words for name, words in model.meaning.items() if not model.unsupported(WORKLOADS[name])
        ]
        for words in (model.summary, *here, *model.exceptions.values()):
            assert words in result.stdout
    for words, _ in SETS.values():
        assert words in result.stdout


def test_list_says_what_cannot_run_and_what_to_type(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "uvloop" else find(name)
    )
    text = invoke("list").stdout
    assert text.count("cannot run: uvloop is not installed: pip install uvloop") >= len(WORKLOADS)
