"""System calls, counted by strace."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.host import calls
from compare.host.calls import Call, Calls, parse

TABLE = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 63.43    0.001103           4       256         6 newfstatat
  0.00    0.000000           0         7           brk
------ ----------- ----------- --------- --------- ----------------
100.00    0.001103           4       263         6 total
"""
COUNTED = """
import os, sys
sys.stdin.readline()
for _ in range(500):
    os.getppid()
print("done", flush=True)
sys.stdin.readline()
"""

counts = st.integers(0, 10**9)
rows = st.builds(
    Call,
    st.from_regex(r"[a-z][a-z0-9_]{0,15}", fullmatch=True).filter(lambda name: name != "total"),
    counts,
    counts,
    st.integers(0, 10**9).map(lambda micros: micros / 1e6),
)


def test_rows_are_read_with_and_without_errors_and_the_total_is_none() -> None:
    assert parse(TABLE) == [Call("newfstatat", 256, 6, 0.001103), Call("brk", 7, 0, 0.0)]


@given(st.lists(rows))
def test_table_as_strace_writes_it_is_read_back(made: list[Call]) -> None:
    lines = [
        f"{12.5:6.2f} {each.seconds:11.6f} {0:11} {each.made:9} {each.errors or '':9} {each.name}"
        for each in made
    ]
    assert parse("\n".join(lines)) == made


@given(st.text())
def test_what_is_no_table_has_no_rows_or_is_read_as_one(text: str) -> None:
    assert all(each.made >= 0 for each in parse(text))


@pytest.mark.timeout(60)
@pytest.mark.skipif(not shutil.which("strace"), reason="no strace")
def test_calls_within_are_counted_and_those_outside_are_not() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(COUNTED)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        try:
            with Calls(process.pid) as counted:
                process.stdin.write(b"go\n")
                process.stdin.flush()
                assert process.stdout.readline() == b"done\n"
        except OSError as error:
            pytest.skip(str(error))  # nobody may be traced here
        finally:
            process.stdin.write(b"end\n")
            process.stdin.flush()
    found = {each.name: each for each in counted.found}
    assert found["getppid"].made == 500
    assert "execve" not in found
    assert process.returncode == 0


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace")
def test_process_that_is_gone_cannot_be_counted() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="No such process"), Calls(gone.pid):
        pass
    assert len(os.listdir("/proc/self/fd")) == before


def test_machine_without_strace_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert calls.why_not() == (
        "--profile needs strace(1), which counts system calls: apt install strace"
    )
