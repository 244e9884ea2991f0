"""What is said of a cell, from made-up rounds."""

from __future__ import annotations

from compare.results.records import Round
from compare.results.verdict import judge


def verdict(
    rounds: list[Round],
    *,
    workload: str = "tcp-long",
    connections: int = 4,
    failures: tuple[str, ...] = (),
    few: str = "",
    pinned: bool = True,
    cores: int = 1,
) -> tuple[str, str]:
    """All verdicts, and all reasons, each as one text."""
    found, reasons = judge(
        workload, connections, rounds, list(failures), few, pinned=pinned, cores=cores
    )
    return ", ".join(found), "; ".join(reasons)
