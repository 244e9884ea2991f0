"""What a load is called: for a person, and in the name of a file."""

from __future__ import annotations

from compare.models.matrix import WORKLOADS
from compare.results.records import Load

NOUNS = {"udp-echo": "client sockets", "chat": "members"}


def title(load: Load) -> str:
    """`tcp-long, 64 connections beside 1,000 idle, 70% of closed loop`."""
    words = f"{load.workload}, {load.connections:,} {noun(load)}{transport(load)}"
    if load.idle:
        words += f" beside {load.idle:,} idle"
    if load.size != usual_size(load):
        words += f", {load.size:,} B"
    if costs := handling(load):
        words += f", {costs}"
    if load.cores:
        words += f", {on_cores(load)}"
    return words if load.loop == "closed" else f"{words}, {schedule(load) or 'open loop'}"


def on_cores(load: Load) -> str:
    """Where it says how many."""
    return f"server on {load.cores} {'core' if load.cores == 1 else 'cores'}"


def transport(load: Load) -> str:
    """` over TLS`, and how, where that is no matter of course; empty over plain TCP."""
    if load.tls == "none" or load.workload != "tcp-short":
        return "" if load.tls == "none" else " over TLS"
    return f" over TLS ({'full handshakes' if load.tls == 'full' else load.tls})"


def noun(load: Load) -> str:
    """What it has so many of."""
    many = NOUNS.get(load.workload, "connections")
    return many.removesuffix("s") if load.connections == 1 else many


def operation_of(load: Load) -> str:
    """What is counted; empty for a workload of another version."""
    workload = WORKLOADS.get(load.workload)
    if workload is None:
        return ""
    if load.tls == "none" or load.workload != "tcp-short":
        return workload.operation
    return f"{workload.operation}, with a TLS handshake"


def short(load: Load) -> str:
    """`tcp-long 64`, and more only where it is not as usual."""
    words = f"{load.workload} {load.connections}{transport(load)}"
    if load.size != usual_size(load):
        words += f" {load.size} B"
    if load.idle:
        words += f" beside {load.idle} idle"
    if costs := handling(load):
        words += f" {costs}"
    if load.cores:
        words += f", {on_cores(load)}"
    return words if load.loop == "closed" else f"{words} ({schedule(load) or 'open loop'})"


def handling(load: Load) -> str:
    """What a message costs the server beyond its service; empty where that is nothing."""
    words = []
    if load.work_us:
        words.append(f"{time_of(load.work_us)} of work")
    if load.wait_us:
        words.append(f"{time_of(load.wait_us)} of waiting")
    if load.slow_share:
        words.append(f"{100 * load.slow_share:.10g}% slow by {time_of(load.slow_us)}")
    return " and ".join(words)


def time_of(us: float) -> str:
    """`50us`, `5ms`, as they are typed."""
    return f"{us:.10g}us" if us < 1000 else f"{us / 1000:.10g}ms"


def schedule(load: Load) -> str:
    """Of an open loop, what is due; empty where that was looked for."""
    if load.rate is not None:
        return f"{load.rate:,.10g}/s due"
    if load.share is not None:
        return f"{100 * load.share:.10g}% of each one's closed loop due"
    return ""


def slug(load: Load) -> str:
    """`tcp-long-64-closed`, and more only where it is not as usual."""
    words = [load.workload, str(load.connections), load.loop]
    if load.size != usual_size(load):
        words.append(f"{load.size}B")
    if load.idle:
        words.append(f"idle{load.idle}")
    if costs := handling(load):
        words.append(costs.replace(" of ", "-").replace("%", "pc").replace(" ", "-"))
    if load.cores:
        words.append(f"{load.cores}cores")
    if load.tls != "none":
        words.append(f"tls-{load.tls}")
    if load.rate is not None:
        words.append(f"{load.rate:.10g}")
    if load.share is not None:
        words.append(f"{load.share:.10g}x")
    return "-".join(words)


def usual_size(load: Load) -> int | None:
    workload = WORKLOADS.get(load.workload)
    return workload.size if workload else None
