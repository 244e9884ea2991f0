"""Other event loops: what is told of one that is not there, and what each that is must serve."""

from __future__ import annotations

import importlib.util
import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from compare.check.catalogue import of_profile
from compare.measure.gate import PROFILE_OF
from compare.models.interpreter import Interpreter, look
from compare.models.loops import LOOPS
from compare.models.matrix import MODELS, WORKLOADS
from compare.models.sets import SETS

ROOT = Path(__file__).parents[3]
TCP_LONG = WORKLOADS["tcp-long"]
NAMES = [each.name for each in LOOPS]


def test_every_loop_is_in_the_set_beside_those_that_it_is_used_instead_of() -> None:
    assert {*NAMES, "asyncio", "uvloop", "rloop"} <= {*SETS["loops"][1]}
    assert all(MODELS[name].group == "loops" for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_one_that_is_not_installed_says_what_to_type_and_what_it_needs(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    monkeypatch.setattr(platform, "python_version", lambda: "3.15.0")
    model = MODELS[name]
    said = f"{model.module} is not installed: pip install {model.module}"
    assert model.unsupported(TCP_LONG) == (f"{said} ({model.needs})" if model.needs else said)


def test_an_older_python_is_told_first() -> None:
    older = Interpreter(
        path="python3.11",
        label="3.11",
        version="3.11.7",
        implementation="CPython",
        gil=True,
        jit=False,
    )
    assert MODELS["zuvloop"].under(older).unsupported(TCP_LONG) == (
        "it needs Python 3.14 or newer, and this is 3.11.7: --python COMMAND"
    )


def test_what_it_needs_is_told_of_another_python_too(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')  # nothing is installed there
    bare.chmod(0o755)
    assert MODELS["winloop"].under(look(str(bare))).unsupported(TCP_LONG) == (
        f"winloop is not installed for {bare}: {bare} -m pip install winloop "
        "(there is no wheel for Linux: it is compiled, which takes minutes)"
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("workload", ["udp-echo", "tcp-long", "chat"])
@pytest.mark.parametrize("name", ["anyio", *NAMES])
def test_it_passes_all_that_is_not_declared(name: str, workload: str) -> None:
    model, load = MODELS[name], WORKLOADS[workload]
    if reason := model.unsupported(load):
        pytest.skip(reason)
    profile = PROFILE_OF[load.service]
    wanted = [
        each.id
        for each in of_profile(profile)
        if each.kind == "MUST" and each.id not in model.exceptions
    ]
    scheme = "udp" if profile == "udp-echo" else "tcp"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "compare", "check", "--profile", profile, "--json", "-"),
            *("--only", ",".join(wanted), "--", *model.argv(load)),
            *("--listen", f"{scheme}://{{host}}:{{port}}"),
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=290,
        check=False,
    )
    found = json.loads(done.stdout)["findings"]
    assert [each for each in found if each["state"] == "failed"] == []
