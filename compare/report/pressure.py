"""Datagrams offered faster than a server takes them: how many were lost, and where."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from compare.contract.loss import Loss
from compare.report.words import count, escape, milliseconds
from compare.results.loss import percent
from compare.results.records import Cell
from compare.results.sweep import Sweep

ENDLESS = 10_000  # columns: more than any table has


def show_losses(sweep: Sweep, beside: str, console: Console) -> None:
    """A row for each model and what it was offered; nothing but of an open loop of datagrams."""
    cells = [cell for points in sweep.points.values() for _, cell in points]
    if all(loss_in(cell) is None for cell in cells):
        return
    console.print()
    console.print(
        f"[bold]datagrams under pressure[/]   [dim]{beside}; of what was due, what was lost, and "
        "where[/]",
        soft_wrap=True,
    )
    whole = _table(cells, wide=True)
    anywhere = console.options.update(width=ENDLESS)
    has_room = console.measure(whole, options=anywhere).maximum <= console.width
    console.print(whole if has_room else _table(cells, wide=False))
    for words in buffers_in_words(cells):
        console.print(escape(words), soft_wrap=True)


def loss_in(cell: Cell) -> Loss | None:
    return cell.pace.loss if cell.pace else None


def lost_share(cell: Cell) -> float | None:
    """Of what was due; None where it was not asked for, or nothing was due."""
    loss = loss_in(cell)
    return loss.share if loss and loss.due else None


def buffers_in_words(cells: Sequence[Cell]) -> Iterator[str]:
    """How large the servers' receive buffers are, those of one size in one sentence."""
    found: dict[int, dict[str, None]] = {}
    for cell in cells:
        if size := cell.server.receive_buffer:
            found.setdefault(size, {})[cell.model] = None
    for size, models in found.items():
        whose = "every server" if len(found) == 1 else ", ".join(models)
        yield (
            f"The receive buffer of {whose} is {size:,} bytes (SO_RCVBUF as the kernel has it; "
            "net.core.rmem_default where a server asks for no other)."
        )


def _table(cells: Sequence[Cell], *, wide: bool) -> Table:
    places: dict[str, Callable[[Loss], int | None]] = {
        "server's buffer": lambda loss: loss.server_buffer,
        "driver's buffer": lambda loss: loss.driver_buffer,
        "not sent": lambda loss: loss.unsent,
        "no answer": lambda loss: loss.unexplained,
    }
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("model", no_wrap=True)
    for name in ("due/s", "answered/s", "lost", *(places if wide else ()), "p50", "p99"):
        table.add_column(name, justify="right", no_wrap=True)
    for cell in cells:
        loss = loss_in(cell)
        if loss is None or cell.pace is None:
            continue
        table.add_row(
            escape(cell.model),
            count(cell.pace.offered),
            count(cell.pace.offered * (1 - loss.share)),
            percent(loss.lost, loss.due),
            *(_place(of(loss), loss.due) for of in places.values() if wide),
            milliseconds(cell.latency_us.p50),
            milliseconds(cell.latency_us.p99),
        )
    return table


def _place(many: int | None, due: int) -> str:
    """Nothing is a dot, so that one sees where there is something; what is unknown a dash."""
    return "-" if many is None else percent(many, due) if many else "."
