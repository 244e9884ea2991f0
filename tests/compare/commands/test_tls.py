"""compare run --tls: what it asks for, and what cannot be meant."""

from __future__ import annotations

from typing import Any

import pytest

LONG = ("--workloads", "tcp-long")
SHORT = ("--workloads", "tcp-short")


@pytest.mark.parametrize(
    ("words", "tls"),
    [
        ((), ["none"]),
        (("--tls",), ["full"]),
        (("--tls", "resumed"), ["resumed"]),
        (("--tls", "none,full,resumed"), ["none", "full", "resumed"]),
    ],
)
def test_handshakes_are_full_if_nothing_else_is_said(
    asked: Any, words: tuple[str, ...], tls: list[str]
) -> None:
    assert asked("run", *words).tls == tls


def test_workloads_are_those_that_can_be_over_tls(asked: Any) -> None:
    assert asked("run", "--tls").workloads == ["tcp-short", "tcp-long"]
    assert asked("run", "--tls", *LONG).workloads == ["tcp-long"]
    assert len(asked("run").workloads) == 4


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--tls", "some"), "there is no handshake 'some'; choose from none, full, resumed"),
        (
            ("--tls", "--workloads", "chat"),
            "Error: chat is not measured over TLS: --tls goes with --workloads tcp-long or "
            "tcp-short.",
        ),
        (
            (*LONG, "--tls", "none,resumed"),
            "Error: --tls resumed is of tcp-short: connections that stay open have one handshake, "
            "and no session before it. Say --tls, or --workloads tcp-short.",
        ),
        (
            (*LONG, "--tls", "--cluster", "local:2"),
            "Error: --tls is on this machine: leave --cluster out.",
        ),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    invoke: Any, words: tuple[str, ...], expected: str
) -> None:
    result = invoke("run", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert expected in result.stderr.splitlines()[-1]


@pytest.mark.usefixtures("nothing_runs")
def test_machine_without_openssl_is_told_so(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    result = invoke("run", *SHORT, "--tls")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1] == (
        "Error: --tls needs openssl(1), which makes the certificate: apt install openssl"
    )
