"""What shows only in some texts, far into a stream, after many clients or at rest is found.

And what right servers do all the same is not taken for it.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest
from machine import needs_descriptors, needs_ipv6, over_ipv6

from compare.check import idleness, runner, symptoms
from compare.check.bench import Bench, Skipped, Subject
from compare.check.catalogue import CHECKS, Profile, of_profile
from compare.check.failure import Failed
from compare.check.leaks import come_and_go
from compare.check.runner import Finding, run
from compare.check.silence import SENT_AWAY
from compare.check.soon import must_be_soon
from compare.check.tcp import TRACE
from compare.host.place import Place

SERVERS = Path(__file__).parent / "servers"
ROOT = Path(__file__).parents[3]
SEED = 7
# What is planted, the check that finds it, and what it says.
CONTENT = [
    ("loses-byte-65536", "tcp/1", "byte 65,536 "),
    ("loses-a-byte-at-9-mib", "tcp/21", "byte 9,437,184 "),
    ("folds-nuls", "tcp/20", "\\x00"),
    ("raises-lower-case", "tcp/20", "instead of"),
    ("strips", "tcp/20", ""),
    ("mends-line-ends", "tcp/20", "1 byte lost"),
    ("escapes", "tcp/20", "&lt;"),
    ("expands", "tcp/20", "(null)"),
    ("quit-closes", "tcp/20", "then the end"),
    ("drops-4096", "tcp/22", "0 of 4,096 bytes"),
    ("ends-after-2000-reads", "tcp/22", "the end"),
    ("delays", "tcp/23", "of them took 2"),
    ("talks-on", "tcp/3", "bytes more came"),
    ("talks-on", "tcp/4", "bytes more came"),
    ("asks-who-it-is", "tcp/23", "the first answer of a connection"),
    ("two-writes", "tcp/23", "it waits before it answers"),
    ("shares-a-buffer", "tcp/24", "what another client had sent"),
    ("pending-by-port", "tcp/24", "each of 5 clients its own"),
    ("select", "tcp/12-held", "it has ended: killed by SIGSEGV"),
    ("asks-for-ever", "tcp/25", "nobody is connected"),
    ("leaves-epollout-on", "tcp/25", "a client that says nothing"),
    ("waits-unread", "tcp/25", "does not read"),
    ("asks-for-input-while-full", "tcp/25", "does not read"),
    ("leaves-urgent-data", "tcp/25", "after an urgent byte"),
    # Who looked whether it was there has reset its connection: that may be seen at any time since.
    ("stays-after-a-reset", "tcp/25", "next to no CPU time"),
    ("looks-every-20-ms", "tcp/25-held", "beside 1,024 clients that say nothing"),
    ("holds-4096-back", "tcp/23", "an answer to 4,096 bytes"),
    ("keeps-places-of-the-reset", "tcp/13", "then nothing"),
    ("ends-the-silent", "tcp/27", "a client that was silent for 3.5 s"),
    ("ends-when-nobody-comes", "tcp/27", "it has ended: exit status 1"),
    ("ends-who-does-not-read", "tcp/27", "read nothing for 5 s"),
    ("replaces-the-oldest", "tcp/27", "4,200 others came and went"),
]
NEEDS = dict.fromkeys(("select", "looks-every-20-ms"), needs_descriptors(1024 + 64))
LEAKS = [
    ("keeps-one-in-a-hundred", "tcp/13", "descriptors open"),
    ("keeps-what-was-said", "tcp/13", "memory to level off"),
    ("keeps-a-little-of-each-message", "tcp/13-kept", "bytes with each of the last"),
    ("leaves-zombies", "tcp/13", "zombies"),
    ("keeps-threads", "tcp/13", "threads behind"),
]


DATAGRAMS = [
    ("answers-twice", "udp/1", "more often than it was sent"),
    ("cuts-to-a-frame", "udp/7", "only the first 1,472 of"),
    ("drops-9001-to-65506", "udp/7", "nothing came"),
    ("raises-lower-case", "udp/7", "instead of"),
    ("quit-closes", "udp/7", "quit"),
    ("answers-late", "udp/7", "what another client had sent"),
    ("delays", "udp/10", "it waits before it answers"),
    ("asks-for-ever", "udp/8", "before anybody has asked"),
    ("keeps-each-client", "udp/9", "bytes with each of the last"),
    ("takes-1024-clients", "udp/9", "nothing came"),
    ("takes-8192-clients", "udp/9", "nothing came"),
    ("takes-3000-of-each", "udp/9", "nothing came"),
    ("drops-what-has-come", "udp/1", "sent again"),
    ("by-port-alone", "udp/7", "nothing came"),
    ("ends-when-nobody-asks", "udp/12", "it has ended: exit status 1"),
]


def ignore(text: str) -> None:
    """What is under way."""


def found(what: str, *ids: str, **limits: float) -> list[Finding]:
    profile: Profile = "udp-echo" if ids[0].startswith("udp/") else "tcp-echo"
    script = SERVERS / ("udp.py" if profile == "udp-echo" else "planted.py")
    command = (sys.executable, str(script), what, "{port}")
    return list(run(Subject(profile, command, limits=limits), ids, SEED, ignore, regardless=True))


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("what", "id_", "said"),
    [pytest.param(*each, id=each[0], marks=NEEDS.get(each[0], ())) for each in CONTENT],
)
def test_fault_is_found_and_named(
    what: str, id_: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 1.0)
    (finding,) = found(what, id_)
    assert finding.state == "failed"
    assert said in f"{finding.expected}; {finding.actual}"


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize(("what", "id_", "said"), DATAGRAMS, ids=[each[0] for each in DATAGRAMS])
def test_fault_of_a_datagram_server_is_found_and_named(
    what: str, id_: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 1.0)
    (finding,) = found(what, id_)
    assert finding.state == "failed"
    assert said in f"{finding.expected}; {finding.actual}"


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("what", "id_", "said"), LEAKS, ids=[each[0] for each in LEAKS])
def test_leak_is_found_by_its_slope_and_named(what: str, id_: str, said: str) -> None:
    (finding,) = found(what, id_)
    assert finding.state == "failed"
    assert said in f"{finding.expected}; {finding.actual}"


MUST = [each.id for each in of_profile("tcp-echo") if each.kind == "MUST"]


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("what", ["none", "collector", "cached-pipes", over_ipv6("dual-stack")])
def test_what_right_servers_do_is_no_fault(what: str) -> None:
    assert [each for each in found(what, *MUST) if each.state != "passed"] == []


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("id_", ["tcp/6", "tcp/7", "tcp/17"])
def test_descriptors_that_a_run_time_keeps_for_later_are_no_leak(
    id_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 0.5)
    (finding,) = found("cached-pipes", id_)
    assert finding.state == "passed", finding


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("what", ["slow-connections", "delays"])
def test_slowness_is_no_leak(what: str) -> None:
    for finding in found(what, "tcp/13", "tcp/13-kept"):
        assert finding.state == "passed", finding


@pytest.mark.timeout(60)
def test_clients_without_a_port_of_their_own_are_not_the_servers_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*ignored: object) -> None:
        raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))

    monkeypatch.setattr("compare.check.leaks.socket.create_connection", refuse)
    subject = Subject("tcp-echo", place=Place("tcp", "127.0.0.1", 7))
    with Bench(subject, SEED, 1.0) as bench, pytest.raises(Skipped, match="no port left"):
        come_and_go(bench, b"", b"")


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_reset_in_the_place_of_the_end_has_one_explanation() -> None:
    ids = ("tcp/3", "tcp/4", "tcp/5", "tcp/6", "tcp/7", "tcp/12", "tcp/17", "tcp/18")
    failed = found("resets-at-the-end", *ids)
    assert {each.state for each in failed} == {"failed"}
    assert {each.likely for each in failed} == {symptoms.RESET}


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_changed_bytes_have_one_explanation_where_they_are_not_what_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 0.3)
    failed = found("loses-every-third", "tcp/5", "tcp/13-kept", "tcp/18", "tcp/23")
    assert {each.likely for each in failed} == {symptoms.CHANGED}


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("what", ["greets", "adds-a-nul"])
def test_what_no_client_has_sent_has_one_explanation(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 1.0)
    failed = found(what, "tcp/1", "tcp/2", "tcp/3", "tcp/5", "tcp/9", "tcp/12")
    named = [each.id for each in failed if each.likely == symptoms.ADDED]
    assert len(named) >= 4, failed
    assert {each.likely for each in failed} <= {symptoms.ADDED, symptoms.CHANGED}


@pytest.mark.timeout(60)
def test_other_bytes_are_no_fault_of_half_closes_or_segments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 0.3)
    # Segments of tcp/2 that a server takes together are no text, which alone this one changes.
    likely = {
        each.id: each.likely for each in found("raises-lower-case", "tcp/2", "tcp/9", "tcp/18")
    }
    assert likely.pop("tcp/2") in ("", symptoms.ALTERED)
    assert likely == dict.fromkeys(("tcp/9", "tcp/18"), symptoms.CHANGED)


ONE_EXPLANATION = [
    ("keeps-places-of-the-reset", symptoms.COUNTED, ("tcp/27",)),
    ("ends-the-silent", SENT_AWAY, ("tcp/27",)),
    ("ends-who-does-not-read", SENT_AWAY, ("tcp/27",)),
    ("four-closes", symptoms.CLOSED, ("tcp/2",)),
    ("keeps-what-was-unsent", symptoms.OTHERS, ("tcp/6",)),
    ("dies-of-eintr", symptoms.INTERRUPTED, ("tcp/7", "tcp/26")),
    ("waits-for-a-line-end", symptoms.SILENT, ("tcp/5", "tcp/9", "tcp/18", "life/1")),
    ("closes-after-64-kib", symptoms.CLOSED, ("tcp/3", "tcp/9", "tcp/24")),
    ("takes-2000-clients", symptoms.COUNTED, ("tcp/13",)),
    ("children-listen-on", symptoms.LISTENS, ("tcp/19", "life/1")),
    ("ignores-sigterm", symptoms.GOES_ON, ("tcp/19",)),
    ("never-closes", symptoms.NO_END, ("tcp/12",)),
]


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("what", "likely", "ids"), ONE_EXPLANATION, ids=[each[0] for each in ONE_EXPLANATION]
)
def test_symptom_has_one_explanation_in_whichever_check(
    what: str, likely: str, ids: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 0.5)
    failed = found(what, *ids)
    assert {each.id: each.likely for each in failed} == dict.fromkeys(ids, likely)


def test_trips_that_are_slow_every_time_are_no_doing_of_a_busy_machine() -> None:
    must_be_soon([[0.001, 0.04, 0.05], [0.04, 0.04, 0.04]], "an answer", 0.1, 0.0)
    must_be_soon([[0.02] * 3], "an answer", 0.1, 0.015)
    with pytest.raises(Failed, match="all of them took 20 ms"):
        must_be_soon([[0.02, 0.021, 0.04], [0.021] * 3], "an answer", 0.1, 0.0)
    with pytest.raises(Failed, match="half of them took 120 ms"):
        must_be_soon([[0.001, 0.12, 0.12]], "an answer", 0.1, 0.0)


OF_DATAGRAMS = [
    ("by-port-alone", symptoms.MISDIRECTED, "udp/7"),
    ("answers-twice", symptoms.MORE_THAN_ONCE, "udp/1"),
    ("thirty-at-once", symptoms.NOT_ALL, "udp/1"),
    ("ends-when-nobody-asks", CHECKS["udp/12"].mistake, "udp/12"),
]


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize(("what", "likely", "id_"), OF_DATAGRAMS)
def test_symptom_of_a_datagram_server_is_named(
    what: str, likely: str, id_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 0.5)
    assert [each.likely for each in found(what, id_)] == [likely]


UNANSWERED = [
    ("answers-from-another-port", ("udp/2", "udp/6", "udp/8", "udp/10")),
    ("answers-the-first-client", ("udp/9",)),
    ("loses-one-in-a-hundred", ("udp/9",)),
]


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize(("what", "ids"), UNANSWERED, ids=[each[0] for each in UNANSWERED])
def test_datagram_that_is_not_answered_has_one_explanation(
    what: str, ids: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 0.3)
    failed = found(what, *ids)
    assert {each.id: each.likely for each in failed} == dict.fromkeys(ids, symptoms.UNANSWERED)


def test_traces_of_all_languages_are_seen() -> None:
    for said in (
        "Traceback (most recent call last):\n",
        "java.net.SocketException: Connection reset\n\tat java.base/sun.nio.ch.N.read(N.java:328)",
        "Error: read ECONNRESET\n    at TCP.onStreamRead (node:internal/stream:216:20)\n",
        "thread '<unnamed>' panicked at src/main.rs:9:5:\n",
        "panic: reset\n\ngoroutine 18 [running]:\n",
    ):
        assert TRACE.search(said), said
    assert not TRACE.search("listening at 127.0.0.1:7007\nclient 127.0.0.1:9 has left\n")


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_datagrams_that_are_cut_have_one_explanation_where_they_are_not_what_is_asked() -> None:
    assert [each.likely for each in found("cuts", "udp/10")] == [symptoms.CHANGED]


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_end_that_never_comes_has_one_explanation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 0.3)
    failed = found("never-closes", "tcp/5", "tcp/6", "tcp/17", "tcp/18")
    assert {each.likely for each in failed} == {symptoms.NO_END}


@needs_ipv6
@pytest.mark.timeout(60)
def test_stalled_reader_of_a_listener_for_both_versions_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 0.3)
    (finding,) = found("dual-stack", "tcp/10", write=0.2)
    assert finding.state == "failed", finding
    assert "the kernel still has the server's end" in finding.actual


def test_urgent_byte_that_stops_splice_is_among_what_is_likely() -> None:
    assert "splice(2)" in CHECKS["tcp/18"].mistake


def test_who_has_waited_for_a_core_all_the_time_is_not_taken_for_idle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(idleness, "_busy_ns", lambda pid: 0)  # till it gets one
    command = (sys.executable, str(SERVERS / "planted.py"), "asks-for-ever", "{port}")
    with (
        Bench(Subject("tcp-echo", command), SEED, 0.5) as bench,
        pytest.raises(Failed, match="100% of the time"),
    ):
        idleness.must_rest(bench, "at all")


def test_reset_of_one_that_comes_and_goes_is_explained_as_everywhere() -> None:
    command = (sys.executable, str(ROOT / "docs" / "starters" / "echo.py"), "{port}")
    with (
        Bench(Subject("tcp-echo", command), SEED, 5.0) as bench,
        pytest.raises(Failed, match="reset by peer") as failure,
    ):
        come_and_go(bench, bytes(4096), bytes(4096))
    assert failure.value.likely == symptoms.RESET
