"""compare run --profile: what cannot be meant."""

from __future__ import annotations

from typing import Any

import pytest

RUN = ("run", "--models", "epoll,asyncio", "--workloads", "tcp-long")


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ("--profile", "uvloop"),
            "Error: --profile 'uvloop' is none of what is measured: epoll, asyncio.",
        ),
        (
            ("--profile", "epoll,"),
            "Error: --profile '' is none of what is measured: epoll, asyncio.",
        ),
        (
            ("--profile", "epoll", "--rate", "100"),
            "Error: --profile is of closed loops on this machine: leave --cluster and --rate out.",
        ),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    invoke: Any, words: tuple[str, ...], expected: str
) -> None:
    result = invoke(*RUN, *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1] == expected


@pytest.mark.usefixtures("nothing_runs")
def test_machine_without_strace_is_told_so(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    result = invoke(*RUN, "--profile", "epoll")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1] == (
        "Error: --profile needs strace(1), which counts system calls: apt install strace"
    )
