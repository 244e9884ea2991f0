"""Every option on every model: it is kept, or refused in one line."""

from __future__ import annotations

import pytest

from blocking import __main__ as blocking
from blocking.__main__ import MODULES, NO_CHAT, NO_DATAGRAMS, main

OPTIONS = {
    "--max-connections": "3",
    "--max-per-peer": "3",
    "--on-full": "reject",
    "--max-message": "3",
    "--write-buffer": "3",
    "--outbox": "70000",
    "--min-rate": "3",
    "--idle-timeout": "3",
    "--message-timeout": "3",
    "--half-closed-timeout": "3",
    "--handshake-timeout": "3",
    "--write-timeout": "3",
    "--drain-timeout": "3",
    "--linger-timeout": "3",
}
ALONE = ("blocking", "prefork", "prefork-reuseport")
OF_TLS = {"--handshake-timeout"}
OF_LINES = {"--max-message", "--message-timeout", "--outbox"}
OF_MANY = {"--max-connections", "--max-per-peer", "--on-full", "--outbox"}
CASES = [
    *(
        (model, "echo", OF_TLS | OF_LINES | (OF_MANY if model in ALONE else set()))
        for model in MODULES
    ),
    *(
        (model, "chat", OF_TLS | (OF_MANY if model in ALONE else set()))
        for model in MODULES
        if model not in NO_CHAT
    ),
    *(
        (model, "udp-echo", OPTIONS.keys() - {"--drain-timeout"})
        for model in MODULES
        if model not in NO_DATAGRAMS
    ),
]


def test_table_has_every_option() -> None:
    assert len(OPTIONS) == len(blocking.SETTINGS)


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize(
    ("model", "service", "useless"), CASES, ids=[f"{each[0]}-{each[1]}" for each in CASES]
)
def test_what_a_model_does_not_keep_is_refused(
    model: str,
    service: str,
    useless: set[str],
    option: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(blocking, "serve", lambda task: 0)
    with pytest.raises(SystemExit) as exit_:
        main(["serve", service, "--model", model, option, OPTIONS[option]])
    said = capsys.readouterr().err
    if option in useless:
        assert exit_.value.code == 1
        assert said.startswith(f"error: {option} does nothing ")
        assert said.count("\n") == 1
    else:
        assert (exit_.value.code, said) == (0, "")


@pytest.mark.parametrize("model", MODULES)
def test_handshake_timeout_is_kept_where_there_is_one(
    model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(blocking, "serve", lambda task: 0)
    options = ["--tls-cert", "pair.pem", "--handshake-timeout", "3"]
    with pytest.raises(SystemExit) as exit_:
        main(["serve", "echo", "--model", model, *options])
    assert (exit_.value.code, capsys.readouterr().err) == (0, "")


def test_what_lifts_a_limit_is_never_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking, "serve", lambda task: 0)
    for option in ("--max-connections", "--max-per-peer"):
        with pytest.raises(SystemExit) as exit_:
            main(["serve", "echo", "--model", "prefork", option, "none"])
        assert exit_.value.code == 0
