"""Which accounts of a member are one stay, and which stays are one transition of care. Pure.

An inpatient account that begins as the emergency one ends is the same stay (facts/adt.md 1.6); a transfer to another
hospital makes two stays of one thread (facts 1.4, 1.5). Decided from all accounts of the member, so that the order in
which they became known does not matter.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from service.workflow.stay_classes import RANK
from service.workflow.stay_events import DAY_US, HOUR_US

BEFORE_ADMISSION = frozenset({"ED", "OBSERVATION"})
LASTS = frozenset({"arrived", "in-progress", "onleave", "finished", "unknown"})
OPEN_US = 2 * DAY_US
"""An emergency visit without an end counts as going on for so long."""
SAME_HOUR_US = HOUR_US
HERE_US = 4 * HOUR_US
"""Where the emergency visit ended by an admission here, or said nothing, the new account may be late."""
NO_DESTINATION = frozenset({"", "NOT_STATED", "UNKNOWN", "ACUTE", "STILL"})
HANDED_ON = frozenset({"ACUTE", "REHAB", "PSYCH", "SNF", "HOSPICE"})
FROM_ELSEWHERE = frozenset({"4", "5", "6"})
"""PV1-14, NUBC point of origin: another hospital, a nursing facility, another facility."""
TRANSFER_US = DAY_US
EARLY_US = HOUR_US
"""Clocks of two hospitals: the admission may seem to lie before the discharge."""
LONGEST_US = 60 * DAY_US


@dataclass(frozen=True)
class Stretch:
    """What the messages of one account say of it. began, klass: class at the start and now."""

    account: str
    facility: str
    began: str
    klass: str
    disposition: str
    came_from: str
    status: str
    start_us: int | None
    end_us: int | None
    seen_us: int

    @property
    def order(self) -> tuple[int, str]:
        return self.start_us or self.seen_us, self.account


Chain = tuple[Stretch, ...]
"""The accounts of one stay, in order of time; mostly one."""


def stays_of(stretches: Sequence[Stretch]) -> list[Chain]:
    """Every account in one chain; chains in order of time."""
    follows: dict[str, Stretch] = {}
    visits = _visits(stretches)
    for later in sorted(stretches, key=lambda s: s.order):
        earlier = [
            s for s in _near(later, visits)
            if _follows(later, s) and s.account not in follows and not _leads(later.account, s.account, follows)
        ]  # fmt: skip
        if earlier:
            # Of two emergency visits the later one led to the admission; each leads to one.
            follows[max(earlier, key=lambda s: s.order).account] = later
    heads = {s.account for s in stretches} - {s.account for s in follows.values()}
    chains = []
    for head in sorted((s for s in stretches if s.account in heads), key=lambda s: s.order):
        chain = [head]
        while chain[-1].account in follows:
            chain.append(follows[chain[-1].account])
        chains.append(tuple(chain))
    return chains


@dataclass
class _Visits:
    """Emergency and observation visits of a facility by their start. until: how far those up to it reach."""

    starts: list[int] = field(default_factory=list)
    visits: list[Stretch] = field(default_factory=list)
    until: list[int] = field(default_factory=list)


def _visits(stretches: Sequence[Stretch]) -> dict[str, _Visits]:
    """A member may have thousands of stays: not each is compared with each."""
    found: dict[str, _Visits] = {}
    begun = [(s.start_us, s.account, s) for s in stretches if s.start_us is not None and s.klass in BEFORE_ADMISSION]
    for start_us, _, visit in sorted(begun, key=lambda one: one[:2]):
        here = found.setdefault(visit.facility, _Visits())
        here.starts.append(start_us)
        here.visits.append(visit)
        here.until.append(max(_until(visit, start_us), here.until[-1] if here.until else 0))
    return found


def _near(later: Stretch, visits: dict[str, _Visits]) -> Iterator[Stretch]:
    here = visits.get(later.facility)
    if here is None or later.start_us is None:
        return
    at = bisect_right(here.starts, later.start_us + SAME_HOUR_US) - 1
    while at >= 0 and here.until[at] >= later.start_us:
        yield here.visits[at]
        at -= 1


def _until(visit: Stretch, start_us: int) -> int:
    """So late may the admission begin that it led to."""
    end_us = start_us + OPEN_US if visit.end_us is None else visit.end_us
    return end_us + (HERE_US if visit.disposition in NO_DESTINATION else SAME_HOUR_US)


def _leads(account: str, target: str, follows: dict[str, Stretch]) -> bool:
    while account in follows:
        account = follows[account].account
        if account == target:
            return True
    return False


def _follows(later: Stretch, earlier: Stretch) -> bool:
    """Whether an admission is what became of an emergency or observation visit at the same facility."""
    if later.account == earlier.account or not (later.facility and later.facility == earlier.facility):
        return False
    if later.start_us is None or earlier.start_us is None or not {later.status, earlier.status} <= LASTS:
        return False
    if earlier.klass not in BEFORE_ADMISSION or RANK.get(later.began, 0) <= RANK[earlier.klass]:
        return False
    # PV1-44 of the admission is often the arrival, in another clerk's minutes.
    return earlier.start_us - SAME_HOUR_US <= later.start_us <= _until(earlier, earlier.start_us)


def threads_of(chains: Sequence[Chain]) -> dict[str, str]:
    """First account of each stay -> first account of the transition of care that it belongs to."""
    before: dict[str, str] = {}
    lasting = [chain for chain in chains if chain[-1].end_us is None]
    over = sorted((chain for chain in chains if chain[-1].end_us is not None), key=_ended)
    ends = [_ended(chain) for chain in over]
    for chain in chains:
        start_us = chain[0].start_us or 0
        near = over[bisect_left(ends, start_us - TRANSFER_US) : bisect_right(ends, start_us + EARLY_US)]
        came = [other for other in (*near, *lasting) if other is not chain and _handed_on(other, chain)]
        if came:
            before[chain[0].account] = max(came, key=lambda c: (_ended(c), c[0].order))[0].account
    return {chain[0].account: _first(chain[0].account, before) for chain in chains}


def _ended(chain: Chain) -> int:
    return chain[-1].end_us or 0


def _first(account: str, before: dict[str, str]) -> str:
    seen: list[str] = []
    while account in before and account not in seen:
        seen.append(account)
        account = before[account]
    return account


def _handed_on(earlier: Chain, later: Chain) -> bool:
    first, last = later[0], earlier[-1]
    if first.start_us is None or last.start_us is None or first.facility == last.facility:
        return False
    if not {first.status, last.status} <= LASTS or not earlier[0].order < first.order:
        return False
    from_elsewhere = first.came_from in FROM_ELSEWHERE
    if last.end_us is None:
        # The discharge has not come yet; the admission says that the person came from another hospital.
        return from_elsewhere and last.status != "unknown" and first.start_us - last.start_us <= LONGEST_US
    near = -EARLY_US <= first.start_us - last.end_us <= TRANSFER_US
    return near and (last.disposition in HANDED_ON or from_elsewhere)
