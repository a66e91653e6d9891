"""/metrics as text: this process's counters and the database's own figures, made once for all who ask.

https://prometheus.io/docs/instrumenting/exposition_formats/; the metrics themselves are in metric_families.py.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from service import metrics
from service.api.metric_families import FAMILIES, NEVER, Facts
from service.metrics import Histogram
from service.store import figures
from service.store.engine import Store
from service.workflow.alerts import CATEGORY, CATEGORY_SYSTEM

if TYPE_CHECKING:
    from prometheus_client.core import Metric

CACHE_S = 5.0
"""Several Prometheus servers ask; the store answers once."""
ALERTS_S = 30.0
PATIENCE_S = 3.0
"""Prometheus gives up after ten seconds, and must hear of a database that does not answer."""
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Scrapes:
    """The text of one process, made at most every CACHE_S."""

    def __init__(self, store: Store):
        self._store = store
        self._turn = asyncio.Lock()
        self._text, self._made_at = b"", -NEVER
        self._reading: asyncio.Task[figures.Figures] | None = None
        self._alerts, self._alerts_at = figures.Alerts(), -NEVER

    async def text(self) -> bytes:
        """Prometheus text; never raises for a database that is gone."""
        async with self._turn:
            if time.monotonic() - self._made_at > CACHE_S:
                found = await self._figures()
                held, now_us = not self._store.lost.is_set(), self._store.clock.now_us()
                alerts = self._alerts if found else None
                facts = Facts(metrics.COUNTERS, held, now_us, found, alerts)
                self._text = await asyncio.to_thread(render, facts)  # some ms of Python: requests go on meanwhile
                self._made_at = time.monotonic()
            return self._text

    async def _figures(self) -> figures.Figures | None:
        """None where they do not come in time. What is still being read is waited for again by the next scrape."""
        self._reading = self._reading or asyncio.get_running_loop().create_task(self._read())
        done, _ = await asyncio.wait((self._reading,), timeout=PATIENCE_S)
        if not done:
            return None
        task, self._reading = self._reading, None
        return None if task.cancelled() or task.exception() else task.result()

    async def _read(self) -> figures.Figures:
        found = await figures.read(self._store)
        if time.monotonic() - self._alerts_at > ALERTS_S:
            self._alerts = await figures.alerts(self._store, (CATEGORY_SYSTEM, CATEGORY))
            self._alerts_at = time.monotonic()
        return found


def render(facts: Facts) -> bytes:
    """The whole text, with the CPU time and memory of the process (prometheus_client's own names)."""
    from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_Collector(facts))
    return generate_latest(registry)


class _Collector:
    def __init__(self, facts: Facts):
        self._facts = facts

    def collect(self) -> "Iterator[Metric]":
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        made: dict[str, Callable[..., Any]] = {
            "counter": CounterMetricFamily,
            "gauge": GaugeMetricFamily,
            "histogram": HistogramMetricFamily,
        }
        for family in FAMILIES:
            metric = made[family.kind](family.name, family.help, labels=family.labels)
            for labels, value in family.read(self._facts):
                if isinstance(value, Histogram):
                    metric.add_metric(labels, **_buckets(value))
                else:
                    metric.add_metric(labels, value)
            yield metric


def _buckets(found: Histogram) -> dict[str, object]:
    """Prometheus counts all below each bound; the sum and the counts are read while others may add to them."""
    bounds = [*(str(bound) for bound in found.bounds), "+Inf"]
    return {"buckets": list(zip(bounds, accumulate(list(found.counts)), strict=True)), "sum_value": found.total}
