"""Servers with one mistake each fail the checks that are for it, and no others."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from compare.check import runner
from compare.check.bench import Subject
from compare.check.catalogue import Profile, of_profile
from compare.check.runner import run

SERVERS = Path(__file__).parent / "servers"
# Which checks fail by which mistake. What is served wrongly is found by all that is served.
# A whole one is looked for.
NEWCOMER = {"tcp/5", "tcp/6", "tcp/7", "tcp/13", "tcp/17", "tcp/18", "tcp/27"}
LARGE = {
    *("tcp/1", "tcp/3", "tcp/8", "tcp/13-kept"),
    *("tcp/20", "tcp/21", "tcp/22", "tcp/23", "tcp/24", "tcp/27"),
}
GOODBYES = {  # all that wait until it is told that somebody left
    *("chat/6", "chat/7", "chat/8", "chat/11", "chat/12", "chat/14"),
    *("chat/6-words", "chat/7-refusal", "chat/8-names", "chat/13-said"),
}
GREETED = {  # all that begin with a hello and its answer
    *(f"fr/{number}" for number in range(1, 9)),
    *("tcp/5", "tcp/6", "tcp/7", "tcp/12", "tcp/12-held", "tcp/13", "tcp/18", "tcp/19", "tcp/23"),
    *("tcp/25-held", "tcp/26", "tcp/27", "life/0", "life/1"),
}
RESETS = {"tcp/6", "tcp/7", "tcp/13", "tcp/17", "tcp/24", "tcp/25"}  # while it is written to
MISTAKES: dict[Profile, dict[str, set[str]]] = {
    "tcp-echo": {
        "none": set(),
        "drops-the-last-byte": {*LARGE, "tcp/13"},
        "swaps-halves": LARGE,
        "doubles": LARGE,
        "text": {*LARGE, "tcp/2"},
        "stops-at-nul": {*LARGE, "tcp/2", "tcp/13"},
        "first-message-only": {*LARGE, "tcp/2", "tcp/9", "tcp/18"},
        "partial-writes": {"tcp/3", "tcp/8", "tcp/24", "tcp/27"},
        "closes-at-half-close": {"tcp/3", "tcp/8", "tcp/12", "tcp/27"},
        "without-bound": {"tcp/8"},
        "one-thread-blocks": {"tcp/9", "tcp/27"},
        "one-at-a-time": {"tcp/5", "tcp/9", "tcp/12-held", "tcp/24", "tcp/25-held", "tcp/27"},
        "fifty-slots": {"tcp/12-held", "tcp/25-held"},
        "after-the-end": {
            *NEWCOMER,
            *("tcp/1", "tcp/2", "tcp/8", "tcp/9", "tcp/12-held", "tcp/19", "life/1"),
            *("tcp/13-kept", "tcp/20", "tcp/21", "tcp/22", "tcp/23", "tcp/24", "tcp/25-held"),
            *("tcp/26", "life/0"),
        },
        "whole-lines": {
            *NEWCOMER,
            *LARGE,
            *("tcp/2", "tcp/9", "tcp/12", "tcp/12-held", "tcp/19", "tcp/25-held", "tcp/26"),
            "life/1",
        },
        "nul-at-the-end": {*NEWCOMER, "tcp/3", "tcp/4", "tcp/8", "tcp/12", "tcp/26"},
        "never-closes": {*NEWCOMER, "tcp/3", "tcp/4", "tcp/8", "tcp/12", "tcp/26"},
        "dies-of-a-reset": {*RESETS, "tcp/27"},
        "dies-of-sigpipe": RESETS,
        "traceback-of-a-reset": {"tcp/17"},
        "leaks-descriptors": {"tcp/6", "tcp/7", "tcp/13", "tcp/17"},
        "leaks-memory": {"tcp/13"},
        "urgent-inline": {"tcp/18"},
        "no-reuseaddr": {"tcp/19"},
        "ignores-sigterm": {"tcp/19", "life/1"},
        "ends-badly": {"life/1"},
        "traceback-at-bind": {"life/6"},
        "all-is-well-at-bind": {"life/6"},
    },
    "udp-echo": {
        "none": set(),
        "cuts": {"udp/1", "udp/7", "udp/9", "udp/10"},
        "drops-the-empty": {"udp/1", "udp/7"},
        "strips": {"udp/1", "udp/7", "udp/9"},
        "dies-of-einval": {"udp/2"},
        "dies-of-a-refusal": {"udp/6", "udp/8"},
    },
    "chat": {
        "none": set(),
        "passes-junk-on": {"chat/10", "chat/3-clean"},
        "keeps-who-says-junk": {"chat/3"},
        "keeps-what-has-no-end": {"chat/2-endless", "chat/7-refusal"},
        "lines-are-reads": {"chat/4", "chat/13-said"},
        "announces-the-unnamed": {
            *GOODBYES,
            *("chat/2-endless", "chat/4", "chat/9", "chat/10", "chat/13"),
            *("chat/14-said", "chat/15", "chat/16"),
        },
        "forgets-goodbyes": GOODBYES,
        "says-goodbye-twice": GOODBYES,
        "keeps-names": {"chat/12", "chat/6-words", "chat/7-refusal", "chat/13-said"},
        "any-name": {"chat/7", "chat/7-refusal"},
        "tells-the-sender": {
            *("chat/6", "chat/9", "chat/11", "chat/12", "chat/13", "chat/15", "chat/16"),
            "chat/9-order",
        },
        "loses-some": {"chat/4", "chat/9", "chat/9-order", "chat/14-said"},
        "doubles-some": {"chat/4", "chat/9", "chat/9-order", "chat/14-said"},
        "orders-differ": {"chat/9-order"},
    },
    "frames": {
        "none": set(),
        "length-little-endian": GREETED,
        "numbers-little-endian": GREETED,
        "answer-little-endian": GREETED,
        "frames-are-reads": {"fr/1", "fr/2", "fr/5", "fr/8"},
        "whole-headers": {"fr/1"},
        "drops-what-is-behind": {"fr/1", "fr/2"},
        "one-frame-a-read": {"fr/2"},
        "last-comes-first": {"fr/2"},
        "empty-is-the-end": {"fr/4"},
        "empty-has-no-answer": {"fr/4"},
        "unsigned": {"fr/5"},
        "sum-of-32-bits": {"fr/5"},
        "no-bound": {"fr/6"},
        "allocates": {"fr/6"},
        "takes-any-length": {"fr/6"},
        "length-is-signed": {"fr/6"},
        "dies-of-a-bad-length": {"fr/6"},
        "waits-for-the-rest": {"fr/7"},
        "answers-what-there-is": {"fr/7"},
        "dies-of-half-a-frame": {"fr/7"},
        "reads-to-the-end": {"fr/8"},
        "two-writes": {"tcp/23"},
    },
    "later": {
        "none": set(),
        "sleeps": {"later/1", "later/2", "later/3", "later/4", "later/5"},
        "threads-that-sleep": {"later/1", "later/4"},
        "lines-are-reads": {"later/1"},
        "sleeps-until-the-first": {
            *("later/1", "later/2", "later/3", "later/4", "later/5", "tcp/6", "tcp/7")
        },
        "looks-all-the-time": {"later/3"},
        "twice": {"later/3"},
        "keeps-what-is-due": {"later/4"},
        "writes-to-who-left": {"later/4"},
        "drifts": {"later/5", "tcp/23"},
        "early": {"later/5"},
        "passes-over-what-is-no-line": {"later/6"},
    },
}
SCRIPTS: dict[Profile, str] = {
    "tcp-echo": "tcp.py",
    "udp-echo": "udp.py",
    "chat": "chat.py",
    "frames": "frames.py",
    "later": "later.py",
}
QUICK = {("udp-echo", "cuts")}
HASTY = ("frames", "later")  # no fault of theirs takes long to see
MANY = 15  # checks, each of which waits in vain
CASES = [
    pytest.param(
        profile,
        mistake,
        id=f"{profile}-{mistake}",
        marks=[] if (profile, mistake) in QUICK else [pytest.mark.slow],
    )
    for profile, mistakes in MISTAKES.items()
    for mistake in mistakes
]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("profile", "mistake"), CASES)
def test_mistake_fails_the_checks_that_are_for_it(
    profile: Profile, mistake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if profile in HASTY or len(MISTAKES[profile][mistake]) > MANY:
        monkeypatch.setattr(runner, "PATIENCE_S", 1.0)
    command = (sys.executable, str(SERVERS / SCRIPTS[profile]), mistake, "{port}")
    ids = [each.id for each in of_profile(profile) if each.kind != "LIMIT"]
    subject = Subject(profile, command, strict=True)
    found = list(run(subject, ids, 7, lambda text: None, regardless=True))
    failed = {each.id: (each.expected, each.actual) for each in found if each.state == "failed"}
    assert set(failed) == MISTAKES[profile][mistake], failed
    assert all(each.likely and each.timeline for each in found if each.state == "failed")


# The servers without a mistake have no limit either, so one that is declared is not kept.
LIMITS = [
    ("tcp-echo", "tcp/5-idle", {"idle": 0.3}),
    ("tcp-echo", "tcp/10", {"write": 0.3}),
    ("tcp-echo", "tcp/14", {"connections": 3.0}),
    ("tcp-echo", "tcp/15", {"per-peer": 2.0}),
    ("tcp-echo", "life/3", {"handshake": 0.3}),
    ("tcp-echo", "life/5", {"workers": 2.0}),
    ("udp-echo", "udp/3", {"no-privileged": 1.0}),
    ("udp-echo", "udp/4", {"rate": 50.0}),
    ("chat", "chat/1", {"message-time": 0.3}),
    ("chat", "chat/2", {"message": 64.0}),
]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("profile", "id_", "limits"), LIMITS, ids=[each[1] for each in LIMITS])
def test_limit_that_is_declared_and_not_kept_fails_its_check(
    profile: Profile, id_: str, limits: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 0.5)
    command = (sys.executable, str(SERVERS / SCRIPTS[profile]), "none", "{port}")
    (finding,) = run(Subject(profile, command, limits=limits), [id_], 7, lambda text: None)
    if id_ == "udp/3" and finding.state == "skipped":  # who is not root has no low port
        pytest.skip(finding.reason)
    assert finding.state == "failed", finding
    assert (finding.kind, bool(finding.likely)) == ("LIMIT", True)


def test_there_are_mistakes_enough() -> None:
    assert sum(map(len, MISTAKES.values())) - len(MISTAKES) >= 25
