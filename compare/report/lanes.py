"""What `compare see` saw, in a terminal: a line for each row, which says what has changed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.text import Text

from compare.report.words import clean
from compare.see.records import Doing, End, Queue, Row, Seen

WIDTH = 80  # columns, where nothing says how wide it is
WIDTHS = (5, 18, 17, 17, 6)  # and the threads have the rest
HEADS = ("ms", "call", "client", "server", "queue", "threads")
LEGEND = "r: bytes in Recv-Q, s: in Send-Q; queue: accepted by nobody yet/backlog"
COLOURS = {
    **dict.fromkeys(("LISTEN", "SYN_SENT", "SYN_RECV"), "cyan"),
    "ESTABLISHED": "green",
    **dict.fromkeys(("FIN_WAIT1", "FIN_WAIT2", "CLOSE_WAIT", "CLOSING", "LAST_ACK"), "yellow"),
    **dict.fromkeys(("TIME_WAIT", "CLOSE"), "magenta"),
}
_SHORT = {  # as people say it
    "accept4": "accept",
    "recvfrom": "recv",
    "sendto": "send",
    "pselect6": "select",
    "ppoll": "poll",
    "epoll_pwait": "epoll_wait",
    "epoll_pwait2": "epoll_wait",
    "clock_nanosleep": "sleep",
    "nanosleep": "sleep",
    "futex": "lock",
}


class Lanes:
    """Shows the rows of a scene as they come, and with the first of them what it is about."""

    def __init__(self, console: Console, scene: str, what: str) -> None:
        self._console = console
        self._heading: str | None = f"{scene}: {what}"
        self._width = console.width if console.is_terminal else WIDTH
        self._before: tuple[str, ...] = ()

    def show(self, row: Row) -> None:
        if self._heading is not None:
            self._console.print(Text(self._heading), width=self._width)
            self._console.print()
            self._print([Text(head, style="bold") for head in HEADS])
            self._heading = None
        cells = texts(row, self._width - sum(WIDTHS) - len(WIDTHS))
        if not row.call and cells[1:] == self._before[1:]:  # a change of a few bytes in millions
            return
        styled = [Text(cells[0], style="dim"), Text(cells[1])]
        for index, text in enumerate(cells[2:], 2):
            same = self._before and self._before[index] == text
            colour = COLOURS.get(text.partition(" ")[0], "") if index in (2, 3) else ""
            styled.append(Text(text, style=f"{'dim' if same else 'bold'} {colour}"))
        self._before = cells
        self._print(styled)

    def end(self, seen: Seen) -> None:
        self._console.print()
        for remark in (
            *seen.remarks,
            *(["interrupted: this was seen until then"] * seen.interrupted),
        ):
            self._console.print(Text(clean(remark)), width=self._width)
        self._console.print(Text(LEGEND, style="dim"), width=self._width)
        self._console.print(Text(summary(seen), style="dim"), width=self._width)

    def _print(self, cells: Sequence[Text]) -> None:
        line = Text()
        for width, cell in zip(WIDTHS, cells, strict=False):
            number = width == WIDTHS[0]
            cell.truncate(width, overflow="ellipsis")
            line += Text(" " * (width - len(cell)) if number else "") + cell
            line += Text(" " * (0 if number else width - len(cell)) + " ")
        line += cells[-1]
        line.truncate(self._width, overflow="ellipsis")
        line.rstrip()
        self._console.print(line, soft_wrap=True)


def texts(row: Row, room: int) -> tuple[str, str, str, str, str, str]:
    """One for each of HEADS; the last may be `room` characters long."""
    server = "LISTEN" if not row.connection and row.queue else end_text(row.server)
    return (
        f"{row.at_ms:.1f}" if row.at_ms < 999.95 else f"{row.at_ms:.0f}",
        _numbered(row),
        end_text(row.client),
        server,
        queue_text(row.queue),
        threads_text(row.threads, room),
    )


def _numbered(row: Row) -> str:
    """With the number of the client; where there is no room for both, an error without its call."""
    whole = f"{row.connection or ''} {call_text(row)}".strip()
    is_error = row.result.startswith("E") and len(whole) > WIDTHS[1]
    return f"{row.connection} {row.result}" if is_error else whole


def call_text(row: Row) -> str:
    if not row.result:
        return clean(row.call)
    if row.result.isdigit():
        return clean(f"{row.call} = {amount(int(row.result))}")
    return clean(f"{row.call.removesuffix('()')} {row.result}")


def end_text(end: End) -> str:
    """The state, and what is in its queues: r, not read yet, and s, sent and not acknowledged."""
    queues = (("r", end.unread), ("s", end.unsent))
    return " ".join([end.state or "-", *(f"{of}{amount(size)}" for of, size in queues if size)])


def amount(count: int) -> str:
    """Bytes, in at most four characters up to a gigabyte."""
    if count < 1000:
        return str(count)
    return f"{count / 1024:.0f}k" if count < 1_000_000 else f"{count / 1048576:.0f}M"


def queue_text(queue: Queue | None) -> str:
    """How many wait of how many may."""
    if queue is None:
        return "-"
    whole = f"{queue.waiting}/{queue.backlog}"
    short = f"{amount(queue.waiting)}/{amount(queue.backlog)}"
    return whole if len(whole) <= WIDTHS[-1] else short


def threads_text(threads: Sequence[Doing], room: int | None = None) -> str:
    """Those that do the same, counted; who runs first, then who is busy with a client.

    Where there is no room for all, the first and how many more there are.
    """
    said = sorted(
        map(thread_text, threads), key=lambda text: (text[0] != "R", "(" not in text, text)
    )
    counted = [(len(list(group)), text) for text, group in groupby(said)]
    words = [f"{number}x {text}" if number > 1 else text for number, text in counted]
    whole = ", ".join(words) or "-"
    if room is None or len(whole) <= room or len(words) == 1:
        return whole
    return f"{words[0]} +{len(threads) - counted[0][0]}"


def thread_text(thread: Doing) -> str:
    if thread.call is None:
        return thread.state
    call = _SHORT.get(thread.call, thread.call)
    return f"{thread.state} {call}" + (f"({thread.on})" if thread.on.isdigit() else "")


def summary(seen: Seen) -> str:
    states = ", ".join(sorted(seen.states()))
    left = ", ".join(f"{number} {state}" for state, number in seen.left.items()) or "nothing"
    return (
        f"Seen: {states}. Left at the port: {left}. {seen.samples} looks of "
        f"{seen.sample_us / 1000:.2f} ms (median), {seen.kernel}"
    )
