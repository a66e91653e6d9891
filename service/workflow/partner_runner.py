"""The partners' loop of a worker: who has something to do, one turn each, at the same time. Any number of workers.

Apart from the queue of jobs, since a partner's server may take seconds to answer and alerts do not wait for it. A turn
sends what is to be sent, fetches what came in, and looks what became of the rest when its time has come.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from service.access.context import Settings
from service.auth.signing_keys import KeysRefused, SigningKeys
from service.egress import Egress
from service.log_events import PARTNER_AWAY, PARTNER_BACK, PARTNER_FAILED, REQUEST_ID, log, where
from service.store import partners
from service.store.change import Change, Statement
from service.store.database import Unavailable
from service.store.engine import Store
from service.store.partners import Partner, Referral
from service.workflow.partner_client import Away, Server, Sessions
from service.workflow.partner_fetch import fetch
from service.workflow.partner_notices import keep
from service.workflow.partner_poll import look
from service.workflow.partner_push import push
from service.workflow.partner_turn import LeaseLost, Turn, holding, partner_retry_us, row_retry_us

POLL_S = 0.5
STOP_S = 20.0
DEFECT_US = 60_000_000


@dataclass
class Partners:
    """Runs until stopped. behaviour.page_key must be the secret key: our signing keys are sealed with it."""

    store: Store
    behaviour: Settings
    egress: Egress
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _turns: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._sessions = Sessions(self.egress, SigningKeys(self.behaviour.page_key))

    async def run(self) -> None:
        while not self._stopping.is_set():
            try:
                if not self.store.full:
                    await self._begin()
            except Unavailable:
                pass
            except Exception as error:  # a statement that ran out of time must not end the worker
                log(PARTNER_FAILED, partner="-", **where(error))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), POLL_S)
        if self._turns:
            await asyncio.wait(self._turns, timeout=STOP_S)
        for turn in self._turns:
            turn.cancel()

    def stop(self) -> None:
        """Begins nothing new; run() returns when what is under way has ended."""
        self._stopping.set()

    async def drain(self) -> None:
        """All that is due now, then returns: for tests and the command line."""
        while await self._begin():
            await asyncio.wait(self._turns)

    async def _begin(self) -> bool:
        claimed = await partners.claim(self.store, self.store.clock.now_us())
        for one in claimed:
            task = asyncio.create_task(self._turn(one))
            self._turns.add(task)
            task.add_done_callback(self._turns.discard)
        return bool(claimed)

    async def _turn(self, one: Partner) -> None:
        marker = REQUEST_ID.set(f"partner-{one.name}")
        turn = Turn(self.store, self.behaviour, one, Server(self.store, one, self._sessions, holding(self.store, one)))
        try:
            await self._worked(turn)
        except (LeaseLost, Unavailable):
            pass  # what was sent and could not be recorded is looked for before it is sent again
        except Exception as error:
            log(PARTNER_FAILED, partner=one.name, **where(error))
            now_us = turn.now_us()
            await _kept(turn, partners.unreached(one, now_us, now_us + DEFECT_US, type(error).__name__))
        finally:
            await _kept(turn, partners.released(one))
            REQUEST_ID.reset(marker)

    async def _one(self, turn: Turn, row: Referral, work: Callable[[Turn, Referral], Awaitable[None]]) -> None:
        """A referral over which our own code stumbles waits by itself: the others of the partner go on."""
        try:
            await work(turn, row)
        except (Away, KeysRefused, LeaseLost, Unavailable):
            raise
        except Exception as error:
            log(PARTNER_FAILED, partner=turn.partner.name, **where(error))
            await turn.noted(partners.put_off(row.task, row_retry_us(row.tries, turn.now_us()), type(error).__name__))

    async def _worked(self, turn: Turn) -> None:
        one, store = turn.partner, turn.store
        try:
            for states, work in ((partners.OUT, push), (partners.IN, fetch)):
                for row in await partners.due(store, one.name, states, turn.now_us()):
                    await self._one(turn, row, work)
            await _told(turn)
            if one.due_us <= turn.now_us():
                await look(turn)
        except (Away, KeysRefused) as error:
            reason = error.reason if isinstance(error, Away) else "own-key"
            now_us = turn.now_us()
            log(PARTNER_AWAY, partner=one.name, reason=reason, tries=one.tries + 1)
            await turn.noted(partners.unreached(one, now_us, partner_retry_us(one.tries, now_us), reason))
            return
        if one.state == "failing":
            log(PARTNER_BACK, partner=one.name)
        await store.commit(Change(statements=[partners.reached(one, turn.now_us())]))


async def _told(turn: Turn) -> None:
    """That the partner tells us of changes is a comfort: a defect there must not keep us from looking."""
    try:
        await keep(turn)
    except (LeaseLost, Unavailable):
        raise
    except Exception as error:
        log(PARTNER_FAILED, partner=turn.partner.name, **where(error))


async def _kept(turn: Turn, statement: Statement) -> None:
    """At the end of a turn. Where it cannot be kept the lease runs out by itself, and another turn begins."""
    try:
        await turn.noted(statement)
    except (LeaseLost, Unavailable):
        pass
    except Exception as error:
        log(PARTNER_FAILED, partner=turn.partner.name, **where(error))
