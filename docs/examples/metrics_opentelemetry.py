"""Counters of a server for OpenTelemetry, which asks for them when it exports.

python docs/examples/metrics_opentelemetry.py tcp://127.0.0.1:7060
"""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader

import aionet

EVERY_MS = 1000


@asynccontextmanager
async def app(worker: aionet.Worker) -> AsyncIterator[aionet.Service]:
    """The provider lives as long as the server; with workers there is one in each."""
    exporter = PeriodicExportingMetricReader(ConsoleMetricExporter(), EVERY_MS)
    provider = MeterProvider([exporter])
    meter = provider.get_meter("aionet")

    def open_now(
        options: CallbackOptions,
    ) -> Iterator[Observation]:
        yield Observation(worker.server.stats.open, {"worker": worker.number})

    def closed(options: CallbackOptions) -> Iterator[Observation]:
        for reason, count in worker.server.stats.closed.items():
            yield Observation(count, {"worker": worker.number, "reason": str(reason)})

    meter.create_observable_gauge("aionet.open", [open_now], "{connection}")
    meter.create_observable_counter("aionet.closed", [closed], "{connection}")
    yield aionet.Echo()
    provider.shutdown()


if __name__ == "__main__":
    raise SystemExit(aionet.run(app, *sys.argv[1:]))
