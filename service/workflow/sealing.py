"""Seals the audit: every ten seconds, or a thousand rows, the heads of all chains are signed and put down twice.

Beside table audit_seal each seal goes to the file of receipts. A file that cannot be written stops no seal; it is
logged, and `enlace doctor` says so. Any number of workers seal: the number of a seal is taken once.
"""

import asyncio
import contextlib
import time
from pathlib import Path

from service.log_events import AUDIT_BROKEN, AUDIT_RECEIPT_FAILED, AUDIT_SEAL_FAILED, log, where
from service.store import receipts, seals
from service.store.database import Unavailable
from service.store.engine import Store
from service.store.seals import Heads

EVERY_S = 10.0
ROWS = 1000
LOOK_S = 1.0
PAGE = 500


class Sealer:
    """Runs until stopped, and seals once more then."""

    def __init__(self, store: Store, key: bytes, told: Path):
        self._store, self._key, self._told = store, key, told
        self._sealed: Heads = {}
        self._number = 0
        self._site = ""
        self._stop = asyncio.Event()
        self._named: set[tuple[int, int]] = set()

    async def run(self) -> None:
        """Until stopped; what was committed before is sealed then."""
        due_s, stopping = time.monotonic() + EVERY_S, False
        while not stopping:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), LOOK_S)
            stopping = self._stop.is_set()
            try:
                due = time.monotonic() >= due_s or stopping
                if await self.seal(1 if due else ROWS) or due:
                    due_s = time.monotonic() + EVERY_S
            except Unavailable:
                continue
            except Exception as error:  # whatever it was: the next second tries again, and the lag shows
                log(AUDIT_SEAL_FAILED, **where(error))

    def stop(self) -> None:
        self._stop.set()

    async def seal(self, least: int = 1) -> bool:
        """Makes a seal where at least so many rows are new; False where there was none to make."""
        await self._catch_up()
        moved = await self._moved()
        # A chain that ran backwards is told at once, and its seal shows when.
        if not moved or sum(abs(seq - self._seq(slot)) for slot, (seq, _) in moved.items()) < least:
            return False
        await self._compare(moved)
        previous = await self._previous()
        seal = seals.signed(self._key, self._site, self._number + 1, self._store.clock.now_us(), moved, previous)
        if not await seals.append(self._store.db, seal):
            return False  # another worker was first: what it left is sealed with the next look
        self._sealed |= moved
        self._number = seal.number
        try:
            await asyncio.to_thread(receipts.append, self._told, seal)
        except OSError as error:
            log(AUDIT_RECEIPT_FAILED, number=seal.number, **where(error))
        return True

    async def _catch_up(self) -> None:
        """What other workers sealed, and what stood there at our start."""
        if not self._site:
            self._site = await seals.site(self._store)
            self._number = max(await seals.last_number(self._store) - PAGE, 0)
        while found := await seals.after(self._store, self._site, self._number, PAGE):
            for seal in found:
                try:
                    self._sealed |= seal.parsed()
                except (ValueError, TypeError, LookupError, AttributeError):
                    log(AUDIT_BROKEN, slot=None, seq=None)
                self._number = seal.number

    async def _moved(self) -> Heads:
        heads = await seals.heads(self._store)
        return {slot: head for slot, head in heads.items() if self._sealed.get(slot) != head}

    async def _compare(self, moved: Heads) -> None:
        """The row that the last seal named must still be there: else somebody changed the table."""
        for slot in moved:
            seq, digest = self._sealed.get(slot, (0, ""))
            if not seq or (slot, seq) in self._named:
                continue
            if await seals.digest_at(self._store, slot, seq) != digest:
                self._named.add((slot, seq))
                log(AUDIT_BROKEN, slot=slot, seq=seq)

    async def _previous(self) -> bytes:
        last = await seals.after(self._store, self._site, self._number - 1, 1) if self._number else []
        return last[0].signature if last else b""

    def _seq(self, slot: int) -> int:
        return self._sealed.get(slot, (0, ""))[0]
