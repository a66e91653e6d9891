"""Traces: off by default; to a real HTTP receiver what was done and nothing of whom; never in the way."""

import asyncio
import builtins
import http.server
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from service import metrics, tracing, worker
from service.access.context import Context
from service.api.traced import traced
from service.settings import Settings, SettingsError
from service.store.change import Change, Job
from service.store.engine import Store
from tests.frozen_clock import FrozenClock
from tests.service.adt_world import Sender, adt_world
from tests.service.conftest import AppClient

ROOT = Path(__file__).parents[2]
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@dataclass
class Collector:
    """Takes OTLP over HTTP on loopback and keeps what it decodes."""

    url: str
    requests: list[ExportTraceServiceRequest] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def spans(self) -> list[Span]:
        return [s for r in self.requests for rs in r.resource_spans for ss in rs.scope_spans for s in ss.spans]


@pytest.fixture
def collector() -> Iterator[Collector]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            kept.requests.append(ExportTraceServiceRequest.FromString(body))
            kept.paths.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield kept
    server.shutdown()
    thread.join()
    server.server_close()


def on(url: str) -> Settings:
    return Settings(otel_endpoint=url)


def attributes(span: Span) -> dict[str, Any]:
    return {a.key: getattr(a.value, str(a.value.WhichOneof("value"))) for a in span.attributes}


async def test_requests_are_spans_under_the_callers_trace_and_tell_of_nobody(
    world: Store, app_client: AppClient, clock: FrozenClock, collector: Collector
) -> None:
    client = await app_client()
    async with traced(on(collector.url), clock, "api"):
        parent = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        await client.get("/Patient/a", headers={"X-Request-Id": "r-1", **parent})
        await client.get("/Patient?name=Quillfeather", headers={"X-Request-Id": "91000001A", "traceparent": "Rosalind"})
        await client.get("/Quillfeather/91000001A", headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
    assert tracing.active is None
    first, second = [span for span in collector.spans() if span.name != "commit"]
    assert collector.paths == ["/v1/traces"]
    assert (first.name, second.name) == ("read Patient", "search-type Patient"), "the third caller samples nothing"
    assert (first.trace_id.hex(), first.parent_span_id.hex()) == (TRACE, PARENT)
    assert second.trace_id.hex() != TRACE and not second.parent_span_id
    assert first.kind == Span.SPAN_KIND_SERVER
    assert attributes(first) == {
        "enlace.interaction": "read",
        "enlace.type": "Patient",
        "http.response.status_code": 200,
        "enlace.request_id": "r-1",
    }
    assert attributes(second)["enlace.request_id"] == "other", "an id of the shape of a CIN is not shown"
    assert first.end_time_unix_nano == clock.now_us() * 1000 > first.start_time_unix_nano
    resource = {a.key: a.value.string_value for a in collector.requests[0].resource_spans[0].resource.attributes}
    assert resource.keys() == {"service.name", "service.version", "enlace.process"}
    sent = b"".join(request.SerializeToString() for request in collector.requests)
    for secret in (b"uillfeather", b"osalind", b"91000001A", b"Patient/", b"/fhir"):
        assert secret not in sent


async def test_jobs_messages_and_commits_are_spans(
    store: Store, app_client: AppClient, clock: FrozenClock, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_ctx: Context, _payload: dict[str, Any]) -> Change:
        raise ValueError("Rosalind Quillfeather")

    await adt_world(store)
    send = Sender(store)
    hospital = await app_client("hospital", "Organization/mercy")
    async with traced(on(collector.url), clock, "all"):
        headers = {"Content-Type": "application/hl7-v2", "traceparent": f"00-{TRACE}-{PARENT}-01"}
        answer = await hospital.post("http://test/hl7v2", content=send.adt("A01"), headers=headers)
        assert answer.status_code == 200
        await send.worker.drain()
        monkeypatch.setitem(worker.HANDLERS, "adt.apply", fails)
        await store.commit(Change(jobs=[Job("adt.apply", {"inbox": 1})]))
        await send.worker.drain()
        metrics.group_committed(3, 0.004)
    spans = {(s.name, attributes(s).get("enlace.outcome")): s for s in collector.spans()}
    assert spans["hl7v2", None].trace_id.hex() == TRACE
    assert spans["job adt.apply", "done"].status.code == 0
    assert spans["job adt.apply", "retried"].status.code == 2, "what failed is marked so"
    assert attributes(spans["job adt.apply", "retried"])["enlace.attempts"] == 1
    commits = [s for s in collector.spans() if s.name == "commit"]
    assert any(
        attributes(s) == {"enlace.changes": 3} and s.end_time_unix_nano - s.start_time_unix_nano == 4_000_000
        for s in commits
    )
    assert b"uillfeather" not in b"".join(request.SerializeToString() for request in collector.requests)
    assert tracing.group_committed not in metrics.GROUP_WATCHERS


async def test_a_dead_collector_is_in_nobodys_way(
    world: Store, app_client: AppClient, clock: FrozenClock, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More spans than the queue holds, nobody there to take them: all is answered, and stopping is bounded."""
    monkeypatch.setattr(tracing, "FLUSH_S", 0.2)
    client = await app_client()
    async with traced(on(f"http://127.0.0.1:{free_port}"), clock, "api"):
        for _ in range(2 * tracing.QUEUE):
            tracing.request_done("read", "Patient", 200, 0.001, "r")
        answers = [await client.get("/Patient/a") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 5


async def test_a_collector_that_never_answers_does_not_hold_up_the_end(
    clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the connection and stays silent: stop() waits FLUSH_S, not the exporter's timeout."""
    monkeypatch.setattr(tracing, "FLUSH_S", 0.2)
    held: list[asyncio.StreamWriter] = []

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with traced(on(f"http://127.0.0.1:{port}"), clock, "api"):
        tracing.request_done("read", "Patient", 200, 0.001, "r")
        began = time.monotonic()
    assert time.monotonic() - began < tracing.TIMEOUT_S
    for writer in held:
        writer.close()
    server.close()


def test_a_defect_of_tracing_is_not_the_callers(monkeypatch: pytest.MonkeyPatch, clock: FrozenClock) -> None:
    def broken() -> int:
        raise RuntimeError("no clock")

    tracing.start("http://127.0.0.1:9", process="api", version="1", now_us=broken)
    try:
        tracing.request_done("read", "Patient", 200, 0.001, "r")
    finally:
        tracing.stop()


async def test_start_is_refused_where_the_package_is_missing(
    clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **more: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SettingsError) as refused:
        async with traced(on("http://127.0.0.1:4318"), clock, "api"):
            pass
    (sentence,) = refused.value.problems
    assert sentence == (
        "ENLACE_OTEL_ENDPOINT is set, but OpenTelemetry is not installed: run `pip install enlace[otel]`, or unset it."
    )


@pytest.mark.parametrize("url", ["127.0.0.1:4318", "ftp://collector", "http://"])
async def test_start_is_refused_for_a_url_that_is_none(clock: FrozenClock, url: str) -> None:
    with pytest.raises(SettingsError, match="ENLACE_OTEL_ENDPOINT must be an http or https URL"):
        async with traced(on(url), clock, "api"):
            pass
    assert tracing.active is None


def test_nothing_of_it_is_imported_while_it_is_off() -> None:
    """FastAPI itself imports the API package where that is installed; the SDK, the exporter and protobuf stay out."""
    program = """
import asyncio, sys
from service import tracing
tracing.request_done("read", "Patient", 200, 0.001, "r"); tracing.job_ended("x", "done", 1, 0.1); tracing.stop()
assert not [name for name in sys.modules if name.startswith("opentelemetry")], "by tracing"
import service.cli.processes, adt_listener.process
from service.api.traced import traced
from service.clock import SystemClock
from service.settings import Settings
async def run():
    async with traced(Settings(), SystemClock(), "api"):
        assert tracing.active is None
asyncio.run(run())
heavy = ("opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.proto", "google.protobuf", "requests")
assert not [name for name in sys.modules if name.startswith(heavy)], "by a process"
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
