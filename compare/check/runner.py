"""Make the checks, one after the other, each against a fresh server."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import msgspec

from compare.check import chat, crowds, echoes, idleness, leaks, life, limits, tcp, udp
from compare.check.bench import PATIENCE_S, Bench, Skipped, Subject, slowness
from compare.check.catalogue import CHECKS, Check, Kind
from compare.check.wire import Failed
from compare.host import process
from compare.host.launch import LaunchError

MODULES = (
    tcp,
    echoes,
    crowds,
    leaks,
    idleness,
    udp,
    chat,
    limits,
    life,
)  # which enter their checks into the catalogue
SLOWEST = 10.0  # a machine slower than that is not waited for any longer
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)

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

    The rest is of one that failed.
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


Teller = Callable[[str], None]


def run(
    subject: Subject, ids: Sequence[str], seed: int, told: Teller, *, alone: bool = False
) -> Iterator[Finding]:
    """Make the checks `ids`. alone: the server serves one client at a time, by nature.

    Raises LaunchError where the server does not come up at all.
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    for number, name in enumerate(ids):
        told(f"{number + 1}/{len(ids)} {name}")
        yield _make(CHECKS[name], subject, seed, alone=alone)


def run_together(
    subject: Subject, ids: Sequence[str], seed: int, *, alone: bool = False
) -> Iterator[Finding]:
    """The same of one server, which is not started anew for each; up to the first failure.

    Raises LaunchError.
    """
    try:
        with Bench(subject, seed, _patience()) as bench:
            for name in ids:
                began = time.monotonic()
                if reason := _why_skipped(CHECKS[name], subject, alone=alone):
                    yield _finding(CHECKS[name], "skipped", began, reason=reason)
                    continue
                finding = _made(CHECKS[name], bench, began)
                bench.send_clients_home()
                yield finding
                if finding.state == "failed":
                    return
    finally:
        end_orphans()


def _make(check: Check, subject: Subject, seed: int, *, alone: bool) -> Finding:
    began = time.monotonic()
    if reason := _why_skipped(check, subject, alone=alone):
        return _finding(check, "skipped", began, reason=reason)
    try:
        limit = subject.limits.get(check.limit or "", 0.0)
        with Bench(subject, seed, _patience(), limit) as bench:
            return _made(check, bench, began)
    finally:
        end_orphans()


def _patience() -> float:
    return PATIENCE_S * min(SLOWEST, slowness())


def _why_skipped(check: Check, subject: Subject, *, alone: bool) -> str:
    if check.limit and check.limit not in subject.limits:
        return f"no such limit was declared: --limit {check.limit}=..."
    if check.inside and subject.place is not None:
        return "only for a server that is started here"
    if check.together and alone:
        return "it serves one client at a time, by nature"
    return ""


def _made(check: Check, bench: Bench, began: float) -> Finding:
    try:
        check.run(bench)
    except Skipped as skipped:
        return _finding(check, "skipped", began, reason=str(skipped))
    except (Failed, OSError) as failure:
        failed = failure if isinstance(failure, Failed) else _failed(failure)
        return _finding(
            check,
            "failed",
            began,
            expected=failed.expected,
            actual=failed.actual,
            at_byte=failed.at_byte,
            likely=failed.likely or check.mistake,
            stderr=bench.stderr(),
            timeline=[
                Step(round(call.at_s, 6), call.client, call.call, call.result, times)
                for call, times in bench.timeline.calls()
            ],
        )
    return _finding(check, "passed", began, stderr=bench.stderr())


def _finding(check: Check, state: State, began: float, **more: Any) -> Finding:
    took = round(time.monotonic() - began, 3)
    return Finding(id=check.id, kind=check.kind, state=state, took_s=took, **more)


def _failed(error: OSError) -> Failed:
    return Failed("the connection to do what was asked", f"{type(error).__name__}: {error}")


def end_orphans() -> None:
    """Kill what the server started and left: orphans come to us, who asked for them."""
    ours = os.getpid()
    for pid in process.tree(ours)[1:]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


__all__ = ["CHECKS", "Finding", "LaunchError", "run"]
