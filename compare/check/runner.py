"""Make the checks, one after the other, each against a fresh server."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from compare.check import (
    chat,
    chat_members,
    chat_strict,
    client_asks,
    client_ends,
    client_talk,
    crowds,
    diagnosis,
    echoes,
    frames,
    idleness,
    languages,
    later,
    leaks,
    life,
    limits,
    silence,
    smoke,
    style,
    symptoms,
    tcp,
    udp,
    udp_limits,
)
from compare.check.bench import PATIENCE_S, Bench, Subject
from compare.check.blame import Attention, Skipped, of_this_machine
from compare.check.catalogue import CHECKS, CLIENTS, Check, Kind
from compare.check.client_bench import ClientBench
from compare.check.failure import Differs, Failed
from compare.check.postmortem import Look
from compare.check.slowness import slowness
from compare.host.launch import LaunchError, ProtocolError, SilentError, UnableError
from compare.host.limits import raise_descriptors
from compare.host.place import ANYWHERE, LOOPBACKS

MODULES = (
    smoke,
    tcp,
    echoes,
    crowds,
    leaks,
    idleness,
    udp,
    chat,
    chat_members,
    chat_strict,
    frames,
    later,
    limits,
    udp_limits,
    silence,
    life,
    client_talk,
    client_ends,
    client_asks,
    style,
)  # which enter their checks into the catalogue
log = logging.getLogger("compare")

SLOWEST = 10.0  # a machine slower than that is not waited for any longer
TRIES = 2  # to start, before it is asked no more; and of a check that we did not attend to
OF_ANOTHER = "life/6"  # server than the one that can be looked at
BY_CONTENT = (symptoms.OTHER_VARIANT,)  # of what came, beside which nothing else counts
FIRST_OF_BYTES = "tcp/2"  # which is one of those to make pass first
SAY_WHERE = (
    "; its command has no {port}: put that where it is told where to listen, or let it print READY "
    "tcp://HOST:PORT"
)

State = Literal["passed", "failed", "skipped"]


class Step(msgspec.Struct, frozen=True):
    """One call of a client, or several equal ones: when in seconds, who, what, its result."""

    at_s: float
    who: str
    call: str
    result: str
    times: int


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found. reason: why it was skipped. stderr: the end of what the server said.

    The rest is of one that failed. seen: what the server was doing then, in rows. look_up: the
    calls that matter in its language. started: False where it was for want of a server.
    """

    id: str
    kind: Kind
    state: State
    took_s: float
    reason: str = ""
    expected: str = ""
    actual: str = ""
    at_byte: int | None = None
    likely: str = ""
    stderr: str = ""
    timeline: list[Step] = []
    seen: list[str] = []
    look_up: str = ""
    started: bool = True


Teller = Callable[[str], None]


def run(
    subject: Subject,
    ids: Sequence[str],
    seed: int,
    told: Teller,
    *,
    alone: bool = False,
    regardless: bool = False,
    failed: Sequence[str] = (),
) -> Iterator[Finding]:
    """Make the checks `ids`: a finding for each, whatever becomes of the server.

    One that needs another one that has failed is not asked; regardless: it is. failed: of those
    that were made before.
    """
    raise_descriptors()
    roots = {name: name for name in failed}  # of what has failed or was not asked: what comes first
    failures = 0  # to start, one after the other
    reason = ""
    for number, name in enumerate(ids):
        check = CHECKS[name]
        told(f"{number + 1}/{len(ids)} {name}")
        if (number == 0 or reason) and (nobody := _nobody(subject)):
            failures, reason = TRIES, nobody
        if failures >= TRIES and not _why_skipped(check, subject, alone=alone):
            yield _not_started(check, time.monotonic(), reason)
            continue
        if not regardless and (first := next(filter(None, map(roots.get, check.needs)), "")):
            roots[name] = first
            yield not_asked(name, f"not asked: {first} comes first")
            continue
        finding = _make(check, subject, seed, alone=alone)
        if finding.state == "failed" and finding.started:
            roots[name] = name
        if finding.state != "skipped":
            failures = 0 if finding.started else failures + 1
            reason = finding.actual  # where it passed, there is none
        yield finding


def run_together(
    subject: Subject, ids: Sequence[str], seed: int, *, alone: bool = False
) -> Iterator[Finding]:
    """The same of one server, which is not started anew for each; up to the first failure.

    Raises LaunchError.
    """
    raise_descriptors()
    with Bench(subject, seed, _patience(subject)) as bench:
        for name in ids:
            began = time.monotonic()
            if reason := _why_skipped(CHECKS[name], subject, alone=alone):
                yield _finding(CHECKS[name], "skipped", began, reason=reason)
                continue
            with Attention() as attention:
                finding = _made(CHECKS[name], bench, began)
            bench.send_clients_home()
            yield _excused(finding, attention)
            if finding.state == "failed":
                return


def _make(check: Check, subject: Subject, seed: int, *, alone: bool) -> Finding:
    """Against a fresh server; once more, where it failed and we could not attend to it."""
    began = time.monotonic()
    if reason := _why_skipped(check, subject, alone=alone):
        return _finding(check, "skipped", began, reason=reason)
    for _ in range(TRIES):
        began = time.monotonic()
        try:
            with Attention() as attention:
                finding = _tried(check, subject, seed)
        except UnableError as error:
            return _finding(check, "skipped", began, reason=str(error))
        except Exception as error:  # what others found, and what is still to be asked, stays
            log.debug("%s failed by itself", check.id, exc_info=True)
            why = f"{type(error).__name__}: {error}"
            reason = f"the check itself failed, which is a fault of ours ({why}): please report it"
            return _finding(check, "skipped", began, reason=reason)
        if finding.state != "failed" or not attention.excuse():
            return finding
    return _excused(finding, attention)


def _tried(check: Check, subject: Subject, seed: int) -> Finding:
    began = time.monotonic()
    try:
        limit = subject.limits.get(check.limit or "", 0.0)
        with bench_of(subject, seed, _patience(subject), limit) as bench:
            return _made(check, bench, began)
    except UnableError as error:
        return _finding(check, "skipped", began, reason=str(error))
    except LaunchError as error:
        return _not_started(check, began, _words(error, subject))
    except (OSError, MemoryError) as error:  # of ours, before there was a server
        if not (reason := of_this_machine(error)):
            raise
        return _finding(check, "skipped", began, reason=reason)


def bench_of(subject: Subject, seed: int, patience: float, limit: float) -> Bench | ClientBench:
    kind = ClientBench if subject.profile in CLIENTS else Bench
    return kind(subject, seed, patience, limit)


def _excused(finding: Finding, attention: Attention) -> Finding:
    """Skipped, where it failed for what was not the server's doing."""
    reason = attention.excuse()
    if finding.state != "failed" or not reason:
        return finding
    return msgspec.structs.replace(finding, state="skipped", reason=reason, likely="", started=True)


def _not_started(check: Check, began: float, reason: str) -> Finding:
    wanted = f"the {check.tested} to start"
    return _finding(check, "failed", began, expected=wanted, actual=reason, started=False)


def _words(error: LaunchError, subject: Subject) -> str:
    """Why it did not start, and what to do about it in a check."""
    if isinstance(error, ProtocolError):
        return f"{error.said}: is it of another --profile?"
    if isinstance(error, SilentError):
        more = "" if subject.takes_a_port else SAY_WHERE
        longer = "" if subject.obeys else "; one that needs longer takes --ready-timeout"
        return f"{error}{more}{longer}"
    return str(error)


def _nobody(subject: Subject) -> str | None:
    """Why there is nobody at the place where a server runs already."""
    if (place := subject.place) is None:
        return None
    what = f"nobody listens at {place.scheme}://{place.host}:{place.port}"
    if place.scheme == "udp":  # of another machine one cannot know
        here = place.host in (*LOOPBACKS, *ANYWHERE) and Path("/proc/net/udp").exists()
        return what if here and not place.bound() else None
    try:
        socket.create_connection(place[1:], PATIENCE_S).close()
    except OSError as error:
        return None if of_this_machine(error) else f"{what}: {error.strerror or error}"
    return None


def _patience(subject: Subject) -> float:
    return (subject.patience_s or PATIENCE_S) * min(SLOWEST, slowness())


def _why_skipped(check: Check, subject: Subject, *, alone: bool) -> str:
    if check.limit and check.limit not in subject.limits:
        return f"no such limit was declared: --limit {check.limit}=..."
    if check.kind == "STRICT" and not subject.strict:
        return "a rule of ours, beyond what the protocol asks of everybody: --strict"
    if check.style != subject.style and check.style:
        return f"how it is made was not asked for: --style {check.style}"
    if check.inside and subject.place is not None:
        return "only for a server that is started here"
    if check.together and alone:
        return "it serves one client at a time, by nature"
    return ""


def _made(check: Check, bench: Bench | ClientBench, began: float) -> Finding:
    try:
        check.run(bench)
        bench.must_be_there()
    except Skipped as skipped:
        return _finding(check, "skipped", began, reason=str(skipped))
    except UnableError as error:
        return _finding(check, "skipped", began, reason=str(error))
    except (OSError, MemoryError) as error:
        if reason := of_this_machine(error):
            return _finding(check, "skipped", began, reason=reason)
        actual = f"{type(error).__name__}: {error}"
        return _failed(check, bench, began, Failed("the connection to do what was asked", actual))
    except LaunchError as error:
        if isinstance(bench, ClientBench):  # which starts it where the check has it
            return _not_started(check, began, str(error))
        return _failed(check, bench, began, Failed("the server to start again", str(error)))
    except Failed as failure:
        return _failed(check, bench, began, failure)
    return _finding(check, "passed", began, stderr=bench.stderr())


def _failed(check: Check, bench: Bench | ClientBench, began: float, failed: Failed) -> Finding:
    if away := bench.background():
        return _not_started(check, began, away)
    actual, stuck = failed.actual, bench.timeline.stuck
    is_seen = check.id != OF_ANOTHER
    look = bench.look() if isinstance(bench, Bench) and is_seen else Look()
    language = bench.subject.language
    usual = languages.mistake_of(check.id, check.mistake, language)
    by_itself = failed.likely == symptoms.CLOSED and check.content  # it is what these ask for
    likely = (not by_itself and failed.likely) or _usual(check, failed, usual)
    if ending := bench.unasked_ending():
        if "it has ended: " not in actual:
            actual = f"it has ended: {ending}; before that, {actual}"
        # What it did with its connections says nothing then.
        look = Look()
        likely = _of_ending(bench, ending, check, usual)
    elif isinstance(bench, Bench) and (raised := diagnosis.of_words(bench.stderr())):
        likely = raised
    elif diagnosis.are_together(look):
        likely = symptoms.HANDED_OVER
    elif not isinstance(failed, Differs) and not failed.sure and likely not in BY_CONTENT:
        closed = failed.likely == symptoms.CLOSED and diagnosis.of_close(look, failed.at_byte)
        likely = closed or diagnosis.of_look(look, stuck) or likely
    if likely == usual and look.is_of_one_thread:
        likely = symptoms.ONE_THREAD.get(check.id, likely)
    return _finding(
        check,
        "failed",
        began,
        expected=failed.expected,
        actual=actual,
        at_byte=failed.at_byte,
        likely=_for(bench, check, likely),
        look_up=languages.look_up(check.id, likely, language) if language else "",
        seen=look.rows(),
        stderr=bench.stderr(),
        timeline=[
            Step(round(call.at_s, 6), call.client, call.call, call.result, times)
            for call, times in bench.timeline.calls()
        ],
    )


def _for(bench: Bench | ClientBench, check: Check, likely: str) -> str:
    """The same as it is told whoever made this one."""
    likely = symptoms.IN_LANGUAGE.get(likely, {}).get(bench.subject.language or "", likely)
    if bench.subject.style == "one-thread":
        likely = likely.replace(symptoms.OR_THREADS, "")
    return likely.replace(f" {check.id} asks for just this.", "")


def _of_ending(bench: Bench | ClientBench, ending: str, check: Check, usual: str) -> str:
    if isinstance(bench, ClientBench):
        has_ended = bench.input_has_ended
        return diagnosis.of_clients_ending(ending, input_has_ended=has_ended) or usual
    return diagnosis.of_ending(ending) or diagnosis.of_unknown_ending(check.id, usual)


def _usual(check: Check, failed: Failed, mistake: str) -> str:
    """The mistake that the check is for, unless other bytes came back than were sent."""
    if not (isinstance(failed, Differs) and failed.changed):
        return mistake
    if check.id == FIRST_OF_BYTES:
        return symptoms.ALTERED
    return mistake if check.content else symptoms.CHANGED


def _finding(check: Check, state: State, began: float, **more: Any) -> Finding:
    took = round(time.monotonic() - began, 3)
    return Finding(id=check.id, kind=check.kind, state=state, took_s=took, **more)


def not_asked(name: str, reason: str) -> Finding:
    """What is to be said of a check that was not made any more."""
    return _finding(CHECKS[name], "skipped", time.monotonic(), reason=reason)


__all__ = ["CHECKS", "Finding", "LaunchError", "not_asked", "run", "run_together"]
