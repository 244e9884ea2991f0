"""A run as one picture, SVG, for a page that shows pictures: bars of the rate under each load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from xml.etree import ElementTree

from compare.host.machine import describe
from compare.report.sentences import loads_of
from compare.report.words import clean, count, microseconds
from compare.results.naming import title
from compare.results.records import Cell, Run

Theme = Literal["light", "dark"]
# As report/page.css has them: ground, text, soft text, lines, bars.
COLOURS: dict[Theme, tuple[str, str, str, str, str]] = {
    "light": ("#fdfdfc", "#1c1d1f", "#55585e", "#cfd0cc", "#0b5cad"),
    "dark": ("#16181b", "#e9e9e6", "#a8acb3", "#3b3f45", "#7db8f2"),
}
FONT = "system-ui, sans-serif"
WIDTH, MARGIN, GAP = 880, 20, 28  # of the picture, and between panels
HEAD, ROW, BAR = 30, 24, 14  # of a panel: its title, a model, and the bar in that
LETTER, LONGEST = 7.5, 26  # of a model's name, left of the bars: its width, and how many
WORDS = 158  # right of them
FOOT = 26


def chart(run: Run, theme: Theme = "light") -> str:
    """The rate of each model under each load, with its interval, what an operation costs the
    server, and how many were served; two panels beside each other, and the machine below.
    """
    panels = [(title(load), cells) for load, cells in loads_of(run).items()]
    columns = 2 if len(panels) > 1 else 1
    wide = (WIDTH - 2 * MARGIN - (columns - 1) * GAP) // columns
    heights = [
        max(HEAD + ROW * len(cells) for _, cells in panels[first : first + columns])
        for first in range(0, len(panels), columns)
    ]
    height = MARGIN + sum(heights) + GAP * len(heights) + FOOT
    picture = _Picture(theme, height, "Operations a second, by load and model")
    y = MARGIN
    for row, tall in enumerate(heights):
        for column, (name, cells) in enumerate(panels[row * columns : (row + 1) * columns]):
            picture.panel(MARGIN + column * (wide + GAP), y, wide, name, cells)
        y += tall + GAP
    words = f"operations/s, 95 % interval, server CPU for each; {describe(run.machine)}"
    picture.text(MARGIN, y + 6, f"{words}; {run.started[:10]}", size=11, soft=True)
    return picture.svg()


class _Picture:
    def __init__(self, theme: Theme, height: int, what: str) -> None:
        self._ground, self._text, self._soft, self._line, self._bar = COLOURS[theme]
        size = {"width": str(WIDTH), "height": str(height), "viewBox": f"0 0 {WIDTH} {height}"}
        named = {"xmlns": "http://www.w3.org/2000/svg", "role": "img", "font-family": FONT}
        self._root = ElementTree.Element("svg", size | named)
        ElementTree.SubElement(self._root, "title").text = what
        self._box(0, 0, WIDTH, height, self._ground)

    def svg(self) -> str:
        ElementTree.indent(self._root)
        return ElementTree.tostring(self._root, encoding="unicode") + "\n"

    def panel(self, x: int, y: int, wide: int, load: str, cells: Sequence[Cell]) -> None:
        self.text(x, y + 12, load, size=14, bold=True)
        names = [cell.model[:LONGEST] for cell in cells]
        name = round(LETTER * max(map(len, names), default=0)) + 16
        left, room = x + name, wide - name - WORDS
        top = max((_high(cell) for cell in cells), default=0.0) or 1.0
        for number, (cell, named) in enumerate(zip(cells, names, strict=True)):
            middle = y + HEAD + number * ROW + ROW // 2
            rate = cell.ops_per_s or 0.0
            self.text(left - 8, middle + 4, named, end=True)
            self._box(left, middle - BAR // 2, room * rate / top, BAR, self._bar)
            if cell.ops_per_s_ci95 and rate:
                low, high = (left + room * max(0.0, each) / top for each in cell.ops_per_s_ci95)
                self._box(low, middle - 1, high - low, 2, self._text)
            self.text(left + room + 8, middle + 4, _words(cell), size=12, soft=not rate)
        self._box(left - 1, y + HEAD, 1, ROW * len(cells), self._line)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: int = 13,
        bold: bool = False,
        soft: bool = False,
        end: bool = False,
    ) -> None:
        how = {"x": f"{x:g}", "y": f"{y:g}", "font-size": str(size)}
        how["fill"] = self._soft if soft else self._text
        how |= {"font-weight": "600"} if bold else {}
        how |= {"text-anchor": "end"} if end else {}
        plain = "".join(each if each.isprintable() else "?" for each in clean(words))
        ElementTree.SubElement(self._root, "text", how).text = plain

    def _box(self, x: float, y: float, wide: float, tall: float, colour: str) -> None:
        place = {"x": f"{x:.4g}", "y": f"{y:.4g}", "width": f"{wide:.4g}", "height": f"{tall:.4g}"}
        ElementTree.SubElement(self._root, "rect", place | {"fill": colour})


def _high(cell: Cell) -> float:
    return max(cell.ops_per_s or 0.0, cell.ops_per_s_ci95[1] if cell.ops_per_s_ci95 else 0.0)


def _words(cell: Cell) -> str:
    counts = cell.counts
    if not cell.ops_per_s and not counts.attempted:
        return cell.verdict
    words = count(cell.ops_per_s or 0.0)
    if (cost := cell.server.cpu_us_per_op) is not None:
        words += f", {microseconds(cost)}"
    few = counts.attempted and counts.served < 0.99 * counts.attempted
    return f"{words}, {counts.served}/{counts.attempted}" if few else words
