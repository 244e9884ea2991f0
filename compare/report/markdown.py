"""A run as GitHub-flavoured Markdown, which a pull request shows."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from compare.host.machine import describe
from compare.report.sentences import answer, loads_of
from compare.report.terminal import WIDE, columns_of, rate_text
from compare.report.words import for_markdown, markdown_table
from compare.results.naming import title
from compare.results.records import Run


def markdown_of(run: Run) -> str:
    """The answer in sentences and a table for each load, and what it was measured on."""
    return "\n".join(_lines(run)) + "\n"


def _lines(run: Run) -> Iterator[str]:
    settings = run.settings
    promised_us = settings.slo_us
    for load, cells in loads_of(run).items():
        mine = [each for each in run.comparisons if each.load == load]
        columns = columns_of(cells, mine, width=WIDE)
        columns["ops/s"] = rate_text
        yield f"### {for_markdown(title(load))}"
        yield ""
        yield from (f"- {for_markdown(each)}" for each in answer(cells, mine, promised_us))
        yield ""
        rows = ([_plain(of(cell)) for of in columns.values()] for cell in cells)
        yield from markdown_table(columns, rows, left="model verdict")
        yield ""
    if run.interrupted and run.cells:
        yield "Interrupted: this is what was measured until then."
    yield f"{for_markdown(describe(run.machine))}; seed {settings.seed}; took {run.took_s:.0f} s."


def _plain(text: str) -> str:
    """Of what a terminal is shown, the words."""
    return Text.from_markup(text).plain.strip()
