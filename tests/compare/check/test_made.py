"""How a server is made and listens: its style, its backlog, the address that it answers from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from compare.check import runner
from compare.check.bench import Subject
from compare.check.catalogue import Profile
from compare.check.runner import Finding, run

SERVERS = Path(__file__).parent / "servers"
STYLE = "one-thread"
STYLES: list[tuple[Profile, str, str, str]] = [
    ("tcp-echo", "planted.py", "none", "threads"),
    ("tcp-echo", "planted.py", "children-listen-on", "child processes"),
    ("tcp-echo", "tcp.py", "one-thread-blocks", "has no O_NONBLOCK"),
    ("frames", "frames.py", "reads-to-the-end", "has no O_NONBLOCK"),
]


ADDRESS = {"asked-address": 1.0}


def found(profile: Profile, id_: str, script: str, *words: str, **more: Any) -> Finding:
    command = (sys.executable, str(SERVERS / script), *words)
    (finding,) = run(Subject(profile, command, **more), [id_], 7, lambda text: None)
    return finding


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("profile", "script", "what", "said"), STYLES, ids=[f"{each[1]}-{each[2]}" for each in STYLES]
)
def test_server_of_another_style_is_told_so(
    profile: Profile, script: str, what: str, said: str
) -> None:
    finding = found(profile, "nb/1", script, what, "{port}", style=STYLE)
    assert (finding.state, finding.kind) == ("failed", "STYLE")
    assert said in finding.actual


LOOPS: list[tuple[Profile, str, str]] = [
    ("tcp-echo", "planted.py", "leaves-urgent-data"),
    ("chat", "chat.py", "none"),
    ("later", "later.py", "none"),
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("profile", "script", "what"), LOOPS, ids=[each[0] for each in LOOPS])
def test_one_thread_with_non_blocking_sockets_passes(
    profile: Profile, script: str, what: str
) -> None:
    assert found(profile, "nb/1", script, what, "{port}", style=STYLE).state == "passed"


@pytest.mark.timeout(60)
def test_style_is_not_looked_at_where_nobody_asked() -> None:
    finding = found("tcp-echo", "nb/1", "planted.py", "none", "{port}")
    assert finding.state == "skipped"
    assert "--style one-thread" in finding.reason


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_short_backlog_is_told_by_its_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 1.0)
    finding = found("tcp-echo", "tcp/26", "planted.py", "short-backlog", "{port}")
    assert finding.state == "failed"
    assert finding.actual == "LISTEN 6/5: 6 of 300 are connected"
    assert "listen(" in finding.likely


@pytest.mark.timeout(60)
def test_answer_from_another_address_than_was_asked_is_found() -> None:
    finding = found("udp-echo", "udp/11", "udp.py", "none", "{port}", "{host}", limits=ADDRESS)
    assert finding.state == "failed"
    assert finding.actual == "it came from 127.0.0.1"
    assert "IP_PKTINFO" not in finding.likely
    assert "bound to all addresses" in finding.likely


@pytest.mark.timeout(60)
def test_server_at_one_address_is_not_asked_at_another() -> None:
    finding = found("udp-echo", "udp/11", "udp.py", "none", "{port}", limits=ADDRESS)
    assert finding.state == "skipped"
    assert "{host}" in finding.reason
