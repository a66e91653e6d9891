"""THE table of work that comes again by the clock, and which of it is due: worker.py puts it into the queue.

Any number of workers look; a claim on the kind and its slot of time lets one of them begin it.
"""

from collections.abc import Collection, Iterator, Mapping

from service.search.keys import Keys
from service.store.change import Change, Claim, Job

MINUTE_US = 60_000_000
DAY_US = 1440 * MINUTE_US

STANDING: dict[str, int] = {
    "timer.due": MINUTE_US,
    "adt.watch": MINUTE_US,
    "alert.overdue": MINUTE_US,
    "notice.morning": 60 * MINUTE_US,
    "referral.facts": 10 * MINUTE_US,
    "adt.stale": DAY_US,
    "referral.clocks": DAY_US,
    "adt.purge": DAY_US,
    "timer.purge": DAY_US,
    "directory.stale": DAY_US,
}
"""kind of job (a row of worker.HANDLERS) -> how often, microseconds; days begin at midnight UTC"""

Begin = tuple[str, int, Change]
"""kind, slot of time, what begins it"""


def due(keys: Keys, now_us: int, begun: Mapping[str, int], kinds: Collection[str]) -> Iterator[Begin]:
    """What is to be begun, each to be committed alone: another worker may have done so (ClaimTaken).

    begun: kind -> slot that this worker has seen to.
    """
    for kind, every in STANDING.items():
        slot = now_us // every
        if kind not in kinds or begun.get(kind) == slot:
            continue
        claim = Claim(keys.of("standing", kind, str(slot)), expires_us=now_us + 2 * every)
        yield kind, slot, Change(claims=[claim], jobs=[Job(kind, {}, dedupe=kind)])
