"""Options that no framework keeps are refused by each."""

from __future__ import annotations

import pytest

from compare.contenders import asyncio_streams
from compare.contenders.__main__ import FRAMEWORKS, NO_DATAGRAMS, main

LOOPS = ("asyncio", "uvloop")


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What is said, before anything of a framework is loaded."""
    of_streams = words[-1] in LOOPS
    with pytest.raises(SystemExit) as exit_:
        (asyncio_streams.main if of_streams else main)(["serve", *words])
    assert exit_.value.code == 1
    return capsys.readouterr().err


def choice(name: str) -> list[str]:
    return ["--loop" if name in LOOPS else "--framework", name]


@pytest.mark.parametrize("name", [*FRAMEWORKS, *LOOPS])
@pytest.mark.parametrize("option", ["--max-message", "--message-timeout", "--outbox"])
def test_what_is_for_lines_is_refused_for_echo(
    name: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(["echo", option, "70000", *choice(name)], capsys)
    assert said == f"error: {option} does nothing for echo; leave it out\n"


@pytest.mark.parametrize("name", [*FRAMEWORKS, *LOOPS])
def test_talk_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(["chat", "--talk", "ann", *choice(name)], capsys)
    assert said == f"error: {name} cannot wait for a keyboard, so that --talk does nothing\n"


@pytest.mark.parametrize("name", [each for each in FRAMEWORKS if each not in NO_DATAGRAMS])
@pytest.mark.parametrize(
    "option",
    [
        *("--write-buffer", "--min-rate", "--idle-timeout", "--half-closed-timeout"),
        *("--write-timeout", "--linger-timeout", "--max-message", "--outbox"),
    ],
)
def test_what_is_for_connections_is_refused_for_datagrams(
    name: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(["udp-echo", option, "70000", *choice(name)], capsys)
    assert said == f"error: {option} does nothing for udp-echo; leave it out\n"
