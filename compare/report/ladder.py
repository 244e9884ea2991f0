"""What `compare scale` found, as a table for each model."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from compare.host.machine import describe
from compare.report.terminal import escape, microseconds, milliseconds, pythons
from compare.results.ladder import Scale, Step


def show_ladder(scale: Scale, console: Console) -> None:
    """Print the ladders, and what gave way."""
    settings = scale.settings
    for model in dict.fromkeys(step.model for step in scale.steps):
        steps = [step for step in scale.steps if step.model == model]
        slope = scale.memory_slope.get(model)
        console.print()
        console.print(
            f"[bold]{model}[/]   {settings.connections} connections work, closed loop, "
            f"{settings.size} B, beside those that are idle"
            + (f"; {slope / 1024:.2f} KB of server memory for each idle one" if slope else ""),
            soft_wrap=True,
        )
        console.print(_table(steps))
        for step in steps:
            for words in step.gave_way:
                console.print(f"at {step.idle:,} gave way: {escape(words)}", soft_wrap=True)
            if step.cell is not None and step.cell.verdict != "ok":
                for reason in step.cell.reasons:
                    console.print(
                        f"at {step.idle:,} {step.cell.verdict}: {escape(reason)}", soft_wrap=True
                    )
    if len({step.model for step in scale.steps}) > 1 and len(settings.idle) > 1:
        console.print()
        console.print("[bold]server CPU for an operation[/], beside so many idle connections")
        console.print(_cost_of_idling(scale))
    limits = scale.limits
    console.print()
    console.print(f"[dim]{escape(describe(scale.machine))}[/]", soft_wrap=True)
    console.print(
        f"[dim]limits: {limits.descriptors:,} descriptors a process, "
        f"{limits.memory_kb / 2**20:.0f} GB of memory, {limits.ephemeral_ports:,} ports an "
        f"address, backlog {limits.backlog:,}; took {scale.took_s:.0f} s[/]",
        soft_wrap=True,
    )
    for line in pythons(settings.interpreters):
        console.print(line, soft_wrap=True)
    if scale.interrupted:
        console.print("[yellow]Interrupted: this is what was measured until then.[/]")


def _cost_of_idling(scale: Scale) -> Table:
    """Every model at every step: whether a wait costs as much as there is to do, or to watch."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("model")
    for idle in scale.settings.idle:
        table.add_column(f"{idle:,}", justify="right", no_wrap=True)
    costs = {
        (step.model, step.idle): step.cell.server.cpu_us_per_op for step in scale.steps if step.cell
    }
    for model in dict.fromkeys(step.model for step in scale.steps):
        table.add_row(
            model, *(microseconds(costs.get((model, idle))) for idle in scale.settings.idle)
        )
    return table


def _table(steps: list[Step]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in (
        *("idle", "served", "opened in", "first reply p50", "p99"),
        *("ops/s", "p50", "p99", "CPU/op", "server", "kernel"),
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for step in steps:
        cell, memory = step.cell, step.memory
        table.add_row(
            f"{step.idle:,}",
            f"{step.counts.served:,}",
            f"{step.took_s:.1f} s",
            milliseconds(step.first_reply_us.p50),
            milliseconds(step.first_reply_us.p99),
            f"{cell.ops_per_s:,.0f}" if cell and cell.ops_per_s else "-",
            milliseconds(cell.latency_us.p50 if cell else None),
            milliseconds(cell.latency_us.p99 if cell else None),
            microseconds(cell.server.cpu_us_per_op if cell else None),
            f"{memory.server_kb / 1024:,.1f} MB" if memory else "-",
            f"{memory.kernel_kb / 1024:,.1f} MB" if memory else "-",
        )
    return table
