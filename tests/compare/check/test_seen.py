"""What a failure shows is named by what was seen: of made-up looks, and of programs in C."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from compare.check import diagnosis, runner, symptoms
from compare.check.bench import Subject
from compare.check.catalogue import CHECKS
from compare.check.failure import Differs, Failed, must_equal
from compare.check.idleness import must_be_little
from compare.check.languages import LANGUAGES, look_up
from compare.check.postmortem import LISTENER, Conn, Doing, Look
from compare.check.runner import run

SERVERS = Path(__file__).parent / "servers"
IN_ACCEPT = Doing("S", "accept", LISTENER)
QUEUE = Conn(LISTENER, "LISTEN", 0, 4096, True)


def conn(number: int, state: str = "ESTABLISHED", unread: int = 0, unsent: int = 0) -> Conn:
    return Conn(f"client {number}", state, unread, unsent, True)


def test_two_threads_that_read_one_connection_were_handed_the_same_variable() -> None:
    both = [Doing("S", "recvfrom", "client 2"), Doing("S", "recvfrom", "client 2")]
    look = Look([IN_ACCEPT, *both], [QUEUE, conn(1, unread=13), conn(2)])
    assert diagnosis.are_together(look)
    # Two threads for each client are no mistake: one reads, and the other one writes.
    pair = [Doing("S", "recvfrom", "client 2"), Doing("S", "sendto", "client 2")]
    assert not diagnosis.are_together(Look([IN_ACCEPT, *pair], look.conns))
    apart = [Doing("S", "recvfrom", "client 1"), Doing("S", "recvfrom", "client 2")]
    assert not diagnosis.are_together(Look([IN_ACCEPT, *apart], look.conns))


def test_stacks_without_threads_are_of_those_that_nobody_joined() -> None:
    look = Look([IN_ACCEPT], [QUEUE, conn(1, "CLOSE_WAIT", 14)])
    assert diagnosis.of_thousands(look, 32_000, 65_000).startswith("After about 32,000 clients")
    assert diagnosis.of_thousands(look, 32_000, 60) == symptoms.DESERTED
    assert diagnosis.of_thousands(Look([IN_ACCEPT], [QUEUE]), 32_000, 60) == ""


def test_end_that_came_with_the_bytes_is_an_edge_that_was_missed() -> None:
    waits = [Doing("S", "epoll_wait", None)]
    left = [conn(number, "CLOSE_WAIT")._replace(watched="IN|OUT|ET") for number in (1, 2)]
    assert diagnosis.of_no_end(Look(waits, [QUEUE, *left], by_epoll=True)) == symptoms.EDGE_OF_END
    left[0] = left[0]._replace(watched="IN")
    assert diagnosis.of_no_end(Look(waits, [QUEUE, *left], by_epoll=True)) == symptoms.NO_END


def test_select_that_holds_a_crowd_is_named() -> None:
    look = Look([Doing("S", "pselect6", None)], [QUEUE])
    assert diagnosis.of_crowd(look, held=True) == symptoms.SELECT
    assert diagnosis.of_crowd(look) == ""
    assert diagnosis.of_crowd(Look([Doing("S", "poll", None)], [QUEUE]), held=True) == ""


def test_input_that_a_loop_passes_over_is_no_asking_without_waiting() -> None:
    runs = [Doing("R", None, None)]
    assert diagnosis.of_look(Look(runs, [QUEUE, conn(1)]), "client 1") == symptoms.SPINS
    over = Look(runs, [QUEUE, conn(1, unread=6)])
    assert diagnosis.of_look(over, "client 1") == symptoms.PASSED_OVER
    waits = Look([Doing("S", "pselect6", None)], [QUEUE, conn(1, unread=6)])
    assert diagnosis.of_look(waits, "client 1") == symptoms.UNASKED


EAGAIN_IS_AN_END = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    conn, _ = listener.accept()
    conn.setblocking(False)
    try:
        conn.send(conn.recv(65536))
    except BlockingIOError:
        conn.close()
"""


@pytest.mark.timeout(60)
def test_who_closes_unanswered_is_told_of_eagain(tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(EAGAIN_IS_AN_END)
    subject = Subject("tcp-echo", (sys.executable, str(script), "{port}"))
    (finding,) = run(subject, ["life/0"], 7, lambda text: None)
    if finding.state == "passed":  # the hello was there when it looked
        pytest.skip("we were faster than it")
    assert finding.likely == symptoms.CLOSED_UNANSWERED


GOES_ON_WITHOUT_A_PORT = """
import socket, sys
try:
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
except OSError:
    sys.exit(0)
while True:
    conn, _ = listener.accept()
"""


@pytest.mark.timeout(60)
def test_what_the_first_server_does_is_not_told_of_the_second_one(tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(GOES_ON_WITHOUT_A_PORT)
    subject = Subject("tcp-echo", (sys.executable, str(script), "{port}"))
    (finding,) = run(subject, ["life/6"], 7, lambda text: None)
    assert (finding.state, finding.actual, finding.seen) == ("failed", "it was 0", [])


def test_lesson_on_not_reading_names_poll_and_an_answer_in_time_names_nagle() -> None:
    assert "poll(2)" in look_up("tcp/8", CHECKS["tcp/8"].mistake, "c")
    for language in LANGUAGES:
        assert "NODELAY" in look_up("tcp/23", "", language).upper()


def test_share_of_a_core_is_no_more_than_all_of_it() -> None:
    with pytest.raises(Failed, match="for 100% of the time"):
        must_be_little(1.012, "now", 1.0)


BYTES = bytes(range(1, 256)) * 3
MADE_A_TEXT = [
    BYTES.decode(errors="replace").encode(),
    BYTES.decode(errors="ignore").encode(),
    BYTES.decode("latin-1").encode(),
    BYTES.decode("ascii", errors="replace").encode(),
]


@pytest.mark.parametrize("came", MADE_A_TEXT)
@pytest.mark.parametrize("begin", [0, 100, 126])
def test_bytes_that_were_made_a_text_are_known(came: bytes, begin: int) -> None:
    sent = BYTES[begin:]
    with pytest.raises(Differs) as failed:
        must_equal(came[begin:], sent, "the same back")
    assert failed.value.likely == symptoms.TO_TEXT


def test_character_that_is_another_one_is_no_text_made_of_bytes() -> None:
    for sent in ("Gr\u00fc\u00dfe".encode(), b"\xef\xbf\xbd", BYTES):
        with pytest.raises(Differs) as failed:
            must_equal(b"?" + sent[1:], sent, "the same back")
        assert failed.value.likely != symptoms.TO_TEXT


@pytest.mark.parametrize("came", [b"some words and more", b"some", b"some words"])
def test_stop_at_the_first_nul_is_known(came: bytes) -> None:
    with pytest.raises(Differs) as failed:
        must_equal(came, b"some\0 words\0 and more", "the same back")
    assert (failed.value.likely == symptoms.AT_A_NUL) == (came != b"some words and more")


@pytest.mark.parametrize("each", [1, 7, 100])
@pytest.mark.parametrize(("before", "after"), [(b"", b"\0"), (b"", b"\r\n"), (b"> ", b"")])
def test_what_is_added_to_each_message_is_known(each: int, before: bytes, after: bytes) -> None:
    pieces = [BYTES[begin : begin + each] for begin in range(0, len(BYTES), each)]
    with pytest.raises(Differs) as failed:
        must_equal(b"".join(before + piece + after for piece in pieces), BYTES, "the same back")
    assert failed.value.likely == symptoms.ADDED


def test_last_byte_of_each_message_that_is_missing_is_no_matter_of_its_value() -> None:
    came = b"".join(BYTES[begin : begin + 299] for begin in range(0, len(BYTES), 300))
    with pytest.raises(Differs, match="1 byte lost") as failed:
        must_equal(came, BYTES, "the same back")
    assert failed.value.likely == symptoms.LOST
    with pytest.raises(Differs) as failed:
        must_equal(BYTES[:100] + BYTES[101:], BYTES, "the same back")
    assert failed.value.likely != symptoms.LOST


def test_bytes_that_come_twice_each_are_not_something_added() -> None:
    with pytest.raises(Differs) as failed:
        must_equal(bytes(byte for byte in BYTES for _ in "ab"), BYTES, "the same back")
    assert failed.value.likely != symptoms.ADDED


def test_nothing_is_not_the_first_0_bytes() -> None:
    with pytest.raises(Differs, match=r"none of 4 bytes came$") as failed:
        must_equal(b"", b"some", "the same back")
    assert failed.value.at_byte is None


def test_connections_that_were_not_looked_into_are_as_the_others() -> None:
    conns = [QUEUE, *(conn(number) for number in range(1, 5))]
    conns[2] = conns[2]._replace(blocking=False)
    assert Look([IN_ACCEPT], conns).rows()[2:] == ["client 1, 2, 3, 4: ESTABLISHED, non-blocking"]
    conns[3] = conns[3]._replace(blocking=True)
    assert Look([IN_ACCEPT], conns).rows()[2:] == [
        "client 1, 4: ESTABLISHED",
        "client 2: ESTABLISHED, non-blocking",
        "client 3: ESTABLISHED, blocking",
    ]


def test_end_of_a_client_is_no_byte() -> None:
    conns = [conn(1, "CLOSE_WAIT", 1), conn(2, "CLOSE_WAIT", 3), conn(3, unread=1)]
    assert Look([IN_ACCEPT], conns).rows()[1:] == [
        "client 1: CLOSE_WAIT, the end unread by the server",
        "client 2: CLOSE_WAIT, 2 bytes and the end unread by the server",
        "client 3: ESTABLISHED, 1 byte unread by the server",
    ]


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("mistake", "id_", "likely"),
    [
        ("not-joined", "tcp/13", symptoms.NOT_JOINED),
        ("handed-over", "tcp/12-held", symptoms.HANDED_OVER),
        ("handed-over", "tcp/7", symptoms.NOT_GIVEN_BACK),
    ],
)
def test_thread_for_each_client_in_c_is_named(
    mistake: str, id_: str, likely: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("cc") is None:
        pytest.skip("there is no cc")
    program, source = str(tmp_path / "threads"), SERVERS / "threads.c"
    subprocess.run(
        ["cc", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", program, source], check=True
    )
    monkeypatch.setattr(runner, "PATIENCE_S", 1.0)
    subject = Subject("tcp-echo", (program, mistake, "{port}"))
    (finding,) = run(subject, [id_], 7, lambda text: None)
    if finding.state == "skipped":
        pytest.skip(finding.reason)
    assert finding.likely.startswith(likely.partition("{")[0]), (finding.actual, finding.seen)
