"""Names of files, of every command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from compare.__main__ import HOMES, main
from compare.commands.file import File


def options(command: click.Command, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """All of `command` and its own commands that take a file: what is typed, up to its name."""
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            below = command.get_command(click.Context(command), name)
            assert below is not None
            yield from options(below, (*words, name))
    for each in command.params:
        if isinstance(each, click.Option) and isinstance(each.type, click.Path):
            yield (*words, each.opts[0])


ALL = list(options(main, ()))


def test_all_commands_were_looked_at() -> None:
    assert {words[0] for words in ALL} >= {"run", "check", "export", "report", "see", "class"}
    assert {words[0] for words in ALL} <= set(HOMES)


@pytest.mark.parametrize("words", ALL, ids=" ".join)
@pytest.mark.parametrize("following", ["--seed", "-o"])
def test_the_next_option_is_no_name(
    words: tuple[str, ...], following: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, [*words, following, "x"])
    assert done.exit_code == 2
    assert f"a name is missing before {following}; a file that is called so is ./{following}" in (
        " ".join(done.output.split())
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_nothing_is_no_name(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(main, [*words, ""])
    assert done.exit_code == 2
    assert f"{words[-1]}" in done.stderr.splitlines()[-1]
    assert "a name is missing: '' is none" in done.stderr.splitlines()[-1]


def test_a_name_may_begin_like_that_in_its_folder() -> None:
    assert File().convert("./--json", None, None) == "./--json"
    assert File(allow_dash=True).convert("-", None, None) == "-"
