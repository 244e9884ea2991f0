"""What a learner sees in a terminal, from the first failure to the last step."""

from __future__ import annotations

import os
import signal
import termios

import psutil
import pytest
from small_course import Learn, Watched, write

from compare.learn.course import Course
from compare.learn.lesson import Lesson

pytestmark = pytest.mark.timeout(120)


def test_each_save_shows_the_first_failure_until_the_lesson_is_done(
    course: Course, watched: Watched
) -> None:
    with watched(course.folder) as terminal:
        terminal.wait_for(b"1 A stream: step 1 of 2, 1-a-stream/server.py")
        terminal.wait_for(b"failed  tcp/2")
        write(course, 1, 1)
        terminal.wait_for(b"step 2 of 2")
        terminal.wait_for(b"failed  tcp/5")
        write(course, 1, 2)
        terminal.wait_for(b"1 A stream: done")
        terminal.wait_for(b"Ours is in 1-a-stream/solution/")
        terminal.type(b"n")
        terminal.wait_for(b"2 Two programs: step 1 of 3")
        terminal.type(b"q")
        assert terminal.process.wait() == 0
    assert (course.folder / "1-a-stream" / "solution" / "server.py").is_file()
    assert Course(course.folder).at.number == 2


def test_pages_are_on_a_screen_of_their_own_and_what_is_seen_is_not(
    course: Course, watched: Watched
) -> None:
    own, usual = b"\x1b[?1049h", b"\x1b[?1049l"
    with watched(course.folder, "--lesson", "2") as terminal:
        terminal.wait_for(own)
        terminal.wait_for(b"failed  tcp/2")
        terminal.type(b"e")
        terminal.wait_for(usual)
        terminal.wait_for(b"Your answer: ")
        terminal.type(b"3\n")
        terminal.wait_for(b"'3' is not one of the numbers from 1 to 2")
        terminal.type(b"2\n")
        erased = terminal.wait_for(b"You say 2: the server")
        assert b"\x1b[6A\x1b[J" in erased  # a question, two choices, and what was typed twice
        terminal.wait_for(b"Enter goes back")
        terminal.type(b"\n")
        terminal.wait_for(own)
        terminal.type(b"q")
        terminal.wait_for(usual)
        assert terminal.process.wait() == 0


@pytest.mark.slow
def test_a_lesson_of_two_programs_goes_from_one_to_the_other(
    course: Course, watched: Watched
) -> None:
    write(course, 2, 2)
    with watched(course.folder, "--lesson", "2") as terminal:
        terminal.wait_for(b"step 3 of 3, 2-again/other.py")
        terminal.wait_for(b"failed  tcp/2")
        write(course, 2, 1, "other")
        terminal.wait_for(b"2 Two programs: done")


def test_a_save_while_checks_are_made_begins_them_anew(course: Course, watched: Watched) -> None:
    write(course, 1, 1)
    with watched(course.folder) as terminal:
        terminal.wait_for(b"asking  tcp/5")  # which takes a second
        write(course, 1, 2)
        terminal.wait_for(b"1 A stream: done")


def test_hints_come_one_after_the_other_and_end_with_the_step(
    course: Course, watched: Watched
) -> None:
    with watched(course.folder) as terminal:
        terminal.wait_for(b"failed  tcp/2")
        terminal.type(b"h")
        terminal.wait_for(b"hint 1/3")
        terminal.wait_for(b"What does it do after its first answer?")
        terminal.type(b"h")
        terminal.wait_for(b"hint 2/3")
        terminal.type(b"h")
        terminal.wait_for(b"hint 3/3")
        write(course, 1, 1)
        assert b"hint 3/3" not in terminal.wait_for(b"failed  tcp/5").partition(b"step 2 of 2")[2]


def test_what_is_not_done_is_left_when_that_is_said_twice(course: Course, watched: Watched) -> None:
    with watched(course.folder) as terminal:
        terminal.type(b"n")
        terminal.wait_for(b"n again leaves it")
        terminal.type(b"n")
        terminal.wait_for(b"2 Two programs")
        terminal.type(b"l")
        terminal.wait_for(b">  2 Two programs")
        terminal.wait_for(b"any key goes back")
        terminal.type(b"?")
        terminal.wait_for(b"q quit")
        terminal.type(b"n")
        terminal.wait_for(b"n again leaves it")


@pytest.mark.slow
def test_what_was_written_is_kept_when_one_begins_anew(course: Course, watched: Watched) -> None:
    write(course, 1, 2)
    with watched(course.folder) as terminal:
        terminal.wait_for(b"1 A stream: done")
        terminal.type(b"rr")
        terminal.wait_for(b"begun anew; yours is server.py.1")
        terminal.wait_for(b"failed  tcp/2")
    folder = course.folder / "1-a-stream"
    assert "Thread" in (folder / "server.py.1").read_text()
    assert "Thread" not in (folder / "server.py").read_text()


def test_the_experiment_asks_before_it_shows(course: Course, watched: Watched) -> None:
    with watched(course.folder, "--lesson", "2") as terminal:
        terminal.wait_for(b"failed  tcp/2")
        terminal.type(b"e")
        assert b"seen" not in terminal.wait_for(b"Your answer: ")
        terminal.type(b"2\n")
        terminal.wait_for(b"seen\r\n")
        terminal.wait_for(b"It is 1: the client")
        terminal.wait_for(b"Enter goes back")
        terminal.type(b"\n")
        terminal.wait_for(b"failed  tcp/2")


def test_what_does_not_start_is_said_with_its_last_words(course: Course, watched: Watched) -> None:
    (course.folder / "1-a-stream" / "server.py").write_text("import sockets\n")
    with watched(course.folder) as terminal:
        terminal.wait_for(b"failed  life/0")
        terminal.wait_for(b"No module named 'sockets'")


@pytest.mark.parametrize(
    "ended",
    [
        *(signal.SIGHUP, signal.SIGKILL),
        *(pytest.param(each, marks=pytest.mark.slow) for each in (signal.SIGINT, signal.SIGTERM)),
    ],
)
def test_nothing_is_left_of_what_was_being_checked(
    course: Course, watched: Watched, ended: signal.Signals
) -> None:
    write(course, 1, 1)
    with watched(course.folder) as terminal:
        terminal.wait_for(b"asking  tcp/5")
        left = psutil.Process(terminal.process.pid).children(recursive=True)
        assert left
        os.kill(terminal.process.pid, ended)
        status = terminal.process.wait()
    assert status == (-ended if ended is signal.SIGKILL else 130)
    assert not psutil.wait_procs(left, 10)[1]


@pytest.mark.slow
def test_a_program_that_was_done_and_is_not_any_more_is_shown(
    course: Course, watched: Watched
) -> None:
    write(course, 2, 2)
    with watched(course.folder, "--lesson", "2") as terminal:
        terminal.wait_for(b"step 3 of 3, 2-again/other.py")
        terminal.wait_for(b"failed  tcp/2")
        path = course.folder / "2-again" / "server.py"
        path.write_text(path.read_text() + "garbage(\n")
        terminal.wait_for(b"was done, and fails now, 2-again/server.py")
        terminal.wait_for(b"(server.py, line")


@pytest.mark.slow
def test_a_program_that_was_spoilt_while_nobody_watched_is_shown(
    course: Course, watched: Watched
) -> None:
    write(course, 2, 2)
    write(course, 2, 1, "other")
    with watched(course.folder, "--lesson", "2") as terminal:
        terminal.wait_for(b"All of this lesson passes")
        terminal.type(b"q")
    path = course.folder / "2-again" / "server.py"
    path.write_text("garbage(\n")
    with watched(course.folder, "--lesson", "2") as terminal:
        terminal.wait_for(b"was done, and fails now, 2-again/server.py")


@pytest.mark.slow
def test_a_file_that_is_gone_is_said(course: Course, watched: Watched) -> None:
    path = course.folder / "1-a-stream" / "server.py"
    with watched(course.folder) as terminal:
        terminal.wait_for(b"failed  tcp/2")
        path.unlink()
        terminal.wait_for(b"server.py is not there: put it back, or r begins anew.")
        terminal.type(b"r")
        terminal.wait_for(b"r again")
        terminal.type(b"r")
        terminal.wait_for(b"begun anew")
        terminal.wait_for(b"failed  tcp/2")


@pytest.mark.slow
def test_a_reset_elsewhere_is_heard_of(
    course: Course, watched: Watched, small: list[Lesson], learn: Learn
) -> None:
    write(course, 1, 2)
    with watched(course.folder) as terminal:
        terminal.wait_for(b"1 A stream: done")
        assert learn("reset", "1").exit_code == 0
        terminal.wait_for(b"1 A stream: step 1 of 2")
        terminal.wait_for(b"failed  tcp/2")


@pytest.mark.slow
def test_a_save_takes_back_the_first_of_two_keys(course: Course, watched: Watched) -> None:
    with watched(course.folder) as terminal:
        terminal.wait_for(b"failed  tcp/2")
        terminal.type(b"r")
        terminal.wait_for(b"r again")
        write(course, 1, 1)
        terminal.wait_for(b"failed  tcp/5")
        terminal.type(b"r")
        terminal.wait_for(b"r again")


def test_a_key_that_is_no_letter_does_nothing(course: Course, watched: Watched) -> None:
    with watched(course.folder) as terminal:
        terminal.wait_for(b"failed  tcp/2")
        for key in (b"\x1bOQ", b"\x1b[A", b"\x1b[1~"):  # F2, an arrow, Home
            terminal.type(key)
        terminal.type(b"x")
        before = terminal.wait_for(b"no such key: ")
        assert b"no such key" not in before[:-13]
        terminal.type(b"q")
        assert terminal.process.wait() == 0


def test_who_was_stopped_goes_on_with_the_terminal_as_it_was(
    course: Course, watched: Watched
) -> None:
    with watched(course.folder) as terminal:
        terminal.wait_for(b"failed  tcp/2")
        os.kill(terminal.process.pid, signal.SIGSTOP)
        settings = termios.tcgetattr(terminal.inside)
        settings[3] |= termios.ICANON | termios.ECHO  # as a shell has it
        termios.tcsetattr(terminal.inside, termios.TCSANOW, settings)
        os.kill(terminal.process.pid, signal.SIGCONT)
        terminal.wait_for(b"q quit")
        terminal.type(b"h")
        terminal.wait_for(b"hint 1/3")
