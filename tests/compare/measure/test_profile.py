"""What an operation is made of, of real servers."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import made_up_py_spy
import msgspec
import pytest
from planted_models import model_of
from short_runs import asked, run_of

from compare.host import calls, stacks
from compare.measure import profile as module
from compare.measure.profile import profiled, sampled
from compare.measure.testbed import Block
from compare.models.matrix import MODELS
from compare.models.model import Model
from compare.report.sentences import answer
from compare.results.frames import functions_of
from compare.results.profile import Frames, Profile
from compare.results.records import Cell, Load, Run

pytestmark = pytest.mark.timeout(60)
LOOKS = "thread (1): MainThread;serve (a.py);work (a.py) 60\nthread (1): MainThread;serve (a.py) 20"


@pytest.fixture(autouse=True)
def without_py_spy(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "py_spy" not in request.fixturenames:
        monkeypatch.setattr(stacks, "command", lambda: None)


@pytest.fixture
def py_spy() -> None:
    if words := stacks.why_not():
        pytest.skip(words)


FIRST, *OTHERS = sorted(os.sched_getaffinity(0))
PINNED: dict[str, Any] = {"server_cores": [FIRST], "driver_core": (OTHERS or [FIRST])[0]}


def block_of(model: Model, **changes: Any) -> Block:
    load = Load(workload="tcp-long", connections=4, size=100)
    return Block([model], load, asked(model, **PINNED | changes))


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


@pytest.mark.slow
@pytest.mark.skipif(calls.why_not() is not None, reason="no strace")
def test_calls_of_children_that_were_there_before_are_counted() -> None:
    found = module.profile(MODELS["prefork"], block_of(MODELS["prefork"]))
    if found.why_not and "ptrace" in found.why_not:
        pytest.skip(found.why_not)  # nobody may be traced here
    made = {each.name: each.per_op for each in found.calls}
    assert made["sendto"] == pytest.approx(1, abs=0.05)


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


def test_run_without_py_spy_says_once_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(module, "profile", lambda model, block: Profile(operations=7))
    run = run_of(MODELS["epoll"], connections=[2, 3])
    done = profiled(run, [MODELS["epoll"]], ["epoll"], said.append)
    assert [cell.profile for cell in done.cells] == [Profile(operations=7)] * 2
    assert said[0].endswith("which is not installed: pip install py-spy")
    assert [each for each in said[1:] if "py-spy" in each or "stacks" in each] == []


def test_interruption_of_the_second_look_keeps_the_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(model: object, block: object) -> Frames:
        raise KeyboardInterrupt

    made_up_py_spy.install(tmp_path, monkeypatch)
    monkeypatch.setattr(module, "profile", lambda model, block: Profile(operations=7))
    monkeypatch.setattr(module, "sampled", interrupted)
    done = of(run_of(MODELS["epoll"]), "epoll")
    assert done.interrupted
    assert [cell.profile for cell in done.cells] == [Profile(operations=7)]


def test_samples_are_of_the_server_under_its_load(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made_up_py_spy.install(tmp_path, monkeypatch, LOOKS)
    monkeypatch.setattr(module, "SAMPLED_S", 0.1)
    found = sampled(MODELS["epoll"], block_of(MODELS["epoll"]))
    assert {each.name: (each.share, each.own) for each in found.frames} == {
        "serve": (1.0, 0.25),
        "work": (0.75, 0.75),
    }


def test_server_that_ends_meanwhile_is_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made_up_py_spy.install(tmp_path, monkeypatch, LOOKS)
    monkeypatch.setattr(module, "SAMPLED_S", 0.3)
    dying = model_of("dying", "echo.py", "dies", 100, 5)
    found = sampled(dying, block_of(dying))
    assert found.why_not == "the server ended meanwhile: exit status 3; stderr: out of luck"


def test_py_spy_that_cannot_attach_is_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made_up_py_spy.install(tmp_path, monkeypatch, script=made_up_py_spy.REFUSES)
    monkeypatch.setattr(module, "profile", lambda model, block: Profile(operations=7))
    (cell,) = of(run_of(MODELS["epoll"], **PINNED), "epoll").cells
    why = "py-spy: Failed to find python version from target process"
    assert f"epoll: where its CPU goes is not known: {why}." in answer([cell], [])


def test_one_core_is_too_few_to_look_from_another() -> None:
    found = sampled(MODELS["epoll"], block_of(MODELS["epoll"], driver_core=None))
    assert found.why_not == "it takes two cores, one for the server and one to look from"


@pytest.mark.slow
@pytest.mark.skipif(not OTHERS, reason="one core")
@pytest.mark.usefixtures("py_spy")
def test_function_that_burns_the_cpu_is_on_top() -> None:
    burning = model_of("burning", "costly.py", 600_000)
    found = sampled(burning, block_of(burning))
    if found.why_not and "not permitted" in found.why_not:
        pytest.skip(found.why_not)  # nobody may be traced here
    top, *_ = functions_of(found.frames)
    assert (top.name, Path(top.file).name) == ("burn", "costly.py")
    assert top.share > 0.5
    cell = msgspec.structs.replace(run_of(burning).cells[0], profile=Profile(frames=found))
    assert any("burning spends its CPU in burn " in each for each in answer([cell], []))


@pytest.mark.slow
@pytest.mark.usefixtures("py_spy")
def test_process_that_is_no_python_cannot_be_sampled() -> None:
    with subprocess.Popen(["sleep", "30"]) as other:
        with pytest.raises(OSError, match=r"^py-spy: \S.*$"), stacks.Stacks(other.pid):
            pass
        other.kill()
