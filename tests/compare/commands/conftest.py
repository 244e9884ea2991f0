"""The command in this process."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence

import pytest
from click.testing import CliRunner, Result

from compare.__main__ import main
from compare.commands import run as cli
from compare.models.model import Model
from compare.results.records import Run, Settings

Invoke = Callable[..., Result]
Asked = Callable[..., Settings]


@pytest.fixture
def invoke() -> Iterator[Invoke]:
    """Runs the command in this process, with stdout and stderr apart and no terminal."""
    before = signal.getsignal(signal.SIGTERM)
    yield lambda *arguments: CliRunner().invoke(main, arguments, catch_exceptions=False)
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def asked(
    monkeypatch: pytest.MonkeyPatch, invoke: Invoke, made_up_run: Callable[..., Run]
) -> Asked:
    """The settings that some arguments come to, with seed 1."""

    def ask(*arguments: str) -> Settings:
        found: list[Settings] = []

        def execute(settings: Settings, models: Sequence[Model], *_: object) -> Run:
            assert [each.name for each in models] == settings.models
            found.append(settings)
            return made_up_run([])

        monkeypatch.setattr(cli, "execute", execute)
        result = invoke(*arguments, "--seed", "1")
        assert result.exit_code == 0, result.output
        return found[0]

    return ask


@pytest.fixture
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused is refused before anything is measured."""
    monkeypatch.setattr(cli, "execute", lambda *_: pytest.fail("it runs"))
