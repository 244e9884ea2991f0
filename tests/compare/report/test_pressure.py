"""Datagrams that a server is offered faster than it takes them: tables and a curve."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest
from rich.console import Console

from compare.contract.loss import Loss
from compare.report.spreadsheet import table_of
from compare.report.sweeps import curves, show_sweeps
from compare.results.records import Cell, Pace, Run, Server

MakeCell = Callable[..., Cell]
MakePace = Callable[..., Pace]


def shown(cells: Sequence[Cell], width: int = 500) -> str:
    out = io.StringIO()
    show_sweeps(cells, Console(file=out, width=width, highlight=False, emoji=False))
    return out.getvalue()


def tables_of(text: str) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Each heading, and the words of its rows by the first of them."""
    for part in text.split("\n\n"):
        heading, *rows = part.strip().splitlines()
        words = [re.split(r"\s{2,}", row.strip()) for row in rows]
        yield heading, {each[0]: each[1:] for each in words}


@pytest.fixture
def by_rate(made_up_cell: MakeCell, made_up_pace: MakePace) -> list[Cell]:
    """uvloop takes 20,000 a second, blocking half of it, and the driver sends no more than 30,000.

    threaded was not measured.
    """

    def cell(model: str, rate: int, takes: int) -> Cell:
        sent = min(rate, 30_000)
        dropped = max(0, sent - takes)
        lost = dropped + rate - sent
        loss = Loss(due=rate, lost=lost, server_buffer=dropped, driver_buffer=0, unsent=rate - sent)
        return made_up_cell(
            model,
            (),
            workload="udp-echo",
            loop="open",
            rate=float(rate),
            ops_per_s=float(rate - lost),
            pace=made_up_pace(float(rate), loss=loss),
            server=Server(cpu_us_per_op=50.0, receive_buffer=212_992),
        )

    cells = [
        cell(model, rate, takes)
        for model, takes in (("uvloop", 20_000), ("blocking", 10_000))
        for rate in (10_000, 20_000, 40_000)
    ]
    nothing: dict[str, Any] = {"loop": "open", "workload": "udp-echo", "verdict": "failed"}
    return [*cells, made_up_cell("threaded", (), rate=10_000.0, **nothing)]


def test_datagrams_are_told_by_what_was_lost_and_where(by_rate: list[Cell]) -> None:
    found = dict(tables_of(shown(by_rate)))
    where = "udp-echo, 4 client sockets, open loop"
    shares = found[f"share lost of what was due, by operations due in a second   {where}"]
    assert shares["uvloop"] == ["0.0%", "0.0%", "50.0%"]
    assert shares["blocking"] == ["0.0%", "50.0%", "75.0%"]
    assert shares["threaded"] == ["-", "-", "-"]
    text = shown(by_rate)
    text = text[text.index("datagrams under pressure") :]
    heads, _, *rows = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()[1:9]]
    assert heads[:4] == ["model", "due/s", "answered/s", "lost"]
    assert heads[4:8] == ["server's buffer", "driver's buffer", "not sent", "no answer"]
    assert [row[:8] for row in rows] == [
        ["uvloop", "10.0k", "10.0k", "0.0%", ".", ".", ".", "."],
        ["uvloop", "20.0k", "20.0k", "0.0%", ".", ".", ".", "."],
        ["uvloop", "40.0k", "20.0k", "50.0%", "25.0%", ".", "25.0%", "."],
        ["blocking", "10.0k", "10.0k", "0.0%", ".", ".", ".", "."],
        ["blocking", "20.0k", "10.0k", "50.0%", "50.0%", ".", ".", "."],
        ["blocking", "40.0k", "10.0k", "75.0%", "50.0%", ".", "25.0%", "."],
    ]
    assert "The receive buffer of every server is 212,992 bytes" in text


def test_on_a_narrow_terminal_it_is_not_told_where(by_rate: list[Cell]) -> None:
    text = shown(by_rate, width=80)
    assert "server's" not in text
    assert "…" not in text
    assert "50.0%" in text
    table = text[text.index("where\n") : text.index("The receive")]
    assert max(map(len, table.splitlines())) <= 80


def test_buffers_of_several_sizes_are_told_with_whose_they_are(by_rate: list[Cell]) -> None:
    larger = [
        msgspec.structs.replace(cell, server=Server(receive_buffer=2**20))
        if cell.model == "blocking"
        else cell
        for cell in by_rate
    ]
    text = shown(larger)
    assert "The receive buffer of uvloop is 212,992 bytes" in text
    assert "The receive buffer of blocking is 1,048,576 bytes" in text


def test_streams_have_no_such_table(made_up_cell: MakeCell, made_up_pace: MakePace) -> None:
    cells = [
        made_up_cell("epoll", (), loop="open", rate=rate, pace=made_up_pace(rate))
        for rate in (10.0, 20.0)
    ]
    assert "under pressure" not in shown(cells)


def test_loss_is_a_curve_against_what_is_due(by_rate: list[Cell]) -> None:
    lost, *others = curves(by_rate)
    assert lost.rows[0] == ["model", "operations due in a second", "share lost of what was due, %"]
    assert [(each["name"], each["x"], each["y"]) for each in lost.traces] == [
        ("uvloop", [10_000.0, 20_000.0, 40_000.0], [0.0, 0.0, 50.0]),
        ("blocking", [10_000.0, 20_000.0, 40_000.0], [0.0, 50.0, 75.0]),
    ]
    assert lost.layout["yaxis"]["rangemode"] == "tozero"
    assert "receive buffer of every server is 212,992 bytes" in lost.caption
    assert not any("receive buffer" in each.caption for each in others)


def test_spreadsheet_has_what_was_due_and_lost(
    by_rate: list[Cell], made_up_run: Callable[..., Run]
) -> None:
    row = list(csv.DictReader(io.StringIO(table_of(made_up_run(by_rate)))))[4]
    assert (row["model"], row["due_per_s"]) == ("blocking", "20000.0")
    assert (row["lost_share"], row["receive_buffer"]) == ("0.5", "212992")
