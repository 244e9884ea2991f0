"""The system calls of an operation, of real servers."""

from __future__ import annotations

import shutil

import pytest
from short_runs import run_of

from compare.host import calls
from compare.measure import profile as module
from compare.measure.profile import profiled
from compare.models.matrix import MODELS
from compare.report.sentences import answer
from compare.results.profile import Profile
from compare.results.records import Cell, Run

pytestmark = pytest.mark.timeout(60)


def of(run: Run, *names: str) -> Run:
    return profiled(run, [MODELS["epoll"]], names, lambda words: None)


@pytest.mark.slow
@pytest.mark.skipif(calls.why_not() is not None, reason="no strace")
@pytest.mark.parametrize("tls", ["none", "full"])
def test_echo_takes_one_call_to_receive_and_one_to_send(tls: str) -> None:
    (cell,) = of(run_of(MODELS["epoll"], tls=[tls]), "epoll").cells
    assert cell.profile is not None
    if cell.profile.why_not and "ptrace" in cell.profile.why_not:
        pytest.skip(cell.profile.why_not)  # nobody may be traced here
    made = {each.name: each.per_op for each in cell.profile.calls}
    assert made["sendto"] == pytest.approx(1, abs=0.05)
    assert made["recvfrom"] == pytest.approx(1, abs=0.05)
    assert 0 < made["epoll_wait"] < 1.1
    assert made.get("accept4", 0) < 0.05
    assert any("system calls for an operation" in each for each in answer([cell], []))


def test_only_who_is_named_is_counted() -> None:
    run = run_of(MODELS["epoll"])
    assert of(run, "asyncio") == run


def test_interruption_keeps_what_was_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Cell] = []

    def count(model: object, block: object) -> Profile:
        if looked:
            raise KeyboardInterrupt
        looked.append(run.cells[0])
        return Profile(operations=7)

    run = run_of(MODELS["epoll"], connections=[2, 3])
    monkeypatch.setattr(module, "profile", count)
    done = of(run, "epoll")
    assert done.interrupted
    assert [cell.profile for cell in done.cells] == [Profile(operations=7), None]


@pytest.mark.skipif(not shutil.which("true"), reason="no true")
def test_strace_that_does_not_attach_is_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("bin")
    refusing = folder / "strace"
    refusing.write_text("#!/bin/sh\necho attach: not permitted >&2\nexit 1\n")
    refusing.chmod(0o755)
    run = run_of(MODELS["epoll"])
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    (cell,) = of(run, "epoll").cells
    assert cell.profile is not None
    assert cell.profile.why_not == (
        "attach: not permitted: ask as root, or set kernel.yama.ptrace_scope to 0"
    )
    assert any("are not known: attach" in each for each in answer([cell], []))
