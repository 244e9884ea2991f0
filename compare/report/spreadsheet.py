"""A run as CSV, which spreadsheets read."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

from compare.report.pressure import lost_share
from compare.report.words import clean
from compare.results.records import Run
from compare.results.sweep import payload_per_s

_STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_COLUMNS: dict[str, Callable[[Any], object]] = {
    "model": lambda cell: cell.model,
    "workload": lambda cell: cell.workload,
    "connections": lambda cell: cell.connections,
    "size": lambda cell: cell.size,
    "idle": lambda cell: cell.idle,
    "work_us": lambda cell: cell.work_us,
    "wait_us": lambda cell: cell.wait_us,
    "slow_share": lambda cell: cell.slow_share,
    "slow_us": lambda cell: cell.slow_us,
    "cores": lambda cell: cell.cores or None,
    "tls": lambda cell: cell.tls,
    "loop": lambda cell: cell.loop,
    "rate": lambda cell: cell.rate,
    "share": lambda cell: cell.share,
    "verdict": lambda cell: cell.verdict,
    "due_per_s": lambda cell: cell.pace and cell.pace.offered,
    "lost_share": lost_share,
    "receive_buffer": lambda cell: cell.server.receive_buffer,
    "ops_per_s": lambda cell: cell.ops_per_s,
    "ops_per_s_low": lambda cell: cell.ops_per_s_ci95 and cell.ops_per_s_ci95[0],
    "ops_per_s_high": lambda cell: cell.ops_per_s_ci95 and cell.ops_per_s_ci95[1],
    "payload_bytes_per_s": payload_per_s,
    "p50_us": lambda cell: cell.latency_us.p50,
    "p90_us": lambda cell: cell.latency_us.p90,
    "p99_us": lambda cell: cell.latency_us.p99,
    "p99_9_us": lambda cell: cell.latency_us.p99_9,
    "max_us": lambda cell: cell.latency_us.max,
    "attempted": lambda cell: cell.counts.attempted,
    "served": lambda cell: cell.counts.served,
    "cpu_us_per_op": lambda cell: cell.server.cpu_us_per_op,
    "rss_kb": lambda cell: cell.server.rss_kb,
    "pss_kb": lambda cell: cell.server.pss_kb,
    "tls_version": lambda cell: cell.handshakes and cell.handshakes.version,
    "tls_cipher": lambda cell: cell.handshakes and cell.handshakes.cipher,
    "handshakes_full": lambda cell: cell.handshakes and cell.handshakes.full,
    "handshakes_resumed": lambda cell: cell.handshakes and cell.handshakes.resumed,
    "handshake_p50_us": lambda cell: cell.handshakes and cell.handshakes.latency_us.p50,
    "handshake_p99_us": lambda cell: cell.handshakes and cell.handshakes.latency_us.p99,
    "system_calls_per_op": lambda cell: (
        sum(each.per_op for each in cell.profile.calls) or None if cell.profile else None
    ),
    "rounds": lambda cell: len(cell.rounds),
    "reasons": lambda cell: "; ".join(cell.reasons),
}


def table_of(run: Run) -> str:
    """A run as CSV, a row for each cell; text that a spreadsheet would compute is quoted."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for cell in run.cells:
        writer.writerow([_plain(of(cell)) for of in _COLUMNS.values()])
    return file.getvalue()


def _plain(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = clean(value)
    return f"'{text}" if text.startswith(_STARTS_A_FORMULA) else text
