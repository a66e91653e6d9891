"""Turns traces on for as long as a process runs, where ENLACE_OTEL_ENDPOINT names a collector."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from service import metrics, tracing
from service.clock import Clock
from service.settings import Settings, SettingsError


@contextlib.asynccontextmanager
async def traced(settings: Settings, clock: Clock, process: str) -> AsyncIterator[None]:
    """Raises SettingsError where the package or the URL is wrong. What waits at the end is sent, 3 s at most."""
    if not settings.otel_endpoint:
        yield
        return
    from service.api.metadata import software_version

    try:
        tracing.start(settings.otel_endpoint, process=process, version=software_version(), now_us=clock.now_us)
    except tracing.TracingRefused as error:
        raise SettingsError([str(error)]) from None
    metrics.GROUP_WATCHERS.append(tracing.group_committed)
    try:
        yield
    finally:
        metrics.GROUP_WATCHERS.remove(tracing.group_committed)
        await asyncio.to_thread(tracing.stop)
