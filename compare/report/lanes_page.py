"""What `compare see` saw as one HTML page that needs nothing else, not even a script."""

from __future__ import annotations

import base64
import hashlib
import shlex
from importlib import resources
from typing import NamedTuple

import jinja2
from markupsafe import Markup

from compare.report.lanes import call_text, end_text, queue_text, summary, threads_text
from compare.report.words import clean
from compare.see.records import End, Row, Seen


class Cell(NamedTuple):
    """One state in a lane: how many rows it lasts, and the kind that it is drawn as."""

    text: str
    rows: int
    kind: str
    label: str


def page(seen: Seen) -> str:
    """Time runs down; threads and listener have a lane each, and each connection has two."""
    css = file_text("page.css") + file_text("lanes.css")
    numbers = sorted({row.connection for row in seen.rows} - {0})
    lanes = [
        _merged([(threads_text(row.threads), "threads", "") for row in seen.rows]),
        _merged([(queue_text(row.queue), "queue", "") for row in seen.rows]),
        *(lane for number in numbers for lane in _ends(seen.rows, number)),
    ]
    command = shlex.join(
        ["compare", "see", *_words(seen)] + (["--", *seen.command] if seen.command else [])
    )
    return str(
        jinja2.Environment(
            loader=jinja2.FunctionLoader(file_text),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            finalize=lambda value: clean(value) if type(value) is str else value,
        )
        .get_template("lanes.html")
        .render(
            css=Markup(css),
            policy=f"default-src 'none'; style-src {hash_of(css)}; form-action 'none'",
            seen=seen,
            numbers=numbers,
            rows=[_row(row, lanes, at) for at, row in enumerate(seen.rows)],
            summary=summary(seen),
            command=command,
        )
    )


def _words(seen: Seen) -> list[str]:
    return ["--scene", seen.scene] if seen.command else ["--states"]


def _row(row: Row, lanes: list[list[Cell | None]], at: int) -> dict[str, object]:
    who = f"client {row.who}" if row.who else "others" if row.call.startswith("+") else "server"
    return {
        "ms": f"{row.at_ms:.1f}",
        "who": who if row.call else "",
        "call": call_text(row).removeprefix("server "),
        "cells": [lane[at] for lane in lanes],
    }


def _ends(rows: list[Row], number: int) -> list[list[Cell | None]]:
    """The two lanes of a connection, the client's first."""
    client = server = End()
    both: tuple[list[tuple[str, str, str]], list[tuple[str, str, str]]] = ([], [])
    for row in rows:
        if row.connection == number:
            client, server = row.client, row.server
        for lane, end in zip(both, (client, server), strict=True):
            text = end_text(end) if end.state else ""
            lane.append((text, end.state or "none", _label(end)))
    return [_merged(lane) for lane in both]


def _label(end: End) -> str:
    """What a terminal has no room for."""
    if not end.state:
        return ""
    words = [f"{end.unread:,} unread"] if end.unread else []
    words += [f"{end.unsent:,} not acknowledged"] if end.unsent else []
    words += [f"timer: {end.timer}"] if end.timer else []
    words += [] if end.held else ["no process has it"]
    return ", ".join(words)


def _merged(lane: list[tuple[str, str, str]]) -> list[Cell | None]:
    """One cell for all rows in which nothing changes; None where the one above goes on."""
    cells: list[Cell | None] = []
    begun = 0
    for at, (text, kind, label) in enumerate(lane):
        if at and lane[at] == lane[at - 1]:
            cells.append(None)
            first = cells[begun]
            assert first is not None
            cells[begun] = first._replace(rows=first.rows + 1)
        else:
            begun = at
            cells.append(Cell(text, 1, kind, label))
    return cells


def file_text(name: str) -> str:
    return resources.files("compare.report").joinpath(name).read_text(encoding="utf-8")


def hash_of(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
