"""From samples of time to shares of CPU time."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.host.stacks import Function, Stack
from compare.results.frames import FEWEST, LEAST, Spent, frames_of, functions_of
from compare.results.profile import Frame, Frames, Profile

LOOP, SERVE, WORK = (Function(name, "server.py") for name in ("loop", "serve", "work"))
WAIT, READ, SEND = (Function(name, "libc.so.6") for name in ("epoll_wait", "recv", "send"))
WAITS, READS, SENDS = (LOOP, WAIT), (LOOP, SERVE, READ), (LOOP, SERVE, SEND)
WORKS = (LOOP, SERVE, WORK)

stacks_of_any = st.lists(
    st.builds(
        Stack,
        st.sampled_from("12"),
        st.lists(st.sampled_from([LOOP, SERVE, WORK, READ, WAIT]), max_size=4).map(tuple),
        st.integers(1, 500),
    ),
    max_size=12,
)


def own(found: Frames) -> dict[str, float]:
    return {each.name: each.own for each in found.frames if each.own}


def test_server_that_never_waits_has_its_samples_as_they_are() -> None:
    stacks = [Stack("1", WORKS, 300), Stack("1", SENDS, 60), Stack("1", WAITS, 40)]
    found = frames_of(stacks, 2.0, 2.0)
    assert own(found) == {"work": 0.75, "send": 0.15, "epoll_wait": 0.1}
    assert found.samples == 400


def test_waiting_counts_for_the_cpu_time_that_nothing_else_took() -> None:
    stacks = [Stack("1", WORKS, 80), Stack("1", WAITS, 320)]
    assert own(frames_of(stacks, 0.5, 2.0)) == {"work": 0.8, "epoll_wait": 0.2}
    assert own(frames_of(stacks, 0.4, 2.0)) == {"work": 1.0}


def test_reading_has_its_cpu_time_before_waiting_has_any() -> None:
    stacks = [Stack("1", WORKS, 80), Stack("1", READS, 40), Stack("1", WAITS, 280)]
    found = frames_of(stacks, 0.5, 2.0)
    assert own(found) == {"work": 0.8, "recv": 0.2}
    assert frames_of(stacks, 0.75, 2.0).samples == 150


def test_threads_that_stand_in_a_read_count_for_what_they_took_together() -> None:
    stacks = [Stack(each, READS, 100) for each in "1234"] + [Stack("1", WORKS, 50)]
    found = frames_of(stacks, 1.0, 2.0)  # half of a core, of which the work has two thirds
    assert own(found) == pytest.approx({"work": 2 / 3, "recv": 1 / 3}, abs=1e-4)


def test_server_that_waited_for_a_core_did_not_sleep_then() -> None:
    stacks = [Stack("1", WORKS, 200), Stack("1", READS, 100), Stack("1", WAITS, 100)]
    found = frames_of(stacks, 1.0, 2.0, waited_s=0.5)
    assert (found.samples, found.had_cpu) == (300, pytest.approx(2 / 3, abs=1e-3))
    assert own(found) == pytest.approx({"work": 2 / 3, "recv": 1 / 3}, abs=1e-4)


def test_callers_have_what_they_call_and_stand_before_it() -> None:
    found = frames_of([Stack("1", WORKS, 50), Stack("1", SENDS, 50)], 1.0, 1.0)
    assert found.frames == [
        Frame(name="loop", file="server.py", caller=None, share=1.0, own=0.0),
        Frame(name="serve", file="server.py", caller=0, share=1.0, own=0.0),
        Frame(name="work", file="server.py", caller=1, share=0.5, own=0.5),
        Frame(name="send", file="libc.so.6", caller=1, share=0.5, own=0.5),
    ]


def test_what_c_takes_is_of_the_function_of_python_that_called_it() -> None:
    found = frames_of([Stack("1", WORKS, 60), Stack("1", SENDS, 40)], 1.0, 1.0)
    assert functions_of(found.frames) == [
        Spent("work", "server.py", 0.6, {}),
        Spent("serve", "server.py", 0.4, {"send": 0.4}),
        Spent("loop", "server.py", 0.0, {}),
    ]


def test_less_than_a_thousandth_is_left_out() -> None:
    rare = (LOOP, Function("rare", "server.py"), SEND)
    found = frames_of([Stack("1", (LOOP,), 2000), Stack("1", rare, 1)], 1.0, 1.0)
    assert [each.name for each in found.frames] == ["loop"]


def test_few_samples_tell_nothing() -> None:
    found = frames_of([Stack("1", WORKS, FEWEST - 1)], 1.0, 1.0)
    assert found.why_not == f"{FEWEST - 1} samples of who has the CPU are too few to tell"
    assert frames_of([], 0.0, 1.0).why_not == "0 samples of who has the CPU are too few to tell"


@given(stacks_of_any, st.floats(0, 8), st.floats(0.1, 4))
def test_shares_are_of_one_whole(stacks: list[Stack], cpu_s: float, window_s: float) -> None:
    found = frames_of(stacks, cpu_s, window_s)
    children = [0.0] * len(found.frames)
    for place, each in enumerate(found.frames):
        assert LEAST <= each.share <= 1.0001
        assert each.own <= each.share
        if each.caller is not None:
            assert each.caller < place
            children[each.caller] += each.share
    for each, below in zip(found.frames, children, strict=True):
        assert below + each.own <= each.share + 0.001
    assert sum(each.share for each in functions_of(found.frames)) <= 1.001


def test_profile_of_before_there_were_frames_is_read() -> None:
    old = b'{"operations": 7, "calls": []}'
    assert msgspec.json.decode(old, type=Profile) == Profile(operations=7)
