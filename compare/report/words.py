"""Figures and other people's text, as a terminal and a page have them."""

from __future__ import annotations

from collections.abc import Iterable

from rich import markup

LONGEST = 4000  # characters of what somebody else said


def clean(text: str) -> str:
    """`text` from elsewhere: nothing that a terminal would obey, and not more than one reads."""
    short = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
    return "".join(each if each.isprintable() or each == "\n" else "?" for each in short)


def escape(text: str) -> str:
    """The same, and no markup."""
    return markup.escape(clean(text))


def for_markdown(text: str) -> str:
    """Nothing that Markdown or HTML would obey."""
    plain = "".join(each if each.isprintable() else "?" for each in text)
    for each in "\\`*_{}[]<>|#":
        plain = plain.replace(each, f"\\{each}")
    return plain


def markdown_table(heads: Iterable[str], rows: Iterable[Iterable[str]], left: str) -> list[str]:
    """Its lines. left: the heads, with blanks between, whose columns are words and not figures."""
    heads = list(heads)
    rule = ["---" if each in left.split() else "--:" for each in heads]
    rows = [heads, *([for_markdown(each) for each in row] for row in rows)]
    head, *rest = (f"| {' | '.join(row)} |" for row in rows)
    return [head, f"|{'|'.join(rule)}|", *rest]


def three(value: float) -> str:
    """With three digits that count."""
    return f"{float(f'{value:.3g}'):,.10g}"


def duration(seconds: float) -> str:
    """As people say it."""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 1 else f"{three(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.0f} h"


def count(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:.2f}M"
    if value >= 1000:
        return f"{value / 1e3:.1f}k"
    return f"{value:.0f}" if value >= 10 else three(value)


def byte_rate(per_s: float) -> str:
    """Of bytes in a second; a MB is a million of them."""
    for unit, many in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if per_s >= many:
            return f"{three(per_s / many)} {unit}/s"
    return f"{three(per_s)} B/s"


def microseconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f} µs" if value >= 10 else f"{value:.2f} µs"


def milliseconds(us: float | None) -> str:
    if us is None:
        return "-"
    if us < 100:
        return f"{three(us)} µs"
    ms = us / 1000
    return f"{ms:.2f} ms" if ms < 10 else f"{ms:.0f} ms"


def time_text(us: float) -> str:
    """In the unit in which one would say it."""
    if us < 100:
        return f"{three(us)} µs"
    return f"{three(us / 1000)} ms" if us < 1e6 else f"{three(us / 1e6)} s"


def megabytes(kb: float) -> str:
    mb = kb / 1024
    return f"{mb:,.0f}" if mb >= 10 else f"{mb:.2g}"


def spread(share: float) -> str:
    """Half of an interval, as a share of what it is about, in so many digits that it is not 0."""
    return f"±{share:.1%}" if 0.0005 <= share < 0.0095 else f"±{share:.0%}"


def half(interval: tuple[float, float]) -> str:
    """Half of the interval of a ratio, likewise."""
    width = (interval[1] - interval[0]) / 2
    return f"±{width:.3f}" if 0.0005 <= width < 0.0095 else f"±{width:.2f}"
