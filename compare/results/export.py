"""A run's histograms as files that other tools read: .hlog and .hgrm."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from hdrh.log import HistogramLogWriter

from compare.contract.histogram import merge
from compare.results.naming import slug
from compare.results.records import Run

NS_PER_MS = 1e6
LONGEST = 200  # of 255 bytes that a file name may have
_UNSAFE = re.compile(r"^[.-]|[^A-Za-z0-9_.@+-]")


def export(run: Run, folder: Path) -> Iterator[Path]:
    """Write two files for every cell that has latencies, and yield their paths.

    .hlog: the histogram log of HdrHistogram's tools, one interval, values in ns. .hgrm: the
    percentile distribution that its plotter takes, in ms. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    started = datetime.datetime.fromisoformat(run.started).timestamp()
    taken: Counter[str] = Counter()
    for cell in run.cells:
        if cell.latency_hdr is None:
            continue
        histogram = merge([cell.latency_hdr])
        # A run of somebody else's does not say where its files go.
        stem = _UNSAFE.sub("_", f"{cell.model}-{slug(cell)}")[:LONGEST]
        taken[stem] += 1
        if taken[stem] > 1:
            stem += f"-{taken[stem]}"
        log_path = folder / f"{stem}.hlog"
        with log_path.open("w", encoding="ascii") as file:
            log = HistogramLogWriter(file)
            log.output_log_format_version()
            log.output_comment(f"{stem}, values in ns")
            log.output_legend()
            seconds = sum(each.window_s for each in cell.rounds)
            log.output_interval_histogram(
                histogram, started, started + seconds, max_value_unit_ratio=NS_PER_MS
            )
        yield log_path
        distribution_path = folder / f"{stem}.hgrm"
        with distribution_path.open("wb") as binary:
            histogram.output_percentile_distribution(binary, NS_PER_MS)
        yield distribution_path
