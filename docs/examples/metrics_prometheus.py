"""Counters of a server, of all its workers together, for Prometheus to scrape.

python docs/examples/metrics_prometheus.py tcp://127.0.0.1:7050 9100
"""

import sys
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

import aionet


class Latest(Collector):
    """The last picture of all workers, which `run` gives once a second."""

    stats: aionet.Stats | None = None

    def keep(self, stats: aionet.Stats) -> None:
        self.stats = stats

    def collect(self) -> Iterator[Metric]:
        if (stats := self.stats) is None:
            return
        yield GaugeMetricFamily("aionet_open", "Connections that are there.", stats.open)
        yield CounterMetricFamily("aionet_accepted", "Connections so far.", stats.accepted)
        closed = CounterMetricFamily("aionet_closed", "Those that ended.", labels=["reason"])
        for reason, count in stats.closed.items():
            closed.add_metric([reason], count)
        yield closed
        sent = CounterMetricFamily("aionet_bytes", "Over the wire.", labels=["direction"])
        sent.add_metric(["received"], stats.received_bytes)
        sent.add_metric(["sent"], stats.sent_bytes)
        yield sent


if __name__ == "__main__":
    where, port = sys.argv[1:]
    latest, registry = Latest(), CollectorRegistry()
    registry.register(latest)

    # Not before the workers are forked: a thread would not survive that.
    def ready(addresses: object) -> None:
        start_http_server(int(port), "127.0.0.1", registry)

    raise SystemExit(
        aionet.run(
            aionet.Echo(),
            where,
            workers=2,
            count_bytes=True,
            on_ready=ready,
            on_stats=latest.keep,
        )
    )
