"""Whether the PostgreSQL server can be reached: while it is away nothing is sent, and a probe looks for it."""

import asyncio
import contextlib
import time

import asyncpg

from service.log_events import STORE_AWAY, STORE_BACK, log, where
from service.store.postgresql_faults import Fault, fault_of, pause_s

PROBE_S = 2.0


class Reach:
    """Shared by all that talk to one server. away: the last probe did not reach it."""

    def __init__(self, url: str):
        self._url = url
        self.away = False
        self._probing: asyncio.Task[None] | None = None

    def suspect(self, error: Exception, *, still: bool = False) -> None:
        """A connection was lost: find out whether the server is there. still: it answers nothing, so nobody waits."""
        if still:
            self._gone(error)
        if self._probing is None or self._probing.done():
            self._probing = asyncio.get_running_loop().create_task(self._probe())

    async def _probe(self) -> None:
        since = time.monotonic()
        while True:
            try:
                con = await asyncpg.connect(self._url, timeout=PROBE_S)
                with contextlib.suppress(Exception):
                    await con.close(timeout=PROBE_S)
                break
            except Exception as error:
                if fault_of(error) is Fault.BUSY:
                    break  # it is there, and says that it has no connection to spare
                self._gone(error)
            await asyncio.sleep(pause_s(time.monotonic() - since))
        if self.away:
            self.away = False
            log(STORE_BACK, ms=int((time.monotonic() - since) * 1000))

    def _gone(self, error: Exception) -> None:
        if not self.away:
            self.away = True
            log(STORE_AWAY, **where(error))

    def close(self) -> None:
        if self._probing:
            self._probing.cancel()
