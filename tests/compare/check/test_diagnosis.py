"""A failure names the mistake that was made, and not another one that fails the same check."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from machine import needs_descriptors

from compare.check import runner, symptoms
from compare.check.bench import Subject
from compare.check.catalogue import CHECKS
from compare.check.languages import LANGUAGES, look_up, of_command
from compare.check.runner import Finding, run

PAGE = (Path(__file__).parents[3] / "docs" / "learning.md").read_text()
SERVER = Path(__file__).parent / "servers" / "wrong.py"
MISTAKES = [  # of those who write their first servers; the check that meets it; what is said
    ("once", "tcp/2", symptoms.ONCE),
    ("next-one", "tcp/2", symptoms.NEXT_ONE),
    ("serves-one-and-ends", "tcp/5", symptoms.OVER),
    ("one-at-a-time", "tcp/5", symptoms.BLOCKED_IN_RECV),
    ("one-lock", "tcp/9", symptoms.LOCKED),
    ("lock-in-recv", "tcp/5", symptoms.LOCKED),
    ("lock-twice", "tcp/2", symptoms.LOCKED),
    ("no-tuple", "tcp/2", symptoms.RAISED),
    ("joins", "tcp/5", symptoms.JOINED),
    ("one-wait-at-a-time", "tcp/5", symptoms.LISTENER_UNASKED),
    ("blocking-send", "tcp/9", symptoms.BLOCKED_IN_SEND),
    ("edge-missed", "tcp/1", symptoms.EDGE),
    ("edge-of-listener", "tcp/12", symptoms.EDGE_OF_LISTENER),
    ("interest-lost", "tcp/2", symptoms.UNWATCHED),
    ("drops-the-rest", "tcp/3", symptoms.GAP),
    ("sends-again", "tcp/3", symptoms.TWICE),
    ("decodes", "tcp/1", symptoms.DECODED),
    ("again-is-an-error", "tcp/3", symptoms.AGAIN),
    ("dies-of-a-reset", "tcp/6", symptoms.UNCAUGHT),
    ("dies-of-sigpipe", "tcp/17", symptoms.SIGPIPE),
    ("keeps-open", "tcp/4", symptoms.NO_END),
    ("asks-at-the-end", "tcp/4", symptoms.END_AGAIN),
    ("resets-at-the-end", "tcp/4", symptoms.RESET),
    ("short-backlog", "tcp/12", symptoms.BACKLOG),
    ("select", "tcp/12-held", symptoms.SELECT),
    ("spins", "tcp/25", symptoms.SPINS),
    ("always-out", "tcp/25", symptoms.ALWAYS_OUT),
    ("sleeps", "tcp/2", symptoms.SLEEPS),
]
QUICK = {  # one for each way in which a mistake is found
    *("next-one", "edge-missed", "drops-the-rest", "dies-of-a-reset", "always-out"),
}
CASES = [
    pytest.param(*each, id=each[0], marks=[] if each[0] in QUICK else [pytest.mark.slow])
    for each in MISTAKES
]


def found(mistake: str, *ids: str, regardless: bool = False) -> list[Finding]:
    subject = Subject("tcp-echo", (sys.executable, str(SERVER), mistake, "{port}"))
    return list(run(subject, ids, 7, lambda text: None, regardless=regardless))


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("mistake", "id_", "likely"), CASES)
def test_mistake_is_named(
    mistake: str, id_: str, likely: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 0.5)
    (finding,) = found(mistake, id_)
    if finding.state == "skipped":
        pytest.skip(finding.reason)
    assert finding.state == "failed"
    words = likely.partition("{")[0].removesuffix(f" {id_} asks for just this.")
    assert finding.likely.startswith(words), (finding.likely, finding.seen, finding.actual)


@pytest.mark.timeout(60)
def test_what_nobody_has_any_more_was_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 0.5)
    for finding in found("heeds-no-result", "tcp/3", "tcp/8"):
        assert finding.likely in (symptoms.LET_DROP, symptoms.GAP), (finding.id, finding.actual)
        assert finding.likely == symptoms.LET_DROP or finding.id != "tcp/8"


@pytest.mark.timeout(60)
@needs_descriptors(1064)
def test_server_that_ended_for_no_known_reason_has_not_made_the_mistake_of_the_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 0.5)
    crowd, resets = found("exits", "tcp/12", "tcp/6", regardless=True)
    assert "exit status 3" in crowd.actual
    assert crowd.likely == symptoms.ENDED
    assert resets.likely == CHECKS["tcp/6"].mistake


@pytest.mark.timeout(60)
def test_what_follows_from_a_failure_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 0.5)
    ids = ("life/0", "tcp/2", "tcp/1", "tcp/3", "tcp/4")
    states = {each.id: each for each in found("once", *ids)}
    assert [each.state for each in states.values()] == [
        "passed",
        "failed",
        *["skipped"] * 2,
        "passed",
    ]
    # The root, and not what lies between.
    assert states["tcp/3"].reason == "not asked: tcp/2 comes first"
    assert all(each.state != "skipped" for each in found("once", *ids, regardless=True))


@pytest.mark.timeout(60)
def test_server_of_another_protocol_fails_one_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 0.5)
    subject = Subject("chat", (sys.executable, str(SERVER), "none", "{port}"))
    first, *rest = run(subject, ["life/0", "chat/10", "chat/6", "tcp/25"], 7, lambda text: None)
    assert (first.id, first.state) == ("life/0", "failed")
    assert {each.reason for each in rest} == {"not asked: life/0 comes first"}


@pytest.mark.timeout(60)
def test_failure_shows_what_the_server_was_doing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 0.5)
    (finding,) = found("one-at-a-time", "tcp/5")
    threads, listener, *conns = finding.seen
    assert threads == "1 thread: in recvfrom() on client 2"
    assert listener == "the listener: 5 waiting to be accepted, backlog 4096"
    assert conns[0] == "client 2: ESTABLISHED, blocking"
    assert "accepted by nobody" in conns[1]


def test_page_shows_what_each_mistake_looks_like() -> None:
    rows = re.findall(r"^\| ([a-z-]+) \| `([a-z0-9/-]+)` \|", PAGE, re.MULTILINE)
    assert rows == [(mistake, id_) for mistake, id_, _ in MISTAKES]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_a_call_for_every_mistake(language: str) -> None:
    for _, id_, likely in MISTAKES:
        text = look_up(id_, likely.format(whom="client 1", backlog=5, last=""), language)  # type: ignore[arg-type]
        assert text or likely in (symptoms.OVER, symptoms.RAISED)


def test_first_checks_name_calls_of_the_language_alone() -> None:
    for id_ in ("life/0", "fr/3", "tcp/26"):
        for language in LANGUAGES:
            said = look_up(id_, CHECKS[id_].mistake, language)
            assert said
            assert language == "c" or not re.search(r"\w\([23]\)", said), (id_, language, said)


def test_language_is_that_of_the_command(tmp_path: Path) -> None:
    script = tmp_path / "server.mjs"
    assert of_command(("python3.12", "x")) == "python"
    assert of_command((sys.executable, "x")) == "python"
    assert of_command(("nice", "node", "x")) == "js"
    assert of_command(("java", "-jar", "x.jar")) == "java"
    assert of_command((str(script),)) == "js"
    assert of_command(("/bin/sh", "-c", "x")) == "c"
    assert of_command(("./missing",)) is None
