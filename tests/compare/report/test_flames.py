"""What an operation is made of, as figures and in words."""

from __future__ import annotations

from made_up_records import made_up_cell, made_up_profile, made_up_run

from compare.report.flames import Made, made_of
from compare.report.page import Given, page
from compare.report.sentences import answer
from compare.results.profile import Frames, Profile
from compare.results.records import Cell


def profiled(profile: Profile | None = None) -> Cell:
    return made_up_cell("epoll", (1000.0,), profile=profile or made_up_profile())


def made(cell: Cell) -> Made:
    found = made_of(cell.load, cell, 0)
    assert found is not None
    return found


def test_flame_graph_begins_where_something_is_done_and_adds_up_to_all() -> None:
    flame = made(profiled()).flame
    assert flame is not None
    (trace,) = flame.traces
    assert trace["labels"] == ["epoll", "run", "&lt;lambda&gt;", "send", "epoll_wait"]
    assert trace["parents"] == ["", "all", "1", "2", "1"]
    assert trace["values"] == [0, 10.0, 20.0, 40.0, 30.0]
    assert trace["languages"] == ["all", "Python", "Python", "C", "C"]
    assert flame.layout == {"lines": 4}


def test_rows_tell_own_time_of_python_and_what_of_it_is_c() -> None:
    flame = made(profiled()).flame
    assert flame is not None
    assert flame.rows[1:] == [
        ["<lambda>", "server.py", "60.0", "send 40.0"],
        ["run", "server.py", "40.0", "epoll_wait 30.0"],
    ]


def test_calls_are_told_with_their_system_time() -> None:
    assert made(profiled()).calls[1:] == [["sendto", "1.000", "0.000", "2.500"]]


def test_sentence_names_who_has_most() -> None:
    assert (
        "epoll spends its CPU in <lambda> 60 % (send 40), run 40 % (epoll_wait 30) "
        "(of 600 samples by py-spy)."
    ) in answer([profiled()], [])


def test_python_alone_is_said_to_be_that() -> None:
    frames = made_up_profile().frames
    assert frames is not None
    alone = Frames(samples=9, native=False, frames=frames.frames[:2])
    (words,) = [
        each for each in answer([profiled(made_up_profile(frames=alone))], []) if "spends" in each
    ]
    assert words.endswith("(of 9 samples by py-spy, of Python alone).")


def test_server_that_waited_for_its_core_is_said_to_have() -> None:
    frames = made_up_profile().frames
    assert frames is not None
    short = Frames(samples=600, had_cpu=0.4, frames=frames.frames)
    cell = profiled(made_up_profile(frames=short))
    words = "of 600 samples by py-spy; for 60% of that time it was waiting for its core"
    assert any(each.endswith(f"({words}).") for each in answer([cell], []))
    flame = made(cell).flame
    assert flame is not None
    assert flame.caption.endswith(f"Made {words}.")


def test_what_is_not_known_is_said_with_its_reason() -> None:
    found = made(profiled(Profile(why_not="no strace", frames=Frames(why_not="no py-spy"))))
    assert (found.flame, found.calls) == (None, [])
    assert found.said == [
        "Its system calls are not known: no strace.",
        "Where its CPU goes is not known: no py-spy.",
    ]


def test_page_leads_from_a_cell_to_what_it_is_made_of_and_only_where_that_was_asked() -> None:
    other = made_up_cell("uvloop", (900.0,))
    text = page([Given("run 7", made_up_run([profiled(), other]))])
    assert text.count(">profile</a>") == 1
    assert text.count('<details class="made">') == 1
    assert "What an operation is made of" not in page([Given("run 7", made_up_run([other]))])
