"""Claims queued work and runs the handler of its kind; the handler's Change commits together with the job's end.

A job that fails is tried again with backoff, then waits for a person as `dead`: nothing is dropped.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from service import metrics, tracing
from service.access.context import Context
from service.access.context import Settings as Behaviour
from service.caller import system_caller
from service.log_events import JOB_DEAD, JOB_DONE, JOB_FAILED, REQUEST_ID, log, where
from service.notify import morning
from service.store import alert_work, inbox, work
from service.store import timers as timer_rows
from service.store.change import Change, ClaimTaken, Lease, Stale, Statement
from service.store.database import Unavailable
from service.store.engine import Store
from service.store.housekeeping import forget_ended
from service.workflow import (
    alert_catch_up,
    alert_escalation,
    calaim_forwarding,
    calaim_overlap,
    calaim_reroute,
    calaim_streamlined,
    care_plan_outcomes,
    chain_followed,
    directory_stale,
    follow_ups,
    hospital_answer,
    referral_breaches,
    referral_clocks,
    referral_coupling,
    referral_notices,
    reply_links,
    standing_jobs,
    timers,
    transitional_care,
    unmet_needs,
)
from service.workflow.chain_mirror import mirror
from service.workflow.feed_terms import fill_terms
from service.workflow.feed_watch import watch
from service.workflow.hospital_events import apply_adt
from service.workflow.measure_fill import fill as fill_facts
from service.workflow.purging import purge
from service.workflow.rematching import rematch
from service.workflow.stay_settling import settle_job
from service.workflow.stay_silence import settle_silent
from service.workflow.timer_purging import purge as purge_timers

Handler = Callable[[Context, dict[str, Any]], Awaitable[Change]]

HANDLERS: dict[str, Handler] = {
    "adt.apply": apply_adt,
    "adt.purge": purge,
    "adt.rematch": rematch,
    "timer.due": timers.due,
    "timer.fire": timers.fire,
    "timer.purge": purge_timers,
    "tcs.settle": transitional_care.settle_member,
    "hospital.answer": hospital_answer.answer,
    "adt.terms": fill_terms,
    "referral.facts": fill_facts,
    "adt.settle": settle_job,
    "adt.stale": settle_silent,
    "adt.watch": watch,
    "notice.morning": morning.due,
    "reply.invite": reply_links.invite,
    "reply.phone": reply_links.call,
    "alert.overdue": alert_escalation.overdue,
    "alert.escalate": alert_escalation.escalate,
    "alert.catch-up": alert_catch_up.catch_up,
    "referral.need-met": unmet_needs.met,
    "directory.stale": directory_stale.look,
    "directory.ask": directory_stale.ask_one,
    "calaim.overlap": calaim_overlap.asked,
    "calaim.overlap-look": calaim_overlap.look,
    "calaim.forward": calaim_forwarding.forward,
    "calaim.reroute": calaim_reroute.ask,
    "calaim.streamlined": calaim_streamlined.expired,
    "referral.clocks": referral_clocks.fill,
    "referral.moved-on": referral_breaches.moved_on,
    "referral.follow-up": follow_ups.follow_up,
    "referral.notice": referral_notices.notify,
    "referral.outcome": care_plan_outcomes.outcome,
    "referral.mirror": mirror,
    "referral.copies": chain_followed.follow,
    "referral.coupled": referral_coupling.coupled,
    "referral.cascade": referral_coupling.cascade,
    "referral.rule": referral_coupling.rule,
    "referral.fold": referral_coupling.fold,
}
"""kind of job -> what it decides"""

GIVEN_UP: dict[str, Callable[[dict[str, Any], int, str], Statement]] = {
    "adt.apply": lambda payload, job_id, error: inbox.failed(int(payload["inbox"]), error, job_id),
    "alert.escalate": lambda payload, _job, _error: alert_work.postponed(str(payload["alert"]), timers.RETRY_US),
    # Looked at again in an hour: a breach that nobody hears of would be worse than a second dead job.
    "timer.fire": lambda payload, _job, _error: timer_rows.postponed(str(payload["timer"]), timers.RETRY_US),
}
"""kind of job -> what else shows that it is dead: (payload, job, error) -> statement"""

BATCH = 50
TRIES = 40
"""Of four that decide about one member at once, each loses three times out of four: sixteen in a row were seen."""
POLL_S = 1.0
KEEP_US = 7 * 86_400_000_000
UNKNOWN_S = 300
"""So long waits a job of a kind that this release does not know: during an upgrade a worker of the next one takes it,
before eight attempts have made it dead."""


class WorkerLost(Exception):
    """No attempt at the job ended: its workers were killed, or it kills them."""


class Worker:
    """Runs until stopped; any number of workers share one database."""

    def __init__(self, store: Store, behaviour: Behaviour, concurrency: int = 4):
        self._store, self._behaviour = store, behaviour
        self._limit, self._few = asyncio.Semaphore(concurrency), concurrency
        self._batch = BATCH
        self._held = 0
        """Jobs that it has leased. More are taken when few orders are left, however many jobs one of them has."""
        self._wake = asyncio.Event()
        self._stopping = False
        self._running: set[asyncio.Task[None]] = set()
        self._begun: dict[str, int] = {}

    async def run(self) -> None:
        self._store.on_commit(self._wake.set)
        swept = 0.0
        while not self._stopping:
            self._wake.clear()
            if self._store.full:  # what jobs write would be refused: they wait in the queue, not as failed attempts
                await asyncio.sleep(POLL_S)
                continue
            try:
                await self._stand()
                found = await self._claim()
                if time.monotonic() - swept > 600:
                    swept = time.monotonic()
                    await self.sweep()
            except Unavailable:
                await asyncio.sleep(0.2)
                continue
            except Exception as error:  # a statement that ran out of time must not end the worker
                log(JOB_FAILED, queue="claim", retry_s=1, **where(error))
                await asyncio.sleep(POLL_S)
                continue
            if not found or len(self._running) > self._few:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), POLL_S)
        if self._running:
            await asyncio.wait(self._running, timeout=20)

    async def sweep(self) -> None:
        now_us = self._store.clock.now_us()
        await self._store.commit(Change(statements=[work.forget_done(now_us - KEEP_US), *forget_ended(now_us)]))

    async def _stand(self) -> None:
        """Work that comes again by the clock."""
        for kind, slot, change in standing_jobs.due(
            self._store.keys, self._store.clock.now_us(), self._begun, HANDLERS
        ):
            with contextlib.suppress(ClaimTaken):
                await self._store.commit(change)
            self._begun[kind] = slot

    def stop(self) -> None:
        """Finishes what it holds and returns from run()."""
        self._stopping = True
        self._wake.set()

    async def drain(self) -> None:
        """Runs all that is due now, then returns: for tests, seeds and imports."""
        while await self._claim():
            await asyncio.wait(set(self._running))

    async def _claim(self) -> bool:
        """Takes more where it has few, and does not wait for their end."""
        if len(self._running) > self._few or not await work.has_due(self._store):
            return False
        jobs = await work.claim(self._store, max(self._batch - self._held, 1))
        chains: dict[object, list[work.Claimed]] = {}
        for job in jobs:
            chains.setdefault((job.kind, job.ordering_key) if job.ordering_key else job.id, []).append(job)
        for chain in chains.values():
            self._held += len(chain)
            task = asyncio.get_running_loop().create_task(self._chain(chain))
            self._running.add(task)
            task.add_done_callback(partial(self._ended, len(chain)))
        return bool(jobs)

    def _ended(self, jobs: int, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        self._held -= jobs
        if len(self._running) <= self._few:
            self._wake.set()

    async def _chain(self, jobs: list[work.Claimed]) -> None:
        """Jobs of one order, one after the other; where one must be tried again, the rest wait behind it."""
        async with self._limit:
            for number, job in enumerate(jobs):
                if await self._one(job):
                    continue
                rest = [work.release(later) for later in jobs[number + 1 :]]
                if rest:
                    with contextlib.suppress(Unavailable):
                        await self._store.commit(Change(statements=rest))
                return

    async def _one(self, job: work.Claimed) -> bool:
        """Whether the job is over, done or dead."""
        marker = REQUEST_ID.set(f"job-{job.id}")
        started = time.perf_counter()
        try:
            if job.attempts > work.MAX_ATTEMPTS:
                raise WorkerLost  # each of its workers died over it: do not let it take another one along
            await self._settle(job)
            ms = int((time.perf_counter() - started) * 1000)
            log(JOB_DONE, job=job.id, queue=job.kind, attempts=job.attempts, ms=ms)
            _measure(job, "done", started)
            return True
        except Unavailable:
            await self._give_back(job)
            return False
        except Exception as error:
            await self._failed(job, error)
            over = job.attempts >= work.MAX_ATTEMPTS
            _measure(job, "dead" if over else "retried", started)
            return over
        finally:
            REQUEST_ID.reset(marker)

    async def _give_back(self, job: work.Claimed) -> None:
        """The store took no result, and that is no failed attempt of the job. Where it stays away, the lease ends."""
        until = time.monotonic() + work.LEASE_US / 1e6
        while time.monotonic() < until and not self._stopping:
            try:
                due_us = self._store.clock.now_us() + int(POLL_S * 1e6)
                await self._store.commit(Change(statements=[work.release(job, due_us)]))
                return
            except Unavailable:
                await asyncio.sleep(0.5)

    async def _settle(self, job: work.Claimed) -> None:
        """Decides again where another worker moved what the decision relied on."""
        for lost in range(TRIES):
            if lost > 2:  # all stays of one member are decided one after the other: let the others through
                await asyncio.sleep(random.uniform(0, 0.02 * lost))
            ctx = Context(
                self._store, system_caller(), self._store.clock.now_us(), self._behaviour, request_id=f"job-{job.id}"
            )
            change = await HANDLERS[job.kind](ctx, job.payload)
            change.leases.append(Lease(job.id, job.token))
            try:
                await self._store.commit(change)
                return
            except Stale as error:
                if error.what == "lease":
                    return  # somebody else has it now
            except ClaimTaken:
                continue
        raise RuntimeError("the same resources kept changing")

    async def _failed(self, job: work.Claimed, error: Exception) -> None:
        found = where(error)
        name, at = str(found["error"]), str(found["at"])
        if job.attempts >= work.MAX_ATTEMPTS:
            log(JOB_DEAD, job=job.id, queue=job.kind, attempts=job.attempts, error=name, at=at)
            statements = [work.dead(job, f"{name} at {at}")]
            if job.kind in GIVEN_UP:
                statements.append(GIVEN_UP[job.kind](job.payload, job.id, name))
        else:
            delay_s = min(2**job.attempts, 300) if job.kind in HANDLERS else UNKNOWN_S
            log(
                JOB_FAILED,
                job=job.id,
                queue=job.kind,
                attempts=job.attempts,
                retry_s=delay_s,
                error=name,
                at=at,
            )
            due = self._store.clock.now_us() + delay_s * 1_000_000
            statements = [work.retry(job, due, f"{name} at {at}")]
        with contextlib.suppress(Unavailable):
            await self._store.commit(Change(statements=statements))


def _measure(job: work.Claimed, outcome: str, started: float) -> None:
    seconds = time.perf_counter() - started
    metrics.job_ended(job.kind, outcome, seconds)
    tracing.job_ended(job.kind, outcome, job.attempts, seconds)
