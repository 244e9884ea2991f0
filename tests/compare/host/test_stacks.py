"""Call stacks, sampled by py-spy."""

from __future__ import annotations

import os
from pathlib import Path

import made_up_py_spy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.host import stacks
from compare.host.stacks import Function, Stack, Stacks, parse

RAW = """\
process 7:"python -c import x; x.y()
main();z";thread (7): MainThread;0x7f (libc.so.6);main (a.py);send (libc.so.6);0x7e (libc.so.6) 3
process 7:"python";thread (8): Thread-1 (serve);run (threading.py);recv (x.c);recv (x.c) 2
process 7:"python";thread (8): Thread-1 (serve);run (threading.py);recv (x.c) 1
"""
MAIN, RUN = Function("main", "a.py"), Function("run", "threading.py")
SEND, RECV = Function("send", "libc.so.6"), Function("recv", "x.c")

words = st.from_regex(r"[A-Za-z_][\w.<>]{0,9}", fullmatch=True)
functions = st.builds(Function, words, st.sampled_from(["a.py", "<string>", "b/c.py"]))
seen = st.builds(
    Stack,
    st.integers(1, 9).map(str),
    st.lists(functions, min_size=1, max_size=5).map(tuple),
    st.integers(1, 10**6),
)


def test_stacks_are_of_threads_and_without_what_has_no_name() -> None:
    assert parse(RAW) == [Stack("7", (MAIN, SEND), 3), Stack("8", (RUN, RECV), 3)]


def test_what_is_of_python_is_told_by_its_file() -> None:
    assert [each.is_python for each in (MAIN, Function("f", "<string>"), SEND, RECV)] == [
        *(True, True, False, False)
    ]


@given(st.lists(seen, unique_by=lambda each: (each.thread, each.functions)))
def test_stacks_as_py_spy_writes_them_are_read_back(made: list[Stack]) -> None:
    lines = [
        f'process 1:"python";thread ({each.thread}): T;'
        + ";".join(f"{name} ({file})" for name, file in each.functions)
        + f" {each.samples}"
        for each in made
    ]
    assert parse("\n".join(lines)) == made


@given(st.text())
def test_any_text_is_read_and_has_stacks_or_none(text: str) -> None:
    assert all(each.samples >= 0 for each in parse(f"thread (1);{text}\n{text}"))


def test_machine_without_py_spy_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("sysconfig.get_path", lambda name: "/nowhere")
    assert stacks.why_not() == (
        "where their CPU goes is told by py-spy, which is not installed: pip install py-spy"
    )


@pytest.mark.timeout(30)
def test_what_it_saw_is_there_when_it_has_let_go(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made_up_py_spy.install(tmp_path, monkeypatch, RAW)
    with Stacks(os.getpid(), os.sched_getaffinity(0)) as looked:
        assert looked.found == []
    assert looked.found == parse(RAW)
    assert looked.native


@pytest.mark.timeout(30)
def test_where_no_c_can_be_read_there_is_python_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made_up_py_spy.install(tmp_path, monkeypatch, RAW, made_up_py_spy.PYTHON_ONLY)
    with Stacks(os.getpid()) as looked:
        pass
    assert looked.found == parse(RAW)
    assert not looked.native


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    ("script", "why"),
    [
        (
            made_up_py_spy.REFUSES,
            "py-spy: Failed to find python version from target process",
        ),
        (
            "#!/bin/sh\necho 'Permission Denied: Try running again with sudo' >&2\nexit 1\n",
            "py-spy is not permitted to look: ask as root, or set kernel.yama.ptrace_scope to 0",
        ),
        ("#!/bin/sh\n", "py-spy: it ended"),
    ],
)
def test_refusal_is_one_line_and_leaves_nothing_open(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, why: str
) -> None:
    made_up_py_spy.install(tmp_path, monkeypatch, script=script)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match=f"^{why}$"), Stacks(os.getpid()):
        pass
    assert len(os.listdir("/proc/self/fd")) == before
