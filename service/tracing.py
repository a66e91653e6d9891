"""Traces for an OpenTelemetry collector: one span a request, an attempt at a job, a commit group. Off unless started.

Nothing of OpenTelemetry is imported before `start` (service/api/traced.py calls it where ENLACE_OTEL_ENDPOINT is set).
A span is made when its work is over, from its duration, and handed to a thread that sends it: a collector that is dead
or slow costs spans, never a request. No path, no id of a resource, no name. https://www.w3.org/TR/trace-context/
"""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import SpanKind

SETTING = "ENLACE_OTEL_ENDPOINT"
PATH = "/v1/traces"
QUEUE, BATCH, DELAY_MS, TIMEOUT_S = 2048, 512, 2000, 5.0
FLUSH_S = 3.0
"""So long may a stopping process wait for its collector."""


class TracingRefused(Exception):
    """Traces were asked for and cannot be sent; the text is a sentence with the remedy."""


class _Traces:
    """The running tracer of this process. now_us: the clock, microseconds since 1970."""

    def __init__(self, provider: "TracerProvider", now_us: Callable[[], int]):
        from opentelemetry.trace import SpanKind, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self.provider = provider
        self.kinds, self._error = SpanKind, StatusCode.ERROR
        self._now_us = now_us
        self._tracer = provider.get_tracer("enlace")
        self._parents = TraceContextTextMapPropagator()

    def span(
        self,
        name: str,
        seconds: float,
        attributes: dict[str, Any],
        *,
        kind: "SpanKind",
        failed: bool = False,
        traceparent: str = "",
    ) -> None:
        """One span that ends now. Never raises: what was done for the caller stays done."""
        try:
            end_ns = self._now_us() * 1000
            context = self._parents.extract({"traceparent": traceparent}) if traceparent else None
            start_ns = end_ns - int(seconds * 1e9)
            made = self._tracer.start_span(name, context, kind, attributes, start_time=start_ns)
            if failed:
                made.set_status(self._error)
            made.end(end_ns)
        except Exception:
            return


active: _Traces | None = None
"""None: off. The hot path asks this and does no more."""


def start(endpoint: str, *, process: str, version: str, now_us: Callable[[], int]) -> None:
    """Send traces from now on. Raises TracingRefused. process: api, worker, adt-listener, all."""
    global active
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
    except ImportError:
        text = f"{SETTING} is set, but OpenTelemetry is not installed: run `pip install enlace[otel]`, or unset it."
        raise TracingRefused(text) from None
    exporter = OTLPSpanExporter(_url(endpoint), timeout=TIMEOUT_S)
    # Not Resource.create: it would add the command line, the host and whatever stands in the environment.
    named = {"service.name": "enlace", "service.version": version, "enlace.process": process}
    provider = TracerProvider(sampler=ParentBased(ALWAYS_ON), resource=Resource(named), shutdown_on_exit=False)
    provider.add_span_processor(
        BatchSpanProcessor(
            exporter,
            max_queue_size=QUEUE,
            schedule_delay_millis=DELAY_MS,
            max_export_batch_size=BATCH,
            export_timeout_millis=TIMEOUT_S * 1000,
        )
    )
    active = _Traces(provider, now_us)


def stop() -> None:
    """Sends what waits, for FLUSH_S at most; blocks so long."""
    global active
    if active is None:
        return
    stopped, active = active, None
    sending = threading.Thread(target=stopped.provider.shutdown, daemon=True, name="traces-flush")
    sending.start()
    sending.join(FLUSH_S)


def request_done(
    interaction: str, rtype: str, status: int, seconds: float, request_id: str, traceparent: str = ""
) -> None:
    """One answered request; words as in metrics.request_done. request_id: as a log line may show it."""
    if active is not None:
        name = f"{interaction} {rtype}" if rtype else interaction
        attributes: dict[str, Any] = {"enlace.interaction": interaction, "enlace.type": rtype or "none"}
        attributes |= {"http.response.status_code": status}
        if request_id:
            attributes["enlace.request_id"] = request_id
        failed = status >= 500
        active.span(name, seconds, attributes, kind=active.kinds.SERVER, failed=failed, traceparent=traceparent)


def job_ended(kind: str, outcome: str, attempts: int, seconds: float) -> None:
    """One attempt at a job; words as in metrics.job_ended."""
    if active is not None:
        attributes = {"enlace.kind": kind, "enlace.outcome": outcome, "enlace.attempts": attempts}
        active.span(f"job {kind}", seconds, attributes, kind=active.kinds.CONSUMER, failed=outcome != "done")


def group_committed(size: int, seconds: float) -> None:
    """One durable group of Changes; called by the thread that commits."""
    if active is not None:
        active.span("commit", seconds, {"enlace.changes": size}, kind=active.kinds.INTERNAL)


def _url(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise TracingRefused(f"{SETTING} must be an http or https URL such as http://127.0.0.1:4318.")
    return endpoint if parts.path.endswith(PATH) else endpoint.rstrip("/") + PATH
