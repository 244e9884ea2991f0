"""The board of a class as one HTML page that needs nothing else, not even a script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import jinja2
from markupsafe import Markup

from compare.classroom.board import Left, Place
from compare.classroom.laid_out import template
from compare.report.lanes_page import file_text, hash_of
from compare.report.words import clean
from compare.results.naming import operation_of, short, slug, title

WIDTH, EDGE = 320, 8  # of the scale


def page(name: str, places: Sequence[Place], left: Sequence[Left]) -> str:
    """`places` in the order of their loads, and within one the least first."""
    css = file_text("page.css") + template("board.css")
    return str(
        jinja2.Environment(
            loader=jinja2.FunctionLoader(template),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            finalize=lambda value: clean(value) if type(value) is str else value,
        )
        .get_template("board.html")
        .render(
            css=Markup(css),
            policy=f"default-src 'none'; style-src {hash_of(css)}; form-action 'none'",
            title=name,
            loads=[_load(list(each)) for _, each in groupby(places, key=lambda one: one.load)],
            left=[
                {"who": each.who, "load": short(each.load) if each.load else "", "why": each.why}
                for each in left
            ],
        )
    )


def _load(places: list[Place]) -> dict[str, Any]:
    least = min(1.0, *(each.low for each in places))
    most = max(1.0, *(each.high for each in places))
    spread = math.log(most / least) or 1.0

    def at(value: float) -> str:
        return f"{EDGE + (WIDTH - 2 * EDGE) * math.log(value / least) / spread:.1f}"

    load = places[0].load
    return {
        "id": f"load-{slug(load)}",
        "title": title(load),
        "operation": f"One operation is {what}." if (what := operation_of(load)) else "",
        "least": f"{least:.2f}",
        "most": f"{most:.2f}",
        "one": at(1.0),
        "rows": [
            {
                "place": place,
                "who": each.who,
                "ratio": f"{each.ratio:.2f}",
                "low": f"{each.low:.2f}",
                "high": f"{each.high:.2f}",
                "from": at(each.low),
                "to": at(each.high),
                "at": at(each.ratio),
            }
            for place, each in zip(_places(places), places, strict=True)
        ],
    }


def _places(places: list[Place]) -> list[int]:
    """Who cannot be told from the first of a place shares it."""
    found: list[int] = []
    first = 0
    for number, each in enumerate(places):
        if number and each.low > places[first].high:
            first = number
        found.append(first + 1)
    return found
