"""What was seen, in words: a cell for each."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from compare.report.lanes import (
    Lanes,
    amount,
    call_text,
    end_text,
    queue_text,
    texts,
    threads_text,
)
from compare.report.lanes_page import page
from compare.see.records import Doing, End, Queue, Row, Seen

OPEN = End("ESTABLISHED", held=True)


def row(call: str = "", result: str = "", **more: object) -> Row:
    values: dict[str, object] = {
        "at_ms": 0.0,
        "who": 1,
        "call": call,
        "result": result,
        "connection": 1,
        "client": OPEN,
        "server": OPEN,
        "queue": Queue(0, 5),
        "threads": [],
    }
    return Row(**values | more)  # type: ignore[arg-type]


def doing(tid: int, state: str, call: str | None = None, on: str = "") -> Doing:
    return Doing(1, tid, state, call, on)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999, "999"), (1000, "1k"), (4096, "4k"), (999_999, "977k"), (2_097_152, "2M")],
)
def test_amounts_are_short(count: int, text: str) -> None:
    assert amount(count) == text


def test_queues_are_told_where_something_is_in_them() -> None:
    assert end_text(End()) == "-"
    assert end_text(OPEN) == "ESTABLISHED"
    assert end_text(End("CLOSING", 1, 2_097_152)) == "CLOSING r1 s2M"
    assert queue_text(None) == "-"
    assert queue_text(Queue(2, 1)) == "2/1"
    assert queue_text(Queue(1104, 4096)) == "1k/4k"


def test_results_are_numbers_or_names_of_errors() -> None:
    assert call_text(row("recv()", "6")) == "recv() = 6"
    assert call_text(row("recv()", "ECONNRESET")) == "recv ECONNRESET"
    assert call_text(row("shutdown()")) == "shutdown()"


def test_an_error_for_which_there_is_no_room_stands_without_its_call() -> None:
    assert texts(row("connect()", "ECONNREFUSED"), 12)[1] == "1 ECONNREFUSED"


def test_who_runs_is_told_first_then_who_is_busy_with_a_client() -> None:
    threads = [
        *(doing(1, "S", "accept4", "listener"), doing(2, "S", "recvfrom", "2"), doing(3, "R")),
        doing(4, "S", "recvfrom", "2"),
    ]
    assert threads_text(threads) == "R, 2x S recv(2), S accept"
    assert threads_text(threads, 12) == "R +3"
    assert threads_text(threads[1:2], 12) == "S recv(2)"
    assert threads_text([]) == "-"


def shown(rows: list[Row], width: int = 80) -> list[str]:
    file = io.StringIO()
    lanes = Lanes(Console(file=file, width=width, color_system=None), "hello", "it is seen.")
    for each in rows:
        lanes.show(each)
    return file.getvalue().splitlines()


def test_every_row_keeps_its_columns_however_long_its_cells_are() -> None:
    full = End("ESTABLISHED", 123_456, 123_456_789)
    many = [doing(number, "S", "clock_nanosleep", "12") for number in range(12)]
    lines = shown([row("connect()"), row("x" * 100, client=full, server=full, threads=many)])
    assert max(map(len, lines)) <= 80
    plain, long = lines[-2:]
    assert plain.index("ESTABLISHED") == long.index("ESTABLISHED")
    assert plain.rindex("ESTABLISHED") == long.rindex("ESTABLISHED")


def test_a_change_that_nobody_would_see_is_not_shown_again() -> None:
    first = row("send()", client=End("ESTABLISHED", 0, 2_095_104))
    again = row(client=End("ESTABLISHED", 0, 2_093_056), at_ms=5.0)
    assert len(shown([first, again])) == len(shown([first])) + 1  # its call is gone from the line
    assert len(shown([first, again, again])) == len(shown([first, again]))


def test_page_of_whatever_a_server_is_called_escapes_it() -> None:
    seen = Seen(
        scene="hello",
        what="it is seen.",
        command=["<script>", "{port}"],
        host="127.0.0.1",
        port=1,
        kernel="Linux",
        rows=[row("connect()")],
        left={},
        samples=1,
        sample_us=1.0,
        remarks=["</table>"],
    )
    text = page(seen)
    assert "<script>" not in text
    assert text.count("</table>") == 1
    assert "compare see --scene hello -- &#39;&lt;script&gt;&#39; &#39;{port}&#39;" in text
